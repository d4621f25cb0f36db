import math

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx.reference import ReferenceEvaluator

from course_lib.pipelines import week07_exercises as week07
from course_lib.pipelines.exercises import Feedback
from course_lib.pipelines.week07_exercises import (
    TENSORS,
    check_blocked_place,
    check_foldable,
    check_folded_bias,
    check_most_gain,
    check_peak,
)


def wrong_with(feedback: Feedback, slip: str) -> bool:
    """Say whether an answer was refused, and for this reason."""
    return feedback.state == "wrong" and slip in feedback.text


def folded_bias(bias, gamma, beta, mean, variance, epsilon):
    return (bias - mean) * gamma / math.sqrt(variance + epsilon) + beta


def peak(tensors):
    return max(sum(size for size, first, last in tensors if first <= step <= last) for _, step, _ in tensors)


def place(c, h, w, height, width, block):
    return ((c // block * height + h) * width + w) * block + c % block


def gain(kernels, between, threads):
    return (kernels + between) / (kernels / threads + between)


def test_the_formulas_are_right() -> None:
    assert check_folded_bias(folded_bias).passed
    assert check_peak(peak).passed
    assert check_blocked_place(place).passed
    assert check_most_gain(gain).passed
    assert check_foldable({"a", "e"}).passed
    assert check_foldable(["e", "a"]).passed


def test_by_hand() -> None:
    assert folded_bias(1, 3, 5, 1, 3.5, 0.5) == 5  # the worked example of `conv_bn`
    assert [peak(tensors) for tensors in TENSORS] == [200, 400, 80]
    assert gain(80, 20, 2) == 100 / 60


@given(st.integers(0, 30), st.integers(0, 3), st.integers(0, 4), st.sampled_from([4, 8, 16]))
def test_every_place_is_that_of_an_array_really_blocked(c: int, h: int, w: int, block: int) -> None:
    blocked = np.zeros(((c // block + 1), 4, 5, block))
    blocked[c // block, h, w, c % block] = 1
    assert place(c, h, w, 4, 5, block) == int(blocked.ravel().argmax())


def test_the_printed_graph_is_the_one_that_is_folded() -> None:
    model = onnx.parser.parse_model(week07._whole_graph())
    onnx.checker.check_model(model, full_check=True)
    printed = [line.split()[0] for line in week07.GRAPH.strip().split("\n\n")[0].splitlines()]
    assert [node.output[0] for node in model.graph.node] == printed
    assert [value.name for value in model.graph.output] == ["scores", "d"]
    scores, d = ReferenceEvaluator(model).run(None, {"picture": np.ones((1, 1, 4, 4), np.float32)})
    assert scores.shape == d.shape == (1, 1, 4, 4)
    assert week07.foldable() == ("a", "e")


@pytest.mark.parametrize(
    ("wrong", "slip"),
    [
        (lambda b, g, s, m, v, e: s - m * g / math.sqrt(v + e) + b, "before you scale"),
        (lambda b, g, s, m, v, e: (b - m) * g / (math.sqrt(v) + e) + s, "under the root"),
        (lambda b, g, s, m, v, e: (b - m) * g / (v + e) + s, "the root of the variance"),
        (lambda b, g, s, m, v, e: b * g / math.sqrt(v + e) + s, "The mean is missing"),
        (lambda b, g, s, m, v, e: (b - m) * g / math.sqrt(v + e), "β is missing"),
        (lambda *norm: folded_bias(*norm) + 1, "expected 5. Why it matters"),
    ],
)
def test_slips_with_the_bias_are_named(wrong, slip: str) -> None:
    assert wrong_with(check_folded_bias(wrong), slip)


@pytest.mark.parametrize(
    ("answer", "slip"),
    [
        ({"a", "b", "e"}, "b cannot be folded: b is read by Add too"),
        ({"a", "c", "e"}, "stands a Relu"),
        ({"a", "d", "e"}, "is an output of the model"),
        ({"a"}, "e can be folded too"),
        (set(), "a can be folded too"),
        ({"a", "sum"}, "the convolutions are a, b, c, d, e"),
        ("ae", "expected a set of names"),
        (3, "your answer is 3"),
    ],
)
def test_slips_with_the_graph_are_named(answer, slip: str) -> None:
    assert wrong_with(check_foldable(answer), slip)


@pytest.mark.parametrize(
    ("wrong", "slip"),
    [
        (lambda tensors: sum(size for size, _, _ in tensors), "the sum of all tensors"),
        (lambda tensors: max(size for size, _, _ in tensors), "the largest tensor"),
        (
            lambda tensors: max(
                sum(size for size, first, last in tensors if first <= step < last) for step in range(9)
            ),
            "in the step that reads it last, too",
        ),
    ],
)
def test_slips_with_the_peak_are_named(wrong, slip: str) -> None:
    assert wrong_with(check_peak(wrong), slip)


@pytest.mark.parametrize(
    ("wrong", "slip"),
    [
        (lambda c, h, w, height, width, b: (c * height + h) * width + w, "plain NCHW"),
        (lambda c, h, w, height, width, b: ((c // b * height + h) * width + w) * b + c, "c % block"),
        (lambda c, h, w, height, width, b: (h * width + w) * b + c % b, "planes lie before it"),
        (lambda c, h, w, height, width, b: (c // b * height + h) * width + w + c % b, "Each pixel takes"),
    ],
)
def test_slips_with_the_layout_are_named(wrong, slip: str) -> None:
    assert wrong_with(check_blocked_place(wrong), slip)


@pytest.mark.parametrize(
    ("wrong", "slip"),
    [
        (lambda kernels, between, threads: threads, "Only the kernels are divided"),
        (lambda kernels, between, threads: 1 / gain(kernels, between, threads), "turn it over"),
        (lambda kernels, between, threads: kernels / (kernels / threads + between), "before and after"),
        (lambda kernels, between, threads: kernels / threads + between, "how many times shorter"),
    ],
)
def test_slips_with_threads_are_named(wrong, slip: str) -> None:
    assert wrong_with(check_most_gain(wrong), slip)


def test_untouched_exercises_are_open() -> None:
    untouched = [check_folded_bias, check_peak, check_blocked_place, check_most_gain]
    assert [check(lambda *arguments: ...).state for check in untouched] == ["open"] * 4
    assert check_foldable(...).state == "open"
