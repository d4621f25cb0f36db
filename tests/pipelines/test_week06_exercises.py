import itertools
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from course_lib.pipelines.exercises import Feedback
from course_lib.pipelines.week06_exercises import (
    BUDGET_BITS,
    COSTS,
    LOSSES,
    SIZES,
    WIDTHS,
    allocation_rows,
    check_allocation,
    check_average_bits,
    check_experiments,
    check_input_gradient,
    check_step_gradient,
)

BEST = {"first": 8, "middle": 4, "last": 2}


def wrong_with(feedback: Feedback, slip: str) -> bool:
    """Say whether an answer was refused, and for this reason."""
    return feedback.state == "wrong" and slip in feedback.text


def input_gradient(upstream, v, low, high):
    return upstream if low <= v <= high else 0


def step_gradient(v, low, high):
    return low if v < low else high if v > high else round(v) - v


def experiments(paths, run):
    return [partial(run, path) for path in paths]


def average(bits, sizes):
    return sum(b * n for b, n in zip(bits, sizes, strict=True)) / sum(sizes)


def test_the_formulas_are_right() -> None:
    assert check_input_gradient(input_gradient).passed
    assert check_step_gradient(step_gradient).passed
    assert check_average_bits(average).passed


def by_detaching(v, low, high):
    """Return both gradients by autograd, with the rounding added as a constant."""
    x, scale = torch.tensor(v, requires_grad=True), torch.tensor(1.0, requires_grad=True)
    clipped = (x / scale).clip(low, high)
    (scale * (clipped + (clipped.round() - clipped).detach())).backward()
    return float(x.grad), float(scale.grad)


@given(v=st.floats(-20, 20, width=32).filter(lambda v: abs(abs(v) - 7) > 1e-3))
def test_the_formulas_are_those_of_autograd(v: float) -> None:
    expected = (input_gradient(1.0, v, -7, 7), step_gradient(v, -7, 7))
    assert by_detaching(v, -7, 7) == pytest.approx(expected, abs=1e-5)


def test_autograd_is_right_too() -> None:
    assert check_step_gradient(lambda v, low, high: by_detaching(v, low, high)[1]).passed


@pytest.mark.parametrize(
    ("wrong", "slip"),
    [
        (lambda upstream, v, low, high: 0.0, "the true gradient of rounding"),
        (lambda upstream, v, low, high: upstream, "Values outside the range are clipped"),
        (lambda upstream, v, low, high: float(low <= v <= high), "this is the chain rule"),
        (lambda upstream, v, low, high: upstream * (v < low or v > high), "kept the values outside"),
        (lambda upstream, v, low, high: upstream + 1, "expected 1. Why it matters"),
    ],
)
def test_slips_with_the_gradient_are_named(wrong, slip: str) -> None:
    assert wrong_with(check_input_gradient(wrong), slip)


@pytest.mark.parametrize(
    ("wrong", "slip"),
    [
        (lambda v, low, high: min(max(round(v), low), high), "the second one gives the − v"),
        (
            lambda v, low, high: (
                -step_gradient(v, low, high) if abs(v) <= high else step_gradient(v, low, high)
            ),
            "wrong way",
        ),
        (lambda v, low, high: min(max(round(v), low), high) - v, "no − v"),
        (lambda v, low, high: input_gradient(round(v) - v, v, low, high), "the step still matters"),
    ],
)
def test_slips_with_the_step_are_named(wrong, slip: str) -> None:
    assert wrong_with(check_step_gradient(wrong), slip)


def with_default(paths, run):
    return [lambda path=path: run(path) for path in paths]


def with_factory(paths, run):
    def make(path):
        return lambda: run(path)

    return [make(path) for path in paths]


def late(paths, run):
    return [lambda: run(path) for path in paths]  # noqa: B023  (the very slip)


def early(paths, run):
    return [partial(str, run(path)) for path in paths]


@pytest.mark.parametrize("right", [experiments, with_default, with_factory])
def test_every_usual_cure_of_the_closure_is_right(right) -> None:
    assert check_experiments(right).passed


@pytest.mark.parametrize(
    ("wrong", "slip"),
    [
        (late, "run classifier, classifier, classifier. The name is looked up when"),
        (lambda paths, run: [run(path) for path in paths], "'str' object is not callable"),
        (early, "put off the call"),
        (lambda paths, run: [], "your functions run nothing. Expected one function a layer"),
        (lambda paths, run: experiments(paths[::-1], run), "in the same order"),
        (lambda paths, run: 3, "stopped with TypeError"),
    ],
)
def test_slips_with_the_closure_are_named(wrong, slip: str) -> None:
    assert wrong_with(check_experiments(wrong), slip)


@pytest.mark.parametrize(
    ("wrong", "slip"),
    [
        (lambda bits, sizes: sum(bits) / len(bits), "the average over layers"),
        (lambda bits, sizes: average(bits, sizes) * sum(sizes), "the total of all bits"),
        (lambda bits, sizes: average(bits, sizes) * sum(sizes) / len(sizes), "not by the number of layers"),
    ],
)
def test_slips_with_the_average_are_named(wrong, slip: str) -> None:
    assert wrong_with(check_average_bits(wrong), slip)


def test_the_best_bits_are_found_by_trying_all() -> None:
    def total(table, bits):
        return sum(table[layer][width] for layer, width in bits.items())

    every = [dict(zip(SIZES, widths, strict=True)) for widths in itertools.product(WIDTHS, repeat=len(SIZES))]
    affordable = [bits for bits in every if total(COSTS, bits) <= BUDGET_BITS]
    assert min(affordable, key=lambda bits: total(LOSSES, bits)) == BEST
    assert [bits for bits in every if check_allocation(bits).passed] == [BEST]
    assert check_allocation(BEST).text.startswith("your choice takes 5,600 of 6,000 bits and loses 0.17")


@pytest.mark.parametrize(
    ("answer", "slip"),
    [
        (dict.fromkeys(SIZES, 4), "0.17 is possible. The same bits everywhere"),
        (dict.fromkeys(SIZES, 2), "loses 2.16, but 0.17 is possible."),
        ({**BEST, "last": 4}, "takes 6,400 of 6,000 bits and loses 0.13: that is 400 bits too many."),
        ({**BEST, "first": 4}, "Ask of each layer how much loss one more bit"),
        ({**BEST, "last": 3}, "each one of 2, 4, 8; your answer is"),
        ({"first": 8}, "expected a dictionary with the bits of first, middle, last"),
        (4, "give a dictionary"),
    ],
)
def test_slips_with_the_budget_are_named(answer, slip: str) -> None:
    assert wrong_with(check_allocation(answer), slip)


def test_the_table_of_the_exercise_is_what_is_checked() -> None:
    assert allocation_rows()[1] == {
        "layer": "middle",
        "weights": "1,000",
        "loss at 2 bits": "1.2",
        "loss at 4 bits": "0.1",
        "loss at 8 bits": "0",
    }


def test_untouched_exercises_are_open() -> None:
    untouched = [check_input_gradient, check_step_gradient, check_experiments, check_average_bits]
    states = [check(lambda *arguments: ...).state for check in untouched]
    states += [check_allocation(...).state, check_allocation({**BEST, "last": ...}).state]
    assert states == ["open"] * 6
