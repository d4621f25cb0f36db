"""Differences by hand and against scipy's paired test, and errors."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from course_lib.benchmarking.paired import paired_gain
from course_lib.errors import MeasurementError

fractions = st.floats(0, 1)


def test_the_worked_example() -> None:
    mean, interval = paired_gain((0.80, 0.84), (0.78, 0.80))
    # s = √(0.01² + 0.01²), s / √2 = 0.01, and t = tan(0.475 π) for one degree of freedom
    reach = 0.01 * math.tan(0.475 * math.pi)
    assert mean == pytest.approx(0.03)
    assert tuple(interval) == pytest.approx((0.03 - reach, 0.03 + reach))
    assert interval.confidence == 0.95


@given(st.lists(st.tuples(fractions, fractions), min_size=2, max_size=8), st.sampled_from([0.8, 0.95]))
def test_it_is_the_interval_of_scipys_paired_test(
    pairs: list[tuple[float, float]], confidence: float
) -> None:
    first, second = np.array(pairs).T
    mean, interval = paired_gain(first.tolist(), second.tolist(), confidence)
    assert mean == pytest.approx((first - second).mean(), abs=1e-12)
    if np.ptp(first - second) > 1e-6:  # scipy gives no interval where nothing varies
        expected = stats.ttest_rel(first, second).confidence_interval(confidence)
        assert tuple(interval) == pytest.approx((expected.low, expected.high), abs=1e-9)


@given(st.lists(fractions, min_size=2, max_size=6), st.floats(-1, 1))
def test_a_constant_difference_has_no_spread(values: list[float], shift: float) -> None:
    mean, interval = paired_gain([value + shift for value in values], values)
    assert tuple(interval) == pytest.approx((shift, shift), abs=1e-9)
    assert mean == pytest.approx(shift, abs=1e-9)


def test_pairs_that_are_none() -> None:
    with pytest.raises(MeasurementError) as error:
        paired_gain((0.5,), (0.4,))
    assert str(error.value) == (
        "paired_gain got 1 and 1 values; it needs two pairs or more, from the same seeds."
    )
    with pytest.raises(MeasurementError, match="got 2 and 3 values"):
        paired_gain((0.5, 0.6), (0.4, 0.5, 0.6))
