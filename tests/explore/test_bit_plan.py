"""Plans by hand, against trying everything, at the edges, and their errors."""

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.errors import MeasurementError, SettingError
from course_lib.explore.assignment import WIDTHS
from course_lib.explore.bit_plan import ALPHA, programme_bits, rule_bits
from course_lib.explore.layer_sensitivity import LayerLoss, SensitivityMap


def losing(params: dict[str, int], scales: dict[str, float]) -> SensitivityMap:
    """A map in which one bit less loses four times as much."""
    losses = {
        layer: {width: LayerLoss(0.0, scale * 4.0**-width) for width in WIDTHS}
        for layer, scale in scales.items()
    }
    return SensitivityMap(params, losses, 100)


def average(bits: dict[str, int], params: dict[str, int]) -> float:
    return sum(bits[layer] * params[layer] for layer in params) / sum(params.values())


def test_two_layers_by_hand():
    # A factor of 16 is worth two bits at α = 1 / ln 4; with layers of one size that is best, too.
    known = losing({"a": 100, "b": 100}, {"a": 16.0, "b": 1.0})
    assert programme_bits(known, 4) == rule_bits(known, 4) == {"a": 5, "b": 3}


def test_the_programme_knows_what_a_bit_costs_and_the_rule_does_not():
    known = losing({"small": 10, "large": 1000}, {"small": 1.0, "large": 1.0})
    assert programme_bits(known, 4.05)["small"] == 8
    assert rule_bits(known, 4.05) == {"small": 4, "large": 4}


@given(
    sizes=st.lists(st.integers(1, 500), min_size=1, max_size=3),
    scales=st.lists(st.floats(1e-6, 1e3), min_size=3, max_size=3),
    wanted=st.floats(2, 9),
)
@settings(max_examples=25, deadline=None)
def test_no_plan_spends_more_than_asked_and_none_beats_the_programme(
    sizes: list[int], scales: list[float], wanted: float
):
    params = {f"layer{number}": size for number, size in enumerate(sizes)}
    known = losing(params, dict(zip(params, scales, strict=False)))

    def loss(bits: dict[str, int]) -> float:
        return sum(known.losses[layer][width].divergence for layer, width in bits.items())

    found, ruled = programme_bits(known, wanted), rule_bits(known, wanted)
    assert average(found, params) <= wanted + 1e-9
    assert average(ruled, params) <= wanted + 1e-9
    every = (dict(zip(params, bits, strict=True)) for bits in itertools.product(WIDTHS, repeat=len(params)))
    best = min(loss(bits) for bits in every if average(bits, params) <= wanted)
    # The solver's tolerance is relative to the largest loss in the table.
    worst = max(row[2].divergence for row in known.losses.values())
    assert loss(found) <= best + 1e-6 * worst
    assert loss(ruled) >= best - 1e-12


def test_layers_that_lose_nothing_and_generous_averages():
    known = losing({"a": 5, "b": 5}, {"a": 0.0, "b": 1.0})
    assert rule_bits(known, 8) == programme_bits(known, 100) | {"a": 8, "b": 8}
    assert rule_bits(known, 5) == {"a": 2, "b": 8}
    assert rule_bits(known, 4, alpha=0) == {"a": 4, "b": 4}
    assert pytest.approx(0.7213, abs=1e-4) == ALPHA


@pytest.mark.parametrize("plan", [programme_bits, rule_bits])
@pytest.mark.parametrize("wanted", [1.5, -1, math.nan])
def test_an_average_nothing_can_meet_says_the_smallest_that_can(plan, wanted: float):
    known = losing({"a": 5}, {"a": 1.0})
    message = rf"No bits keep an average of {wanted:g} bits a weight; the smallest that can be kept is 2"
    with pytest.raises(SettingError, match=message):
        plan(known, wanted)
    assert plan(known, 2) == {"a": 2}


@pytest.mark.parametrize("alpha", [-0.5, math.nan, math.inf])
def test_an_alpha_that_cannot_be_is_refused(alpha: float):
    with pytest.raises(SettingError, match="expected a finite number of at least 0"):
        rule_bits(losing({"a": 5}, {"a": 1.0}), 4, alpha)


@pytest.mark.parametrize("plan", [programme_bits, rule_bits])
def test_half_of_a_measurement_is_not_enough(plan):
    known = SensitivityMap({"a": 5}, {"a": {2: LayerLoss(0.0, 0.0)}}, 100)
    with pytest.raises(MeasurementError, match="Only 14% of the sensitivities are measured; call finish"):
        plan(known, 4)
