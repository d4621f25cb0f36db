from copy import deepcopy
from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.func import functional_call

from course_lib.architectures import load_pretrained
from course_lib.data import load_dataset
from course_lib.errors import DataError, ModelError, SettingError
from course_lib.quantization import (
    PerChannel,
    PerTensor,
    QParams,
    dequantize,
    quantize,
    sqnr_db,
)
from course_lib.quantization.models.gptq import gptq
from course_lib.reproducibility import seeded_torch
from tests.quantization.models.rounding_inputs import correlated, grid


def error(layer, codes, qparams, inputs):
    changed = functional_call(layer, {"weight": dequantize(codes, qparams)}, (inputs,))
    return ((changed - layer(inputs)) ** 2).sum().item()


def whole_numbers(quant_min=-8, quant_max=7):
    return QParams(torch.ones(1, 1), torch.zeros(1, 1, dtype=torch.int32), quant_min, quant_max)


def linear(weights):
    layer = nn.Linear(len(weights[0]), len(weights))
    layer.weight = nn.Parameter(torch.tensor(weights))
    return layer


# Worked by hand


def test_the_second_of_two_equal_inputs_makes_up_for_the_first():
    layer, inputs = linear([[0.4, 0.4]]), torch.tensor([[1.0, 1.0], [2.0, 2.0]])
    assert quantize(layer.weight.detach(), whole_numbers()).tolist() == [[0, 0]]
    assert gptq(layer, inputs, whole_numbers()).tolist() == [[0, 1]]


def test_unrelated_inputs_leave_rounding_to_the_nearest():
    layer, inputs = linear([[0.4, 0.4, -1.3]]), torch.eye(3) * torch.tensor([1.0, 5.0, 0.0])
    assert gptq(layer, inputs, whole_numbers()).tolist() == [[0, 0, -1]]


def test_the_grid_ends_where_it_ends():
    # 3.4 becomes 1 and leaves 2.4, 1.2 for each of the others: the second leaves 0.2, so the third is at 1.4
    layer, inputs = linear([[3.4, 0.0, 0.0]]), torch.ones(4, 3)
    assert gptq(layer, inputs, whole_numbers(-1, 1)).tolist() == [[1, 1, 1]]


# Properties

LAYERS = {
    "linear": (lambda: nn.Linear(12, 5), (40, 12)),
    "tokens": (lambda: nn.Linear(12, 5), (4, 10, 12)),
    "convolution": (lambda: nn.Conv2d(3, 6, 3, stride=2, padding=1), (8, 3, 9, 9)),
    "grouped": (lambda: nn.Conv2d(4, 6, 3, groups=2, dilation=2), (8, 4, 9, 9)),
    "depthwise": (lambda: nn.Conv2d(4, 8, 3, padding=1, groups=4, bias=False), (8, 4, 6, 6)),
}


@given(
    st.sampled_from(sorted(LAYERS)),
    st.integers(2, 8),
    st.booleans(),
    st.sampled_from([PerTensor(), PerChannel(0), PerChannel(1)]),
    st.integers(0, 1000),
)
def test_codes_stay_on_the_grid_and_the_layer_as_it_is(name, bits, symmetric, granularity, seed):
    make, shape = LAYERS[name]
    with seeded_torch(seed):
        layer = make()
    before = deepcopy(layer.state_dict())
    qparams = grid(layer, bits, symmetric, granularity)
    codes = gptq(layer, correlated(*shape, seed=seed), qparams)
    assert codes.dtype == torch.int32
    assert codes.shape == layer.weight.shape
    assert qparams.quant_min <= codes.min()
    assert codes.max() <= qparams.quant_max
    assert all(torch.equal(before[key], value) for key, value in layer.state_dict().items())


@pytest.mark.parametrize("name", LAYERS)
def test_weights_that_lie_on_the_grid_stay(name):
    make, shape = LAYERS[name]
    layer = make()
    qparams = grid(layer, 4)
    codes = quantize(layer.weight.detach(), qparams)
    layer.weight = nn.Parameter(dequantize(codes, qparams))
    assert torch.equal(gptq(layer, correlated(*shape), qparams), codes)


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("bits", [2, 3, 4])
def test_the_output_error_is_below_that_of_the_nearest(name, bits):
    make, shape = LAYERS[name]
    with seeded_torch(bits):
        layer = make()
    inputs, qparams = correlated(*shape), grid(layer, bits)
    nearest = quantize(layer.weight.detach(), qparams)
    ours = error(layer, gptq(layer, inputs, qparams), qparams, inputs)
    assert ours < error(layer, nearest, qparams, inputs)


def test_groups_are_rounded_as_layers_of_their_own():
    layer, inputs = LAYERS["grouped"][0](), correlated(*LAYERS["grouped"][1])
    qparams = grid(layer, 3)
    together = gptq(layer, inputs, qparams)
    for group in range(2):
        alone = nn.Conv2d(2, 3, 3, dilation=2)
        channels = slice(3 * group, 3 * group + 3)
        alone.weight = nn.Parameter(layer.weight[channels])
        own_grid = QParams(qparams.scale[channels], qparams.zero_point[channels], -3, 3)
        assert torch.equal(gptq(alone, inputs[:, 2 * group : 2 * group + 2], own_grid), together[channels])


def test_inputs_that_are_always_zero_leave_rounding_to_the_nearest():
    layer = nn.Conv2d(2, 3, 3)
    qparams = grid(layer, 3)
    nearest = quantize(layer.weight.detach(), qparams)
    inputs = correlated(4, 2, 8, 8)
    inputs[:, 1] = 0
    assert torch.equal(gptq(layer, inputs, qparams)[:, 1], nearest[:, 1])
    assert torch.equal(gptq(layer, torch.zeros(4, 2, 8, 8), qparams), nearest)


# Independent oracles


def optimal_brain_quantizer(weight, qparams, x, damping):
    """Quantize one column after another with the textbook's update, and a new inverse for every column."""
    weight = weight.double().clone()
    hessian = 2 * x.double().T @ x.double() / len(x)
    hessian += damping * hessian.diagonal().mean() * torch.eye(len(hessian), dtype=torch.float64)
    codes = torch.zeros(weight.shape, dtype=torch.int32)
    for j in range(weight.shape[1]):
        inverse = torch.linalg.inv(hessian[j:, j:])
        for row in range(weight.shape[0]):
            scale, zero = qparams.scale[row, 0].double(), qparams.zero_point[row, 0]
            code = (weight[row, j] / scale).round() + zero
            codes[row, j] = code.clamp(qparams.quant_min, qparams.quant_max)
            change = (codes[row, j] - zero) * scale - weight[row, j]
            weight[row, j:] += change / inverse[0, 0] * inverse[0]
    return codes


@given(st.integers(0, 10_000), st.integers(2, 5), st.booleans(), st.sampled_from([0.001, 0.01, 0.3]))
def test_the_same_codes_as_with_a_new_inverse_for_every_column(seed, bits, symmetric, damping):
    with seeded_torch(seed):
        layer = nn.Linear(10, 4)
    inputs = correlated(50, 10, seed=seed)
    qparams = grid(layer, bits, symmetric)
    expected = optimal_brain_quantizer(layer.weight.detach(), qparams, inputs, damping)
    assert torch.equal(gptq(layer, inputs, qparams, damping=damping), expected)


def test_between_the_best_of_all_roundings_and_the_nearest():
    with seeded_torch(0):
        layer = nn.Linear(6, 100, bias=False)
    inputs, qparams = correlated(30, 6), grid(layer, 2)
    weight = layer.weight.detach()
    every = qparams.scale[:, None] * torch.tensor(list(product([-1.0, 0.0, 1.0], repeat=6)))

    def errors(approximation):  # (100, ..., 6) -> (100, ...)
        change = (approximation - weight.reshape(100, *[1] * (approximation.ndim - 2), 6)) @ inputs.T
        return (change**2).sum(dim=-1)

    best = errors(every).amin(dim=1)
    ours = errors(dequantize(gptq(layer, inputs, qparams), qparams))
    nearest = errors(dequantize(quantize(weight, qparams), qparams))
    assert (ours >= best * (1 - 1e-5)).all()
    assert (ours <= nearest * (1 + 1e-5)).float().mean() > 0.9  # one by one is not always the best way
    assert ours.mean() < 0.7 * nearest.mean()
    assert ours.mean() < 2 * best.mean()


@pytest.mark.slow
@pytest.mark.parametrize("bits", [2, 3, 4])
def test_a_trained_layer_gains_on_images_that_it_was_not_rounded_with(bits):
    model = load_pretrained("plain_conv")
    images = torch.from_numpy(load_dataset("fashion-mnist", "train").inputs(slice(0, 400)))
    with torch.no_grad():
        inputs = model.features[:3](images)
        layer = model.features[3][0]
        qparams = grid(layer, bits)
        nearest = quantize(layer.weight, qparams)
        codes = gptq(layer, inputs[:300], qparams)
        unseen = inputs[300:]
        outputs = layer(unseen)
        gain = [
            sqnr_db(outputs, functional_call(layer, {"weight": dequantize(each, qparams)}, (unseen,)))
            for each in (nearest, codes)
        ]
    assert gain[1] > gain[0] + 4


# Errors


@pytest.mark.parametrize("damping", [-0.1, torch.nan, torch.inf])
def test_a_damping_out_of_range_is_refused(damping):
    with pytest.raises(SettingError) as error:
        gptq(linear([[0.4, 0.4]]), torch.ones(3, 2), whole_numbers(), damping=damping)
    assert str(error.value) == (
        f"damping is {damping}, but it is a fraction to add to the Hessian's diagonal, 0 or more; "
        "try damping=0.01."
    )


def test_a_hessian_without_inverse_is_refused():
    with pytest.raises(ModelError) as error:
        gptq(linear([[0.4, 0.4]]), torch.tensor([[1.0, 0.0], [2.0, 0.0]]), whole_numbers(), damping=0)
    assert str(error.value) == (
        "The Hessian of Linear(in_features=2, out_features=1, bias=True) has no inverse with damping=0, "
        "because some inputs are always 0 or follow from others; use damping=0.01, or more images."
    )


def test_unusable_inputs_weights_and_grids_are_refused():
    layer = linear([[0.4, 0.4]])
    for inputs in (torch.ones(3, 5), torch.ones(0, 2), torch.full((3, 2), torch.nan)):
        with pytest.raises(DataError, match=r"^The inputs"):
            gptq(layer, inputs, whole_numbers())
    with pytest.raises(ModelError, match=r"^A grid of shape \(3, 1\) does not fit"):
        gptq(layer, torch.ones(3, 2), QParams(torch.ones(3, 1), torch.zeros(3, 1), -1, 1))
    with pytest.raises(ModelError, match=r"^The weights of Linear"):
        gptq(linear([[torch.nan, 0.4]]), torch.ones(3, 2), whole_numbers())
