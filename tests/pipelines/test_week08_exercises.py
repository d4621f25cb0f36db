import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.pipelines.exercises import Feedback
from course_lib.pipelines.week08_exercises import (
    DEVICES,
    FILES,
    NEEDED,
    NEEDLESS,
    check_break_even,
    check_files,
    check_half_step,
    check_key,
    check_worst_difference,
    device_rows,
    file_rows,
)

KEY = {"model", "compiler version", "options", "precision", "device"}
BEST = {"phone": "LiteRT int8", "till": "OpenVINO fp32", "robot": "TensorRT fp16 for SM89"}


def wrong_with(feedback: Feedback, slip: str) -> bool:
    """Say whether an answer was refused, and for this reason."""
    return feedback.state == "wrong" and slip in feedback.text


def half_step(x):
    return 2.0 ** (math.floor(math.log2(x)) - 10)


def worst(reference, candidate):
    return max(abs(a - b) for a, b in zip(reference, candidate, strict=True))


def break_even(build_s, slow_ms, fast_ms):
    return math.ceil(1000 * build_s / (slow_ms - fast_ms))


def test_the_answers_are_right() -> None:
    assert check_key(KEY).passed
    assert check_half_step(half_step).passed
    assert check_worst_difference(worst).passed
    assert check_break_even(break_even).passed
    assert check_files(BEST).passed


def test_by_hand() -> None:
    assert half_step(1.0) == 2**-10
    assert half_step(100.0) == 0.0625  # 64 to 128 in 1,024 steps
    assert break_even(2.0, 1.0, 0.7) == 6667
    assert worst([0.0, -1.0], [0.25, -2.0]) == 1.0


@given(st.floats(2**-14, 60000))
def test_the_step_is_that_of_float16(x: float) -> None:
    lower = np.float16(2.0 ** math.floor(math.log2(x)))
    assert half_step(x) == float(np.nextafter(lower, np.float16(np.inf)) - lower)


def test_numpy_is_right_too() -> None:
    assert check_half_step(lambda x: float(np.spacing(np.float16(2.0 ** np.floor(np.log2(x)))))).passed
    assert check_worst_difference(lambda a, b: np.abs(np.array(a) - b).max()).passed


@pytest.mark.parametrize("missing", NEEDED)
def test_what_is_missing_in_a_key_is_told_by_what_goes_wrong(missing: str) -> None:
    assert wrong_with(check_key(KEY - {missing}), NEEDED[missing])


@pytest.mark.parametrize("needless", NEEDLESS)
def test_what_is_needless_in_a_key_is_named(needless: str) -> None:
    assert wrong_with(check_key(KEY | {needless}), f"{needless} does not belong into the key")


def test_other_facts_are_refused() -> None:
    assert wrong_with(check_key({"weather"}), "expected a set with some of compiler version, device")
    assert wrong_with(check_key("model"), "your answer is 'model'")
    assert wrong_with(check_key(5), "your answer is 5")


@pytest.mark.parametrize(
    ("wrong", "slip"),
    [
        (lambda x: half_step(x) / 2, "the largest rounding error"),
        (lambda x: 2**-10, "from each power of two to the next it doubles"),
        (lambda x: x / 1024, "round the exponent down"),
        (lambda x: float(np.spacing(np.float32(x))), "float16 has 10"),
    ],
)
def test_slips_with_half_precision_are_named(wrong, slip: str) -> None:
    assert wrong_with(check_half_step(wrong), slip)


@pytest.mark.parametrize(
    ("wrong", "slip"),
    [
        (lambda a, b: np.mean(np.abs(np.subtract(a, b))), "vanishes in it"),
        (lambda a, b: max(np.subtract(b, a)), "in both directions count"),
        (lambda a, b: max(np.subtract(a, b)), "the other way round"),
        (lambda a, b: abs(max(a) - max(b)), "score by score"),
    ],
)
def test_slips_with_parity_are_named(wrong, slip: str) -> None:
    assert wrong_with(check_worst_difference(wrong), slip)


@pytest.mark.parametrize(
    ("wrong", "slip"),
    [
        (lambda build, slow, fast: math.ceil(build / (slow - fast)), "Mind the units"),
        (lambda build, slow, fast: math.ceil(1000 * build / slow), "the difference of the two"),
        (lambda build, slow, fast: math.ceil(1000 * build / fast), "what a run saves"),
        (lambda build, slow, fast: 1000 * build / (slow - fast), "Runs are whole"),
        (lambda build, slow, fast: 1000 * build // (slow - fast), "has not quite paid yet"),
    ],
)
def test_slips_with_the_first_launch_are_named(wrong, slip: str) -> None:
    assert wrong_with(check_break_even(wrong), slip)


def test_only_one_choice_of_files_is_best() -> None:
    passed = [
        (phone, till, robot)
        for phone in FILES
        for till in FILES
        for robot in FILES
        if check_files({"phone": phone, "till": till, "robot": robot}).passed
    ]
    assert passed == [tuple(BEST.values())]


@pytest.mark.parametrize(
    ("device", "file", "slip"),
    [
        ("phone", "OpenVINO int8", "it runs on x86, and the device is Android"),
        ("phone", "ONNX Runtime int8", "it has 64 kB, and 60 kB are allowed"),
        ("till", "OpenVINO int8", "it is off by 0.4, and 0.0001 is allowed"),
        ("till", "ONNX Runtime fp32", "there is a faster file that does too"),
        ("robot", "TensorRT fp16 for SM86", "it runs on SM86, and the device is SM89"),
        ("robot", "TensorRT int8 for SM89", "it is off by 0.2"),
        ("robot", "PyTorch", "each with a name from the table"),
    ],
)
def test_slips_with_the_files_are_named(device: str, file: str, slip: str) -> None:
    assert wrong_with(check_files({**BEST, device: file}), slip)


def test_the_tables_of_the_exercise_are_what_is_checked() -> None:
    assert len(file_rows()) == len(FILES)
    assert device_rows()[0] == {
        "device": "phone",
        "runs": "Android",
        "file at most": "60 kB",
        "worst difference at most": "0.5",
    }
    assert [row["device"] for row in device_rows()] == list(DEVICES)
    assert file_rows()[2]["worst difference"] == "1e-06"


def test_untouched_exercises_are_open() -> None:
    untouched = [check_half_step, check_worst_difference, check_break_even]
    states = [check(lambda *arguments: ...).state for check in untouched]
    states += [check_key(...).state, check_files(...).state, check_files({**BEST, "till": ...}).state]
    assert states == ["open"] * 6
    assert check_files(3).state == "wrong"
