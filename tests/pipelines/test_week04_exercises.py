import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.pipelines.exercises import Feedback
from course_lib.pipelines.week04_exercises import (
    LAYERS,
    check_cubic,
    check_mask,
    check_rank,
    check_tied,
    check_two_four,
)

TIED = {"a", "norm_a", "b", "norm_b", "c"}


def wrong_with(feedback: Feedback, slip: str) -> bool:
    """Say whether an answer was refused, and for this reason."""
    return feedback.state == "wrong" and slip in feedback.text


def mask(weights, sparsity):
    order = sorted(range(len(weights)), key=lambda index: abs(weights[index]))
    gone = order[: round(sparsity * len(weights))]
    return [index not in gone for index in range(len(weights))]


def two_four(weights):
    return [
        sum(abs(other) > abs(w) for other in weights[index - index % 4 : index - index % 4 + 4]) < 2
        for index, w in enumerate(weights)
    ]


def cubic(step, steps, target):
    return target * (1 - (1 - step / steps) ** 3)


def rank(rows, columns):
    return max(r for r in range(rows * columns) if r * (rows + columns) < rows * columns)


def test_the_usual_answers_are_right() -> None:
    assert check_mask(mask).passed
    assert check_mask(lambda weights, sparsity: [int(each) for each in mask(weights, sparsity)]).passed
    assert check_two_four(two_four).passed
    assert check_cubic(cubic).passed
    assert check_rank(rank).passed
    assert check_tied(TIED).passed
    assert check_tied(sorted(TIED)).passed


def test_only_one_set_of_layers_is_right() -> None:
    sets = [set(some) for n in range(7) for some in itertools.combinations(LAYERS, n)]
    assert [each for each in sets if check_tied(each).passed] == [TIED]


@given(st.integers(1, 300), st.integers(1, 300))
def test_the_largest_rank_is_the_last_that_saves(rows: int, columns: int) -> None:
    largest = (rows * columns - 1) // (rows + columns)
    assert largest * (rows + columns) < rows * columns <= (largest + 1) * (rows + columns)


@pytest.mark.parametrize(
    ("wrong", "slip"),
    [
        (lambda weights, sparsity: [not each for each in mask(weights, sparsity)], "In a mask 1 means keep"),
        (lambda weights, sparsity: mask([1 / (1 + abs(w)) for w in weights], sparsity), "pruned the largest"),
        (lambda weights, sparsity: mask([w + 100 for w in weights], sparsity), "not a small one"),
        (
            lambda weights, sparsity: [
                sparsity == 0 or abs(w) > sorted(map(abs, weights))[round(sparsity * len(weights)) - 1]
                for w in weights
            ],
            "the first ones",
        ),
        (lambda weights, sparsity: [True] * len(weights), "[1, 1, 1, 1], expected [1, 0, 0, 1]. Why it"),
        (lambda weights, sparsity: 3, "stopped with TypeError"),
        (lambda weights, sparsity: weights[9], "stopped with IndexError: list index out of range."),
    ],
)
def test_slips_with_the_mask_are_named(wrong, slip: str) -> None:
    assert wrong_with(check_mask(wrong), slip)


@pytest.mark.parametrize(
    ("wrong", "slip"),
    [
        (lambda weights: mask(weights, 0.5), "each four must keep two of their own"),
        (lambda weights: [not each for each in two_four(weights)], "two smallest of each four"),
        (lambda weights: two_four([w + 100 for w in weights]), "the magnitude |w|, not the value"),
        (lambda weights: [True, False] * (len(weights) // 2), "fixed places"),
        (lambda weights: [True] * len(weights), "expected [0, 1, 0, 1, 0, 0, 1, 1]. Why it"),
    ],
)
def test_slips_with_two_four_are_named(wrong, slip: str) -> None:
    assert wrong_with(check_two_four(wrong), slip)


@pytest.mark.parametrize(
    ("answer", "slip"),
    [
        ({"a"}, "batch norm behind a"),
        (TIED - {"b"}, "b reads the channel"),
        (TIED - {"norm_b"}, "b's output is added to a's"),
        (TIED - {"a"}, "the filter itself"),
        (TIED - {"c"}, "c reads the sum"),
        (TIED | {"d"}, "d reads the channels of c"),
        ({"conv1"}, "out of a, norm_a, b, norm_b, c, d; your answer is {'conv1'}"),
        ("a", "some are missing"),
        (7, "your answer is 7"),
    ],
)
def test_slips_with_tied_layers_are_named(answer, slip: str) -> None:
    assert wrong_with(check_tied(answer), slip)


@pytest.mark.parametrize(
    ("wrong", "slip"),
    [
        (lambda step, steps, target: target * step / steps, "the linear schedule"),
        (lambda step, steps, target: target * (step / steps) ** 3, "slowly first"),
        (lambda step, steps, target: target - cubic(step, steps, target), "still missing"),
        (lambda step, steps, target: cubic(step, steps, 1), "Multiply by the target"),
        (lambda step, steps, target: target, "expected 0.4625. Why it"),
    ],
)
def test_slips_with_the_schedule_are_named(wrong, slip: str) -> None:
    assert wrong_with(check_cubic(wrong), slip)


@pytest.mark.parametrize(
    ("wrong", "slip"),
    [
        (lambda m, n: m * n / (m + n), "a whole number"),
        (lambda m, n: m * n // (m + n), "exactly as much"),
        (min, "the full rank"),
        (lambda m, n: -(-m * n // (m + n)), "Rounding up"),
        (lambda m, n: 1, "expected 63. Why it matters"),
    ],
)
def test_slips_with_the_rank_are_named(wrong, slip: str) -> None:
    assert wrong_with(check_rank(wrong), slip)


def test_untouched_exercises_are_open() -> None:
    untouched = [check_mask, check_two_four, check_cubic, check_rank]
    states = [check(lambda *arguments: ...).state for check in untouched]
    assert [*states, check_tied(...).state, check_tied(None).state] == ["open"] * 6
