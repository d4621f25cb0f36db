from copy import deepcopy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.func import functional_call

from course_lib.errors import DataError, ModelError
from course_lib.quantization import PerTensor, choose_qparams, fake_quantize
from course_lib.quantization.models.bias_correction import corrected_bias
from course_lib.quantization.models.layer_inputs import input_matrix, weight_matrix
from course_lib.reproducibility import seeded_torch, torch_generator

LAYERS = {
    "linear": (lambda: nn.Linear(6, 5), (40, 6)),
    "vector": (lambda: nn.Linear(6, 5), (6,)),
    "tokens": (lambda: nn.Linear(6, 5, bias=False), (4, 10, 6)),
    "convolution": (lambda: nn.Conv2d(3, 6, 3, stride=2, padding=1), (8, 3, 9, 9)),
    "grouped": (lambda: nn.Conv2d(4, 6, 3, groups=2, dilation=2), (8, 4, 9, 9)),
    "depthwise": (lambda: nn.Conv2d(4, 8, 3, padding=1, groups=4, bias=False), (8, 4, 6, 6)),
}


def linear(weight, bias):
    layer = nn.Linear(1, 1)
    layer.load_state_dict({"weight": torch.tensor([[weight]]), "bias": torch.tensor([bias])})
    return layer


def make(name, seed=0):
    build, shape = LAYERS[name]
    with seeded_torch(seed):
        layer = build()
    return layer, torch.rand(shape, generator=torch_generator(seed))


def coarse(layer, bits=3):
    weight = layer.weight.detach()
    return fake_quantize(weight, choose_qparams(weight, bits, symmetric=True, granularity=PerTensor()))


def channel_means(layer, outputs):
    return outputs.transpose(1 if isinstance(layer, nn.Conv2d) else -1, 0).flatten(1).mean(dim=1)


def test_the_worked_example():
    bias = corrected_bias(linear(0.4, 1.0), torch.tensor([[0.5]]), torch.tensor([[1.0], [3.0]]))
    assert bias.tolist() == pytest.approx([0.8])


def test_the_same_weights_need_no_correction():
    layer, inputs = make("convolution")
    assert torch.equal(corrected_bias(layer, layer.weight, inputs), layer.bias)
    layer, inputs = make("depthwise")
    assert torch.equal(corrected_bias(layer, layer.weight, inputs), torch.zeros(8))


@given(st.sampled_from(sorted(set(LAYERS) - {"vector"})), st.integers(2, 8), st.integers(0, 1000))
def test_each_channel_keeps_its_mean_and_the_layer_stays(name, bits, seed):
    layer, inputs = make(name, seed)
    before = deepcopy(layer.state_dict())
    weight = coarse(layer, bits)
    bias = corrected_bias(layer, weight, inputs)
    assert bias.shape == (layer.weight.shape[0],)
    assert not bias.requires_grad
    corrected = deepcopy(layer)
    corrected.weight, corrected.bias = nn.Parameter(weight), nn.Parameter(bias)
    expected, means = (channel_means(layer, each(inputs)) for each in (layer, corrected))
    assert torch.allclose(means, expected, atol=1e-5)
    assert all(torch.equal(before[key], value) for key, value in layer.state_dict().items())


def test_the_output_error_falls():
    layer, inputs = make("convolution")
    weight = coarse(layer)
    bias = corrected_bias(layer, weight, inputs)
    plain = functional_call(layer, {"weight": weight}, (inputs,))
    corrected = functional_call(layer, {"weight": weight, "bias": bias}, (inputs,))
    assert (corrected - layer(inputs)).square().mean() < 0.8 * (plain - layer(inputs)).square().mean()


@pytest.mark.parametrize("name", LAYERS)
def test_the_mean_input_times_the_change_of_the_weights_says_the_same(name):
    layer, inputs = make(name)
    weight = coarse(layer)
    rounded = deepcopy(layer)
    rounded.weight = nn.Parameter(weight)
    change = weight_matrix(rounded) - weight_matrix(layer)
    shift = (change @ input_matrix(layer, inputs).mean(dim=1)[..., None]).flatten()
    bias = torch.zeros_like(shift) if layer.bias is None else layer.bias
    assert torch.allclose(corrected_bias(layer, weight, inputs), bias - shift, atol=1e-5)


def test_weights_of_another_shape_are_refused():
    with pytest.raises(ModelError) as error:
        corrected_bias(linear(0.4, 1.0), torch.ones(2, 1), torch.ones(3, 1))
    assert str(error.value) == (
        "The rounded weights have shape (2, 1), but Linear(in_features=1, out_features=1, bias=True) has "
        "weights of shape (1, 1); pass dequantize(codes, qparams) of this layer."
    )


def test_weights_that_are_not_finite_are_refused():
    with pytest.raises(ModelError) as error:
        corrected_bias(linear(0.4, 1.0), torch.tensor([[torch.nan]]), torch.ones(3, 1))
    assert str(error.value) == (
        "The weights of Linear(in_features=1, out_features=1, bias=True) or the rounded ones hold NaN or "
        "infinite values, for which no bias makes up; load or quantize them again."
    )


@pytest.mark.parametrize("inputs", [torch.ones(3, 2), torch.ones(0, 1), torch.full((3, 1), torch.inf)])
def test_unusable_inputs_are_refused(inputs):
    with pytest.raises(DataError, match=r"^The inputs"):
        corrected_bias(linear(0.4, 1.0), torch.ones(1, 1), inputs)
