import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from course_lib.quantization import PerChannel, PerTensor, QParams, choose_qparams, dequantize, quantize
from course_lib.quantization.models.config import QuantizationConfig, WeightScheme
from course_lib.quantization.models.fold import fold_batch_norms
from course_lib.quantization.models.graph import trace, weight_layers
from course_lib.quantization.models.train_norms import (
    TrainingNorm,
    fold_norms,
    insert_norms,
    measure_norms,
)

PER_CHANNEL = QuantizationConfig()


def net(bias=True):
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, 2, 1, bias=bias),
        nn.ReLU(),
        nn.Conv2d(4, 6, 3, groups=2, bias=bias),
        nn.Flatten(),
        nn.Linear(6 * 4, 3),
    )


def pictures(count=256, seed=1):
    return torch.randn(count, 1, 8, 8, generator=torch.Generator().manual_seed(seed))


def norms(graph):
    return [module for module in graph.modules() if isinstance(module, TrainingNorm)]


def round_weights(graph, symmetric=True, bits=4):
    """Put the weights on grids, in place; return the grids."""
    grids = {}
    for path, layer in weight_layers(graph).items():
        weight = layer.weight.detach()
        grids[path] = choose_qparams(weight, bits, symmetric=symmetric, granularity=PerChannel(0))
        layer.weight = nn.Parameter(dequantize(quantize(weight, grids[path]), grids[path]))
    return grids


# Worked by hand


@pytest.mark.parametrize(("gamma", "weight"), [(3.0, [-2.25, 1.5]), (-3.0, [2.25, -1.5])])
def test_the_worked_example(gamma, weight):
    graph = trace(nn.Sequential(nn.Conv2d(2, 1, 1)))
    insert_norms(graph, PER_CHANNEL, torch.randn(8, 2, 3, 3))
    (norm,) = norms(graph)
    grids = {"0": QParams(torch.tensor([[[[0.5]]]]), torch.zeros(1, 1, 1, 1, dtype=torch.int32), -7, 7)}
    with torch.no_grad():
        graph.get_submodule("0").weight.copy_(torch.tensor([-1.5, 1.0]).reshape(1, 2, 1, 1))
        norm.weight.fill_(gamma)
        norm.bias.fill_(1.0)
        norm.running_mean.fill_(2.0)
        norm.running_var.fill_(4.0 - norm.eps)
    fold_norms(graph, grids)
    layer = weight_layers(graph)["0"]
    assert layer.weight.flatten().tolist() == pytest.approx(weight)
    assert layer.bias.item() == pytest.approx(1 - gamma / 2 * 2)
    assert grids["0"].scale.item() == pytest.approx(0.75)
    assert quantize(layer.weight, grids["0"]).flatten().tolist() == ([-3, 2] if gamma > 0 else [3, -2])


def test_a_mirrored_asymmetric_grid_keeps_its_ends():
    # Codes 0 to 3, Z = 1, S = 1: values −1, 0, 1, 2. Times −1 they have the codes 3, 2, 1, 0 with Z = 2.
    graph = trace(nn.Sequential(nn.Conv2d(4, 1, 1)))
    insert_norms(graph, PER_CHANNEL, torch.randn(8, 4, 3, 3))
    (norm,) = norms(graph)
    grids = {"0": QParams(torch.ones(1, 1, 1, 1), torch.ones(1, 1, 1, 1, dtype=torch.int32), 0, 3)}
    with torch.no_grad():
        graph.get_submodule("0").weight.copy_(torch.tensor([-1.0, 0, 1, 2]).reshape(1, 4, 1, 1))
        norm.weight.fill_(-1.0)
        norm.running_var.fill_(1.0 - norm.eps)
    fold_norms(graph, grids)
    weight = weight_layers(graph)["0"].weight
    assert weight.flatten().tolist() == pytest.approx([1, 0, -1, -2])
    assert (grids["0"].zero_point.item(), grids["0"].quant_min, grids["0"].quant_max) == (2, 0, 3)
    assert quantize(weight, grids["0"]).flatten().tolist() == [3, 2, 1, 0]


# Properties


@pytest.mark.parametrize("bias", [True, False])
def test_a_new_norm_changes_nothing(bias):
    model, x = net(bias), pictures()
    graph = trace(model)
    insert_norms(graph, PER_CHANNEL, x)
    assert len(norms(graph)) == 2
    assert torch.allclose(graph(x), model(x), atol=1e-5)
    assert not any(module.training for module in graph.modules())
    assert all(layer.bias is None for layer in graph.modules() if isinstance(layer, nn.Conv2d))


def test_measured_norms_bring_rounded_channels_back_to_their_mean_and_variance():
    model, x = net(), pictures()
    graph = trace(model)
    insert_norms(graph, PER_CHANNEL, x)
    round_weights(graph, bits=2)
    measure_norms(graph, x)
    wanted, found = (nn.Sequential(*list(each.children())[:1]) for each in (model, graph))
    found.append(norms(graph)[0])
    for statistic in (torch.mean, torch.var):
        assert torch.allclose(
            statistic(wanted(x), (0, 2, 3)), statistic(found(x), (0, 2, 3)), rtol=0.02, atol=0.01
        )


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 8), st.booleans(), st.integers(0, 100))
def test_folding_leaves_the_function_and_the_grids_true(bits, symmetric, seed):
    x = pictures()
    graph = trace(net())
    insert_norms(graph, PER_CHANNEL, x)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for norm in norms(graph):
            norm.weight.copy_(torch.randn(norm.weight.shape, generator=generator))
            norm.bias.copy_(torch.randn(norm.bias.shape, generator=generator))
    grids = round_weights(graph, symmetric, bits)
    expected = graph(x)
    codes = {path: quantize(layer.weight, grids[path]) for path, layer in weight_layers(graph).items()}
    fold_norms(graph, grids)
    assert not norms(graph)
    assert torch.allclose(graph(x), expected, atol=1e-4)
    for path, layer in weight_layers(graph).items():
        found = quantize(layer.weight, grids[path])
        assert torch.equal(dequantize(found, grids[path]), layer.weight)
        assert grids[path].bits == bits
        for one, other in zip(found, codes[path], strict=True):
            ends = grids[path].quant_min + grids[path].quant_max
            assert torch.equal(one, other) or torch.equal(one, ends - other)


# Independent oracle: the ordinary folding of batch norms


def test_folding_agrees_with_ordinary_folding():
    x = pictures()
    graph = trace(net())
    insert_norms(graph, PER_CHANNEL, x)
    grids = round_weights(graph)
    plain = copy.deepcopy(graph)
    for path, module in list(plain.named_modules()):
        if isinstance(module, TrainingNorm):
            ordinary = nn.BatchNorm2d(module.num_features).eval()
            ordinary.load_state_dict(module.state_dict())
            plain.set_submodule(path, ordinary)
    fold_batch_norms(plain)
    fold_norms(graph, grids)
    for (path, layer), other in zip(weight_layers(graph).items(), weight_layers(plain).values(), strict=True):
        assert torch.allclose(layer.weight, other.weight, rtol=1e-5, atol=1e-7), path
        assert torch.allclose(layer.bias, other.bias, rtol=1e-5, atol=1e-6), path


# Left out


class Twice(nn.Module):
    """Calls one convolution twice."""

    def __init__(self):
        super().__init__()
        self.shared, self.other = nn.Conv2d(1, 1, 3, padding=1), nn.Conv2d(1, 2, 3)

    def forward(self, x):
        return self.other(self.shared(self.shared(x)))


@pytest.mark.parametrize(
    ("model", "config", "expected"),
    [
        (net(), QuantizationConfig(WeightScheme(granularity=PerTensor())), []),
        (net(), QuantizationConfig(kept_in_float=("0",)), ["_2_norm"]),
        (Twice(), PER_CHANNEL, ["other_norm"]),
        (nn.Sequential(nn.Flatten(), nn.Linear(64, 2)), PER_CHANNEL, []),
    ],
)
def test_layers_that_get_no_norm(model, config, expected):
    graph = trace(model)
    insert_norms(graph, config, pictures())
    assert [path for path, module in graph.named_modules() if isinstance(module, TrainingNorm)] == expected
