from copy import deepcopy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from course_lib.errors import ModelError
from course_lib.quantization import PerTensor, choose_qparams, fake_quantize, sqnr_db
from course_lib.quantization.models.equalize import equalize_pair
from course_lib.reproducibility import seeded_torch, torch_generator

# first layer, what lies between, second layer, shape of the inputs
PAIRS = {
    "linear": (lambda: (nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3)), (7, 5)),
    "nothing between": (lambda: (nn.Linear(5, 4, bias=False), nn.Identity(), nn.Linear(4, 3)), (7, 5)),
    "convolutions": (lambda: (nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Conv2d(4, 3, 3, padding=1)), (2, 2, 8, 8)),
    "depthwise second": (
        lambda: (nn.Conv2d(2, 4, 1), nn.ReLU(), nn.Conv2d(4, 4, 3, stride=2, groups=4)),
        (2, 2, 8, 8),
    ),
    "depthwise first": (
        lambda: (nn.Conv2d(4, 4, 3, groups=4, bias=False), nn.ReLU(), nn.Conv2d(4, 6, 1)),
        (2, 4, 8, 8),
    ),
    "two a channel": (lambda: (nn.Conv2d(2, 4, 1), nn.ReLU(), nn.Conv2d(4, 8, 3, groups=4)), (2, 2, 8, 8)),
    "grouped": (
        lambda: (nn.Conv2d(4, 4, 3, groups=2), nn.ReLU(), nn.Conv2d(4, 6, 3, groups=2)),
        (2, 4, 8, 8),
    ),
    "classifier": (
        lambda: (
            nn.Conv2d(2, 4, 3),
            nn.Sequential(nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
            nn.Linear(4, 3),
        ),
        (2, 2, 8, 8),
    ),
}


def make(name, seed=0):
    build, shape = PAIRS[name]
    with seeded_torch(seed):
        first, between, second = build()
    spread = 4 * torch.rand(first.weight.shape[0], generator=torch_generator(seed)) - 2
    with torch.no_grad():
        first.weight *= (10**spread).reshape(-1, *[1] * (first.weight.ndim - 1))
    return first, between, second, torch.randn(shape, generator=torch_generator(seed))


def linear(weights):
    layer = nn.Linear(len(weights[0]), len(weights))
    layer.load_state_dict({"weight": torch.tensor(weights), "bias": torch.ones(len(weights))})
    return layer


def test_the_worked_example():
    first, second = equalize_pair(linear([[8.0, -2.0], [1.0, -1.0]]), linear([[1.0, 3.0], [-2.0, 9.0]]))
    # factors: sqrt(8 · 2) / 2 = 2 and sqrt(1 · 9) / 9 = 1 / 3
    assert first.weight.tolist() == [[4, -1], pytest.approx([3, -3])]
    assert first.bias.tolist() == pytest.approx([0.5, 3])
    assert second.weight.tolist() == [pytest.approx([2, 1]), pytest.approx([-4, 3])]
    assert second.bias.tolist() == [1, 1]


@given(st.sampled_from(sorted(PAIRS)), st.integers(0, 1000))
def test_the_function_stays_and_so_do_the_layers_that_came(name, seed):
    first, between, second, inputs = make(name, seed)
    before = deepcopy((first.state_dict(), second.state_dict()))
    expected = second(between(first(inputs))).detach()
    new_first, new_second = equalize_pair(first, second)
    outputs = new_second(between(new_first(inputs)))
    assert torch.allclose(outputs, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))
    assert isinstance(new_first.weight, nn.Parameter)
    assert new_first.weight.requires_grad
    for layer, state in zip((first, second), before, strict=True):
        assert all(torch.equal(state[key], value) for key, value in layer.state_dict().items())


def largest_by_input(layer, channel):
    """Return the largest |output| that a one in this input channel, wherever it is, meets as a weight."""
    if isinstance(layer, nn.Linear):
        return layer.weight[:, channel].abs().max()
    kernel = nn.Conv2d(
        layer.in_channels, layer.out_channels, layer.kernel_size, groups=layer.groups, bias=False
    )
    kernel.weight = layer.weight
    size = layer.kernel_size[0]
    probe = torch.zeros(1, layer.in_channels, 2 * size - 1, 2 * size - 1)
    probe[0, channel, size - 1, size - 1] = 1
    return kernel(probe).abs().max()


@given(st.sampled_from(sorted(PAIRS)), st.integers(0, 1000))
def test_both_sides_of_a_channel_get_the_geometric_mean_of_their_ranges(name, seed):
    first, _, second, _ = make(name, seed)
    new_first, new_second = equalize_pair(first, second)
    for channel in range(first.weight.shape[0]):
        product = first.weight[channel].detach().abs().max() * largest_by_input(second, channel).detach()
        expected = pytest.approx(product.sqrt().item(), rel=1e-4)
        assert new_first.weight[channel].abs().max().item() == expected
        assert largest_by_input(new_second, channel).item() == expected


@given(st.sampled_from(sorted(PAIRS)))
def test_once_is_enough(name):
    first, _, second, _ = make(name)
    once = equalize_pair(first, second)
    twice = equalize_pair(*once)
    assert all(torch.allclose(a.weight, b.weight, rtol=1e-5) for a, b in zip(once, twice, strict=True))


def test_channels_without_a_range_keep_their_weights():
    first = linear([[0.0, 0.0], [4.0, 0.0], [9.0, 1.0], [1e-9, 1e-9]])
    second = linear([[5.0, 0.0, 1.0, 7.0]])
    new_first, new_second = equalize_pair(first, second)
    assert torch.allclose(new_first.weight, torch.tensor([[0, 0], [4, 0], [3, 1 / 3], [1e-9, 1e-9]]))
    assert torch.allclose(new_first.bias, torch.tensor([1, 1, 1 / 3, 1]))
    assert torch.allclose(new_second.weight, torch.tensor([[5.0, 0, 3, 7]]))
    zero = equalize_pair(linear([[0.0]]), linear([[0.0]]))
    assert [layer.weight.item() for layer in zero] == [0, 0]


@pytest.mark.parametrize("name", ["linear", "convolutions", "depthwise second", "depthwise first"])
def test_one_scale_for_the_tensor_suffices_where_only_the_balance_was_wrong(name):
    build, shape = PAIRS[name]
    with seeded_torch(0):
        first, between, second = build()
    inputs = torch.randn(shape, generator=torch_generator(0))
    factor = torch.tensor([0.001, 0.1, 1.0, 100.0])
    by_output, by_input = (-1, *[1] * (first.weight.ndim - 1)), (1, -1, *[1] * (first.weight.ndim - 2))
    with torch.no_grad():
        first.weight *= factor.reshape(by_output)
        second.weight /= factor.reshape(by_output if name == "depthwise second" else by_input)
        if first.bias is not None:
            first.bias *= factor
        expected = second(between(first(inputs)))

    def quantized(layers):
        layers = deepcopy(layers)
        for layer in layers:
            weight = layer.weight.detach()
            qparams = choose_qparams(weight, 8, symmetric=True, granularity=PerTensor())
            layer.weight = nn.Parameter(fake_quantize(weight, qparams))
        return layers[1](between(layers[0](inputs))).detach()

    assert sqnr_db(expected, quantized((first, second))) < 20
    assert sqnr_db(expected, quantized(equalize_pair(first, second))) > 30


def test_layers_that_do_not_follow_each_other_are_refused():
    with pytest.raises(ModelError) as error:
        equalize_pair(nn.Conv2d(1, 4, 3), nn.Linear(36, 2))
    assert str(error.value) == (
        "Conv2d(1, 4, kernel_size=(3, 3), stride=(1, 1)) gives 4 channels, but Linear(in_features=36, "
        "out_features=2, bias=True) takes 36; equalize layers that follow each other, with no flatten of "
        "several pixels between them."
    )


@pytest.mark.parametrize("which", [0, 1])
def test_weights_that_are_not_finite_are_refused(which):
    layers = [linear([[1.0]]), linear([[1.0]])]
    layers[which] = linear([[torch.nan]])
    with pytest.raises(ModelError, match=r"^The weights of Linear"):
        equalize_pair(*layers)
