"""Allocation by hand, against trying everything, its errors; the rule; quantized copies of models."""

import itertools
import math
import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from course_lib.architectures import create_model
from course_lib.errors import SettingError, UnknownNameError
from course_lib.quantization.models.layerwise import nearest_per_channel
from course_lib.quantization.models.mixed_precision import allocate, apply_bits, log_rule, weight_bits

COSTS = {"small": {2: 20.0, 4: 40.0}, "large": {2: 200.0, 4: 400.0}}
LOSSES = {"small": {2: 0.5, 4: 0.0}, "large": {2: 0.1, 4: 0.0}}


def network():
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3))


# The integer programme


def test_the_worked_example():
    allocation = allocate(COSTS, LOSSES, 400)
    assert allocation.bits == {"small": 4, "large": 2}
    assert (allocation.cost, allocation.loss) == (240, 0.1)


def test_budgets_at_the_edges():
    assert allocate(COSTS, LOSSES, 440).bits == {"small": 4, "large": 4}
    assert allocate(COSTS, LOSSES, 439.9).bits == {"small": 4, "large": 2}
    assert allocate(COSTS, LOSSES, math.inf).bits == {"small": 4, "large": 4}
    assert allocate(COSTS, LOSSES, 220).bits == {"small": 2, "large": 2}


def test_equal_losses_and_free_layers():
    assert allocate({"a": {2: 0.0, 4: 0.0}}, {"a": {2: 1.0, 4: 1.0}}, 0).cost == 0


def test_losses_of_any_size():
    losses = {path: {bits: 1e-9 * loss for bits, loss in row.items()} for path, row in LOSSES.items()}
    assert allocate(COSTS, losses, 400).bits == {"small": 4, "large": 2}


@st.composite
def tables(draw):
    costs, losses = {}, {}
    for layer in range(draw(st.integers(1, 4))):
        widths = draw(st.lists(st.integers(2, 8), min_size=1, max_size=4, unique=True))
        numbers = st.integers(0, 50)
        costs[f"layer{layer}"] = {width: float(draw(numbers)) for width in widths}
        losses[f"layer{layer}"] = {width: draw(st.integers(-30, 100)) / 1000 for width in widths}
    return costs, losses, float(draw(st.integers(0, 200)))


def by_trying_all(costs, losses, budget):
    """Return the smallest loss within the budget, and the smallest cost."""
    best = math.inf
    smallest = math.inf
    for choice in itertools.product(*(row for row in costs.values())):
        cost = sum(costs[path][width] for path, width in zip(costs, choice, strict=True))
        smallest = min(smallest, cost)
        if cost <= budget:
            best = min(best, sum(losses[path][width] for path, width in zip(costs, choice, strict=True)))
    return best, smallest


@settings(max_examples=60)
@given(tables())
def test_against_trying_everything(problem):
    costs, losses, budget = problem
    best, smallest = by_trying_all(costs, losses, budget)
    if best == math.inf:
        with pytest.raises(SettingError, match=re.escape(f"cost {smallest!r}; pass a budget")):
            allocate(costs, losses, budget)
        return
    allocation = allocate(costs, losses, budget)
    assert allocation.loss == pytest.approx(best, abs=1e-9)
    assert allocation.cost <= budget
    assert list(allocation.bits) == list(costs)
    assert allocation.cost == sum(costs[path][width] for path, width in allocation.bits.items())


@settings(max_examples=20)
@given(tables(), st.integers(0, 50))
def test_a_larger_budget_never_loses_more(problem, more):
    costs, losses, _ = problem
    budget = sum(max(row.values()) for row in costs.values()) / 2
    budget = max(budget, sum(min(row.values()) for row in costs.values()))
    larger = allocate(costs, losses, budget + more)
    assert larger.loss <= allocate(costs, losses, budget).loss + 1e-9


def test_a_budget_that_is_overdrawn_by_a_hair_is_refused():
    """The solver's tolerance would let 1,000,000.5 pass for 1,000,000."""
    costs = {"a": {2: 1.0, 8: 1_000_000.5}, "b": {2: 0.0}}
    losses = {"a": {2: 1.0, 8: 0.0}, "b": {2: 0.0}}
    assert allocate(costs, losses, 1_000_000).bits == {"a": 2, "b": 2}


def test_a_budget_nothing_can_meet():
    with pytest.raises(
        SettingError, match=r"budget is 100, but even the cheapest .* cost 220\.0; pass a budget"
    ):
        allocate(COSTS, LOSSES, 100)


def test_a_budget_that_is_no_number():
    with pytest.raises(SettingError, match="The budget is nan, but even the cheapest"):
        allocate(COSTS, LOSSES, math.nan)


@pytest.mark.parametrize(
    ("costs", "losses", "message"),
    [
        ({}, {}, "allocate got no layers"),
        (COSTS, {"small": LOSSES["small"]}, r"large has costs for \[2, 4\] bits and losses for \[\] bits"),
        (COSTS, {**LOSSES, "more": {2: 0.0}}, r"more has costs for \[\] bits and losses for \[2\] bits"),
        ({"a": {}}, {"a": {}}, r"a has costs for \[\] bits"),
        (
            {"a": {2: 1.0}},
            {"a": {2: math.nan}},
            "a has a cost or loss that is not finite; leave its width out",
        ),
    ],
)
def test_tables_that_do_not_fit(costs, losses, message):
    with pytest.raises(SettingError, match=message):
        allocate(costs, losses, 1000)


# The rule


def test_the_rule_by_hand():
    # 4 + ln(1) = 4; 4 + ln(0.01) = -0.6, at least 2; 4 + ln(20) = 7.0; 4 + ln(e^0.5) = 4.5, between 4 and 5
    bits = log_rule({"a": 1.0, "b": 0.01, "c": 20.0, "d": math.exp(0.5)}, base=4, alpha=1)
    assert bits == {"a": 4, "b": 2, "c": 7, "d": 5}
    assert log_rule({"a": 1.0}, base=5.9, alpha=1, choices=(4, 8)) == {"a": 4}


@given(
    st.lists(st.floats(1e-9, 1e3), min_size=2, max_size=6),
    st.floats(-5, 20),
    st.floats(0, 3),
    st.sets(st.integers(2, 16), min_size=1),
)
def test_a_more_sensitive_layer_never_gets_fewer_bits(values, base, alpha, choices):
    bits = log_rule(
        {str(place): value for place, value in enumerate(sorted(values))}, base, alpha, list(choices)
    )
    assert list(bits.values()) == sorted(bits.values())
    assert set(bits.values()) <= choices


@pytest.mark.parametrize("value", [0.0, -1e-3, math.nan, math.inf])
def test_no_logarithm(value):
    with pytest.raises(
        SettingError, match=r"sensitivity of conv is .*, which has no logarithm; pass a number"
    ):
        log_rule({"conv": value}, 4, 1)


def test_no_choices():
    with pytest.raises(SettingError, match="log_rule got no choices; pass the bit widths that exist"):
        log_rule({"conv": 1.0}, 4, 1, ())


# Models


def test_bits_that_weights_take():
    assert weight_bits(network(), (2, 8)) == {"0": {2: 36.0, 8: 144.0}, "3": {2: 48.0, 8: 192.0}}


def test_a_quantized_copy():
    model = network()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    quantized = apply_bits(model, {"0": 3, "3": 32})
    assert torch.equal(quantized[0].weight, nearest_per_channel(before["0.weight"], 3))
    assert torch.equal(quantized[3].weight, before["3.weight"])
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert quantized[0].weight.requires_grad


def test_layers_that_are_not_named_stay_as_they_are():
    model = create_model("tiny")
    quantized = apply_bits(model, {})
    state = quantized.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


def test_another_scheme():
    quantized = apply_bits(network(), {"0": 3}, scheme=lambda weight, bits: torch.full_like(weight, bits))
    assert (quantized[0].weight == 3).all()


def test_unknown_layer_and_bits():
    with pytest.raises(UnknownNameError, match="There is no layer called '1'; the known ones are 0, 3"):
        apply_bits(network(), {"1": 4})
    with pytest.raises(SettingError, match="bits is 1, but quantization takes"):
        apply_bits(network(), {"0": 1})
