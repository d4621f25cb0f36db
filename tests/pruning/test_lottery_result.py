"""Arms and their differences, the table, and errors."""

import pytest

from course_lib.benchmarking import record_machine
from course_lib.errors import MeasurementError
from course_lib.pruning.lottery_result import LotteryResult, TicketRecord


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


def test_an_arm_that_was_not_trained() -> None:
    with pytest.raises(
        MeasurementError, match=r"^There is no arm 'ticket' at sparsity 0\.9; trained were \[\("
    ):
        make_result().accuracies("ticket", 0.9)
