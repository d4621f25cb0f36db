import itertools
import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.benchmarking.paired import paired_gain
from course_lib.pipelines.exercises import Feedback
from course_lib.pipelines.week03_exercises import (
    FAIR,
    STUDIES,
    check_adapter,
    check_fair,
    check_low_end,
    check_others,
    check_soft_loss,
    check_soft_target,
)


def wrong_with(feedback: Feedback, slip: str) -> bool:
    """Say whether an answer was refused, and for this reason."""
    return feedback.state == "wrong" and slip in feedback.text


def softmax(scores, temperature=1.0):
    parts = [math.exp(score / temperature) for score in scores]
    return [part / sum(parts) for part in parts]


def soft_target(scores, temperature, label):
    return softmax(scores, temperature)[label]


def divergence(p, q):
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))


def soft_loss(teacher, student, temperature):
    return temperature**2 * divergence(softmax(teacher, temperature), softmax(student, temperature))


def others(teacher, student, label):
    return divergence(*(softmax([*row[:label], *row[label + 1 :]]) for row in (teacher, student)))


def target(teacher, student, label):
    p, q = softmax(teacher)[label], softmax(student)[label]
    return divergence((p, 1 - p), (q, 1 - q))


def adapter(student, teacher):
    return 0 if student[0] == teacher[0] else student[0] * teacher[0]


def low_end(first, second, t):
    differences = [a - b for a, b in zip(first, second, strict=True)]
    return statistics.mean(differences) - t * statistics.stdev(differences) / math.sqrt(len(differences))


def test_the_usual_answers_are_right() -> None:
    assert check_soft_target(soft_target).passed
    assert check_soft_loss(soft_loss).passed
    assert check_others(others).passed
    assert check_adapter(adapter).passed
    assert check_low_end(low_end).passed
    assert check_fair(FAIR).passed
    assert check_fair(sorted(FAIR)).passed


def test_only_one_set_of_comparisons_is_right() -> None:
    sets = [set(some) for n in range(7) for some in itertools.combinations(STUDIES, n)]
    assert [each for each in sets if check_fair(each).passed] == [FAIR]


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=2))
def test_the_low_end_is_that_of_the_library(pairs) -> None:
    first, second = zip(*pairs, strict=True)
    assert low_end(first, second, 12.7062047) == pytest.approx(
        paired_gain(first, second)[1].low, rel=1e-6, abs=1e-9
    )


@pytest.mark.parametrize(
    ("wrong", "slip"),
    [
        (lambda scores, t, label: softmax(scores)[label] / t, "not the probabilities"),
        (lambda scores, t, label: softmax(scores, 1 / t)[label], "makes the teacher surer"),
        (lambda scores, t, label: softmax(scores)[label], "the softmax at T = 1"),
        (lambda scores, t, label: math.exp(scores[label] / t), "add up to 1"),
        (lambda scores, t, label: scores[label] / sum(scores), "Take the exponential"),
        (lambda scores, t, label: 0.5, "for [2.0, 0.0], 1.0, 0 your soft target gives 0.5, expected 0.8808."),
        (lambda scores, t, label: scores[9], "stopped with IndexError"),
    ],
)
def test_slips_with_the_soft_target_are_named(wrong, slip: str) -> None:
    assert wrong_with(check_soft_target(wrong), slip)


@pytest.mark.parametrize(
    ("wrong", "slip"),
    [
        (lambda p, q, t: soft_loss(p, q, t) / t**2, "multiply it by T²"),
        (lambda p, q, t: soft_loss(p, q, t) / t, "not by T"),
        (lambda p, q, t: soft_loss(q, p, t), "The two are exchanged: the teacher's"),
        (lambda p, q, t: soft_loss(q, p, t) / t**2, "the factor T² is missing"),
        (
            lambda p, q, t: (
                -(t**2) * sum(a * math.log(b) for a, b in zip(softmax(p, t), softmax(q, t), strict=True))
            ),
            "the cross-entropy with the soft targets",
        ),
        (lambda p, q, t: -soft_loss(p, q, t), "never below 0"),
        (lambda p, q, t: 1.0, "expected 0.4438. Why it"),
    ],
)
def test_slips_with_the_soft_loss_are_named(wrong, slip: str) -> None:
    assert wrong_with(check_soft_loss(wrong), slip)


@pytest.mark.parametrize(
    ("wrong", "slip"),
    [
        (
            lambda p, q, label: sum(
                a * math.log(a / b)
                for i, (a, b) in enumerate(zip(softmax(p), softmax(q), strict=True))
                if i != label
            ),
            "add up to 1 again",
        ),
        (lambda p, q, label: (1 - softmax(p)[label]) * others(p, q, label), "the factor 1 − p"),
        (target, "This is TCKD"),
        (lambda p, q, label: soft_loss(p, q, 1), "leave the label out"),
        (lambda p, q, label: others(q, p, label), "are exchanged"),
    ],
)
def test_slips_with_the_other_classes_are_named(wrong, slip: str) -> None:
    assert wrong_with(check_others(wrong), slip)


@pytest.mark.parametrize(
    ("wrong", "slip"),
    [
        (lambda s, t: s[0] * t[0], "no adapter is needed"),
        (lambda s, t: math.prod(s) * t[0] if s[0] != t[0] else 0, "the same weights at every place"),
        (lambda s, t: 9 * adapter(s, t), "not 3×3"),
        (lambda s, t: (s[0] + 1) * t[0] if s[0] != t[0] else 0, "has no bias"),
        (lambda s, t: 1, "expected 768. Why it matters"),
    ],
)
def test_slips_with_the_adapter_are_named(wrong, slip: str) -> None:
    assert wrong_with(check_adapter(wrong), slip)


@pytest.mark.parametrize(
    ("wrong", "slip"),
    [
        (
            lambda a, b, t: (
                statistics.mean(a)
                - statistics.mean(b)
                - t * math.sqrt((statistics.variance(a) + statistics.variance(b)) / len(a))
            ),
            "differences seed by seed first",
        ),
        (
            lambda a, b, t: (
                statistics.mean(x - y for x, y in zip(a, b, strict=True))
                - t * statistics.pstdev([x - y for x, y in zip(a, b, strict=True)]) / math.sqrt(len(a))
            ),
            "divides by n − 1",
        ),
        (
            lambda a, b, t: (
                statistics.mean(x - y for x, y in zip(a, b, strict=True))
                - t * statistics.stdev([x - y for x, y in zip(a, b, strict=True)])
            ),
            "√n times smaller",
        ),
        (lambda a, b, t: statistics.mean(a) - statistics.mean(b), "the mean gain"),
        (lambda a, b, t: -low_end(b, a, t), "the upper end"),
    ],
)
def test_slips_with_the_interval_are_named(wrong, slip: str) -> None:
    assert wrong_with(check_low_end(wrong), slip)


@pytest.mark.parametrize(
    ("answer", "slip"),
    [
        ({"A"}, "In E both were tuned"),
        ({"E"}, "A is this week's study"),
        (FAIR | {"B"}, "the budgets differ"),
        (FAIR | {"C"}, "rewards spread"),
        (FAIR | {"D"}, "another seed could turn"),
        (FAIR | {"F"}, "the larger network"),
        ({"Z"}, "out of A, B, C, D, E, F; your answer is {'Z'}"),
        ("A", "missing or too many"),
        (7, "your answer is 7"),
    ],
)
def test_slips_with_fairness_are_named(answer, slip: str) -> None:
    assert wrong_with(check_fair(answer), slip)


def test_untouched_exercises_are_open() -> None:
    untouched = [check_soft_target, check_soft_loss, check_others, check_adapter, check_low_end]
    states = [check(lambda *arguments: ...).state for check in untouched]
    assert [*states, check_fair(...).state, check_fair(None).state] == ["open"] * 7
