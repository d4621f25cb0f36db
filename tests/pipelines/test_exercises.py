import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.pipelines.exercises import Feedback, check_function, check_value

numbers = st.floats(-1e9, 1e9, allow_nan=False)


def check(answer: object, expected: float | str = 36) -> Feedback:
    return check_value(
        answer,
        expected,
        what="the MACs",
        why="they bound the work.",
        mistakes={9: "One a pixel.", "b": "No."},
    )


def check_double(function) -> Feedback:
    return check_function(
        function,
        [([1, 2],), ([4],)],
        lambda value, items: math.isclose(value, 2 * sum(items)),
        expected=lambda items: 2 * sum(items),
        what="your double",
        why="twice is not once.",
        mistakes={"This is the sum itself.": sum},
    )


@pytest.mark.parametrize("answer", [None, ...])
def test_an_untouched_exercise_is_open(answer: object) -> None:
    feedback = check(answer)
    assert feedback.state == "open"
    assert str(feedback) == (
        "Open: put your answer for the MACs in the place of ..., and run both cells again."
    )


@pytest.mark.parametrize("answer", [36, 36.0, np.int64(36), np.float32(36)])
def test_a_right_number(answer: object) -> None:
    assert str(check(answer)) == "Right: 36 for the MACs. They bound the work."
    assert check(answer).passed


def test_a_wrong_number_names_the_slip_and_the_reason() -> None:
    assert str(check(9)) == (
        "Not yet: expected 36 for the MACs, and your answer is 9. One a pixel. "
        "Why it matters: they bound the work."
    )
    assert "One a pixel" not in check(10).text


@pytest.mark.parametrize("answer", ["a lot", [36], np.array([36, 36]), float("nan"), {}])
def test_what_is_no_number_is_wrong_and_no_error(answer: object) -> None:
    assert check(answer).state == "wrong"
    assert repr(answer) in check(answer).text


def test_names_are_compared_as_text() -> None:
    assert check(" a ", "a").passed
    assert str(check("b", "a")).startswith("Not yet: expected 'a' for the MACs, and your answer is 'b'. No.")
    assert check(36, "36").state == "wrong"


@given(expected=numbers, error=st.floats(-1e-3, 1e-3))
def test_the_tolerance_is_relative(expected: float, error: float) -> None:
    answer = expected * (1 + error)
    feedback = check_value(answer, expected, what="it", why="so.", relative_tolerance=1e-4)
    assert feedback.passed == bool(np.isclose(answer, expected, rtol=1e-4, atol=0)) or (
        abs(abs(error) - 1e-4) < 1e-7
    )


def test_an_unwritten_function_is_open() -> None:
    assert str(check_double(lambda items: ...)) == (
        "Open: write your double in the place of ..., and run both cells again."
    )
    assert check_double(lambda items: None).state == "open"


def test_a_right_function_and_a_wrong_one() -> None:
    assert str(check_double(lambda items: sum(items) * 2)) == (
        "Right: your double agrees with the reference on all 2 cases. Twice is not once."
    )
    assert str(check_double(sum)) == (
        "Not yet: for [1, 2] your double gives 3, expected 6. This is the sum itself. "
        "Why it matters: twice is not once."
    )
    assert "the sum itself" not in check_double(lambda items: 7).text


def test_a_function_that_fails_is_told_with_its_arguments() -> None:
    feedback = check_double(lambda items: items[1])
    assert feedback.state == "wrong"
    assert feedback.text == (
        "your double stopped with IndexError: list index out of range. It was called with [4]."
    )


def test_a_function_may_change_what_it_gets() -> None:
    def emptying(items: list[int]) -> int:
        total = 0
        while items:
            total += 2 * items.pop()
        return total

    assert check_double(emptying).passed


def test_long_arguments_are_cut_and_odd_results_are_shown() -> None:
    feedback = check_function(
        lambda items: "many",
        [(list(range(100)),)],
        lambda value, items: True,
        expected=len,
        what="your count",
        why="so.",
    )
    assert feedback.text.startswith("for [0, 1, 2, 3,")
    assert "… your count gives 'many', expected 100." in feedback.text


def test_feedback_shows_its_state_in_words_and_escapes() -> None:
    shown = Feedback("wrong", "expected 1 < 2")._repr_html_()
    assert "Not yet." in shown
    assert "Expected 1 &lt; 2" in shown
    assert 'role="status"' in shown
    assert repr(Feedback("right", "fine")) == "Right: fine"
