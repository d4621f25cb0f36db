from copy import deepcopy
from itertools import product

import pytest
import torch
from hypothesis import given, settings
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
from course_lib.quantization.models import layer_inputs
from course_lib.quantization.models.adaround import adaround
from course_lib.reproducibility import seeded_torch, torch_generator
from tests.quantization.models.rounding_inputs import correlated, grid


def rounded(layer, codes, qparams, inputs):
    with torch.no_grad():
        return functional_call(layer, {"weight": dequantize(codes, qparams)}, (inputs,))


def error(layer, codes, qparams, inputs, targets=None):
    targets = layer(inputs) if targets is None else targets
    return ((rounded(layer, codes, qparams, inputs) - targets) ** 2).sum().item()


def whole_numbers(quant_min=-8, quant_max=7):
    return QParams(torch.ones(1, 1), torch.zeros(1, 1, dtype=torch.int32), quant_min, quant_max)


def linear(weights):
    layer = nn.Linear(len(weights[0]), len(weights))
    layer.weight = nn.Parameter(torch.tensor(weights))
    return layer


# Worked by hand


def test_one_of_two_equal_inputs_is_rounded_up():
    layer, inputs = linear([[0.4, 0.3]]), torch.tensor([[1.0, 1.0], [2.0, 2.0]])
    assert quantize(layer.weight.detach(), whole_numbers()).tolist() == [[0, 0]]
    assert adaround(layer, inputs, whole_numbers()).tolist() == [[1, 0]]


def test_unrelated_inputs_leave_rounding_to_the_nearest():
    layer, inputs = linear([[0.4, 0.4, -1.3, -1.7]]), torch.eye(4)
    assert adaround(layer, inputs, whole_numbers()).tolist() == [[0, 0, -1, -2]]


def test_targets_say_what_the_layer_should_give():
    # the inputs came out 0.8 of what they were: 2 · 1.25 = 2.5, and bias 3 is part of both
    layer = linear([[2.4]])
    nn.init.constant_(layer.bias, 3.0)
    inputs = torch.tensor([[0.8], [1.6]])
    assert adaround(layer, inputs, whole_numbers()).item() == 2
    assert adaround(layer, inputs, whole_numbers(), targets=layer(inputs / 0.8)).item() == 3


# Properties

LAYERS = {
    "linear": (lambda: nn.Linear(12, 5), (40, 12)),
    "tokens": (lambda: nn.Linear(12, 5), (4, 10, 12)),
    "convolution": (lambda: nn.Conv2d(3, 6, 3, stride=2, padding=1), (8, 3, 9, 9)),
    "grouped": (lambda: nn.Conv2d(4, 6, 3, groups=2, dilation=2), (8, 4, 9, 9)),
    "depthwise": (lambda: nn.Conv2d(4, 8, 3, padding=1, groups=4, bias=False), (8, 4, 6, 6)),
}


@settings(max_examples=20)
@given(
    st.sampled_from(sorted(LAYERS)),
    st.integers(2, 8),
    st.booleans(),
    st.sampled_from([PerTensor(), PerChannel(0), PerChannel(1)]),
    st.integers(0, 1000),
)
def test_each_weight_goes_down_or_up_and_the_error_with_it(name, bits, symmetric, granularity, seed):
    make, shape = LAYERS[name]
    with seeded_torch(seed):
        layer = make()
    before = deepcopy(layer.state_dict())
    inputs, qparams = correlated(*shape, seed=seed), grid(layer, bits, symmetric, granularity)
    codes = adaround(layer, inputs, qparams, steps=100)
    assert codes.dtype == torch.int32
    assert codes.shape == layer.weight.shape
    weight_steps = layer.weight.detach() / qparams.scale
    assert ((codes - qparams.zero_point - weight_steps).abs() <= 1 + 2.0 ** (bits - 20)).all()
    assert qparams.quant_min <= codes.min()
    assert codes.max() <= qparams.quant_max
    nearest = error(layer, quantize(layer.weight.detach(), qparams), qparams, inputs)
    assert error(layer, codes, qparams, inputs) <= nearest * (1 + 1e-4)
    assert all(torch.equal(before[key], value) for key, value in layer.state_dict().items())


@pytest.mark.parametrize("name", LAYERS)
def test_weights_that_lie_on_the_grid_stay(name):
    make, shape = LAYERS[name]
    layer = make()
    qparams = grid(layer, 4)
    codes = quantize(layer.weight.detach(), qparams)
    layer.weight = nn.Parameter(dequantize(codes, qparams))
    assert torch.equal(adaround(layer, correlated(*shape), qparams, steps=50), codes)


@pytest.mark.parametrize("name", LAYERS)
def test_inputs_from_quantized_layers_are_made_up_for(name):
    make, shape = LAYERS[name]
    with seeded_torch(1):
        layer = make()
    clean = correlated(*shape)
    inputs, qparams, targets = 0.85 * clean + 0.02, grid(layer, 3), layer(clean).detach()
    with_targets = adaround(layer, inputs, qparams, targets=targets, steps=300)
    without = adaround(layer, inputs, qparams, steps=300)
    assert error(layer, with_targets, qparams, inputs, targets) < error(
        layer, without, qparams, inputs, targets
    )
    own = adaround(layer, inputs, qparams, targets=layer(inputs), steps=300)
    own_error, plain_error = (error(layer, codes, qparams, inputs) for codes in (own, without))
    assert own_error == pytest.approx(plain_error, rel=0.05)


def test_inputs_that_are_always_zero_leave_rounding_to_the_nearest():
    layer = nn.Conv2d(2, 3, 3)
    qparams = grid(layer, 3)
    nearest = quantize(layer.weight.detach(), qparams)
    assert torch.equal(adaround(layer, torch.zeros(4, 2, 8, 8), qparams, steps=10), nearest)


def test_the_same_call_gives_the_same_codes_and_the_seed_chooses_the_rows(monkeypatch):
    layer, inputs = nn.Linear(20, 10), correlated(300, 20)
    qparams = grid(layer, 3)
    everything = adaround(layer, inputs, qparams, steps=100)
    assert torch.equal(everything, adaround(layer, inputs, qparams, steps=100, seed=5))
    monkeypatch.setattr(layer_inputs, "MAX_VALUES", 600)
    first = adaround(layer, inputs, qparams, steps=100, targets=layer(inputs))
    assert torch.equal(first, adaround(layer, inputs, qparams, steps=100, targets=layer(inputs)))
    assert not torch.equal(first, adaround(layer, inputs, qparams, steps=100, seed=5))


def test_it_learns_where_gradients_are_turned_off():
    layer, inputs = nn.Linear(20, 10), correlated(300, 20)
    expected = adaround(layer, inputs, grid(layer, 3), steps=100)
    with torch.no_grad():
        assert torch.equal(adaround(layer, inputs, grid(layer, 3), steps=100), expected)
    with torch.inference_mode():
        inputs = inputs.clone()
    assert torch.equal(adaround(layer, inputs, grid(layer, 3), steps=100), expected)


# Independent oracles


@pytest.mark.parametrize("bits", [2, 3, 4])
def test_close_to_the_best_of_all_ways_to_go_down_or_up(bits):
    with seeded_torch(bits):
        layer = nn.Linear(8, 50, bias=False)
    inputs, qparams = correlated(60, 8), grid(layer, bits)
    weight = layer.weight.detach()
    down = (weight / qparams.scale).floor()
    every = down[:, None] + torch.tensor(list(product([0, 1], repeat=8)))
    every = qparams.scale[:, None] * every.clamp(qparams.quant_min, qparams.quant_max)
    best = (((every - weight[:, None]) @ inputs.T) ** 2).sum(dim=-1).amin(dim=1)

    def errors(codes):
        return (((dequantize(codes, qparams) - weight) @ inputs.T) ** 2).sum(dim=-1)

    ours, nearest = errors(adaround(layer, inputs, qparams)), errors(quantize(weight, qparams))
    assert (ours >= best * (1 - 1e-4)).all()
    assert (ours <= best * (1 + 1e-4)).float().mean() > 0.5
    assert ours.sum() < 1.15 * best.sum()
    assert nearest.sum() > 1.5 * best.sum()


def adaround_of_the_paper(layer, inputs, qparams, steps, seed):
    """Round with mini-batches through the layer itself, and autograd for everything."""
    weight, generator = layer.weight.detach(), torch_generator(seed)
    down = (weight / qparams.scale).floor()
    variable = nn.Parameter(-torch.log(1.2 / (weight / qparams.scale - down + 0.1) - 1))
    optimizer = torch.optim.Adam([variable], lr=0.05)
    targets = layer(inputs).detach()
    unit = inputs.square().mean() * qparams.scale.square().mean()
    for step in range(steps):
        batch = torch.randint(len(inputs), (32,), generator=generator)
        h = (1.2 * torch.sigmoid(variable) - 0.1).clamp(0, 1)
        soft = qparams.scale * (down + h).clamp(qparams.quant_min, qparams.quant_max)
        outputs = functional_call(layer, {"weight": soft}, (inputs[batch],))
        beta = 20 - 18 * max(0, step / steps - 0.2) / 0.8
        loss = (outputs - targets[batch]).square().sum(dim=1).mean() / unit
        if step >= 0.2 * steps:
            loss = loss + 0.5 * (1 - (2 * h - 1).abs().pow(beta)).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    codes = down + (variable.detach() >= 0)
    return codes.clamp(qparams.quant_min, qparams.quant_max).int()


@pytest.mark.slow
@pytest.mark.parametrize("bits", [2, 3])
def test_moments_do_what_mini_batches_do(bits):
    with seeded_torch(0):
        layer = nn.Linear(40, 16)
    inputs, qparams = correlated(500, 40), grid(layer, bits, granularity=PerTensor())
    ours = error(layer, adaround(layer, inputs, qparams), qparams, inputs)
    theirs = error(layer, adaround_of_the_paper(layer, inputs, qparams, 2000, seed=0), qparams, inputs)
    assert ours <= 1.1 * theirs


@pytest.mark.slow
@pytest.mark.parametrize("bits", [2, 3])
def test_a_trained_layer_gains_6_db_on_images_that_it_was_not_rounded_with(bits):
    model = load_pretrained("plain_conv")
    images = torch.from_numpy(load_dataset("fashion-mnist", "train").inputs(slice(0, 400)))
    with torch.no_grad():
        inputs = model.features[:3](images)
    layer = model.features[3][0]
    qparams = grid(layer, bits)
    unseen, outputs = inputs[300:], layer(inputs[300:]).detach()
    nearest = rounded(layer, quantize(layer.weight.detach(), qparams), qparams, unseen)
    ours = rounded(layer, adaround(layer, inputs[:300], qparams), qparams, unseen)
    assert sqnr_db(outputs, ours) > sqnr_db(outputs, nearest) + 6


# Errors


def test_no_steps_are_refused():
    with pytest.raises(SettingError) as error:
        adaround(linear([[0.4, 0.4]]), torch.ones(3, 2), whole_numbers(), steps=0)
    assert str(error.value) == "steps is 0, but AdaRound learns in at least 1 step; try steps=1000."


def test_unusable_inputs_targets_weights_and_grids_are_refused():
    layer = linear([[0.4, 0.4]])
    for inputs in (torch.ones(3, 5), torch.ones(0, 2), torch.full((3, 2), torch.nan)):
        with pytest.raises(DataError, match=r"^The inputs"):
            adaround(layer, inputs, whole_numbers())
    for targets in (torch.ones(3, 2), torch.full((3, 1), torch.nan)):
        with pytest.raises(DataError, match=r"^The targets"):
            adaround(layer, torch.ones(3, 2), whole_numbers(), targets=targets)
    with pytest.raises(ModelError, match=r"^A grid of shape \(3, 1\) does not fit"):
        adaround(layer, torch.ones(3, 2), QParams(torch.ones(3, 1), torch.zeros(3, 1), -1, 1))
    with pytest.raises(ModelError, match=r"^The weights of Linear"):
        adaround(linear([[torch.nan, 0.4]]), torch.ones(3, 2), whole_numbers())
