"""Differences by hand and against scipy's paired test, the table, and errors."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from course_lib.benchmarking import record_machine
from course_lib.errors import MeasurementError
from course_lib.pruning.lottery_result import LotteryResult, TicketRecord, paired_gain

fractions = st.floats(0, 1)


def make_result() -> LotteryResult:
    accuracies = {
        ("dense", 0.0): (0.90, 0.92),
        ("ticket", 0.5): (0.80, 0.84),
        ("new weights", 0.5): (0.78, 0.80),
        ("shuffled mask", 0.5): (0.70, 0.74),
    }
    records = [
        TicketRecord(seed, arm, sparsity, values[seed])
        for (arm, sparsity), values in accuracies.items()
        for seed in (1, 0)
    ]
    return LotteryResult(machine=record_machine(), records=tuple(records), images=500)


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


def test_arms_are_found_in_the_order_of_the_seeds() -> None:
    result = make_result()
    assert result.accuracies("ticket", 0.5) == (0.80, 0.84)
    assert result.accuracies("dense") == (0.90, 0.92)
    assert result.sparsities == (0.5,)
    assert result.gain("dense", 0.5)[0] == pytest.approx(-0.09)
    assert result.gain("shuffled mask", 0.5)[0] == pytest.approx(0.10)


def test_the_table_names_what_each_ticket_is_compared_with() -> None:
    dense, ticket, new, shuffled = make_result().table_rows()
    assert (dense["network"], dense["ticket gains"]) == ("dense", "–")
    assert (ticket["accuracy"], ticket["ticket gains"]) == ("82.00%", "-9.00 points on dense")
    assert new["ticket gains"] == "+3.00 points on new weights"
    assert shuffled["ticket gains"] == "+10.00 points on shuffled mask"
    assert "Means of 2 seeds, judged on 500 images." in str(make_result())


def test_pairs_that_are_none() -> None:
    with pytest.raises(MeasurementError) as error:
        paired_gain((0.5,), (0.4,))
    assert str(error.value) == (
        "paired_gain got 1 and 1 values; it needs two pairs or more, from the same seeds."
    )
    with pytest.raises(MeasurementError, match="got 2 and 3 values"):
        paired_gain((0.5, 0.6), (0.4, 0.5, 0.6))


def test_an_arm_that_was_not_trained() -> None:
    with pytest.raises(
        MeasurementError, match=r"^There is no arm 'ticket' at sparsity 0\.9; trained were \[\("
    ):
        make_result().accuracies("ticket", 0.9)
