import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.pipelines.week05_exercises import (
    check_bits,
    check_code,
    check_pair_sum,
    check_stored_bits,
    check_weakest_layer,
    check_zero_point,
)


def zero_point(low: float, high: float, bits: int) -> float:
    low, high = min(low, 0), max(high, 0)
    return -round(low / ((high - low) / (2**bits - 1)))


def code(x: float, scale: float, zero: int) -> float:
    return min(max(round(x / scale) + zero, 0), 255)


def clip(value: float) -> float:
    return min(max(value, 0), 255)


def test_the_formulas_are_right() -> None:
    assert check_zero_point(zero_point).passed
    assert check_code(code).passed
    assert check_bits(lambda wanted_db: math.ceil((wanted_db - 1.77) / 6.02)).passed
    assert check_stored_bits(5).passed
    assert check_pair_sum(32767).passed


def test_the_lesson_s_example_by_hand() -> None:
    # 2.5 / (5.5 / 255) = 115.9
    assert zero_point(-2.5, 3.0, 8) == 116
    assert "for -2.5, 3.0, 8 your zero point gives 115, expected 116" in check_zero_point(lambda *_: 115).text


ZERO_SLIPS = [
    (lambda low, high, bits: -min(low, 0) * (2**bits - 1) / (max(high, 0) - min(low, 0)), "whole number"),
    (lambda *case: -zero_point(*case), "The sign is turned round"),
    (
        lambda low, high, bits: int(-min(low, 0) * (2**bits - 1) / (max(high, 0) - min(low, 0))),
        "cut off instead of rounded",
    ),
    (lambda low, high, bits: -round(low * (2**bits - 1) / (high - low)), "Widen the range first"),
    (
        lambda low, high, bits: -round(min(low, 0) * 2**bits / (max(high, 0) - min(low, 0))),
        "2^b − 1 steps",
    ),
]
CODE_SLIPS = [
    (lambda x, scale, zero: round(x / scale) + zero, "clipped to 0 … 255"),
    (lambda x, scale, zero: clip(int(x / scale) + zero), "cut off instead of rounded"),
    (lambda x, scale, zero: clip(round(x / scale)), "The zero point has to be added"),
    (lambda x, scale, zero: clip(round((x + zero) / scale)), "after dividing"),
    (lambda x, scale, zero: clip(round(x * scale) + zero), "Divide by the scale"),
]
BITS_SLIPS = [
    (lambda db: (db - 1.76) / 6.02, "Bits come whole"),
    (lambda db: math.floor((db - 1.76) / 6.02), "Rounding down falls short"),
    (lambda db: round((db - 1.76) / 6.02), "Rounding to the nearest"),
    (lambda db: math.ceil(db / 6.02), "1.76 dB of a sine are missing"),
    (lambda db: math.ceil((db + 1.76) / 6.02), "have to be subtracted"),
]


@pytest.mark.parametrize(
    ("check", "wrong", "slip"),
    [
        *((check_zero_point, *case) for case in ZERO_SLIPS),
        *((check_code, *case) for case in CODE_SLIPS),
        *((check_bits, *case) for case in BITS_SLIPS),
    ],
)
def test_slips_in_functions_are_named(check, wrong, slip: str) -> None:
    feedback = check(wrong)
    assert feedback.state == "wrong"
    assert slip in feedback.text


@pytest.mark.parametrize(
    ("check", "answer", "slip"),
    [
        (check_stored_bits, 4, "scale has to be stored too"),
        (check_stored_bits, 36, "One scale serves 32 weights"),
        (check_stored_bits, 8, "count all in bits"),
        (check_stored_bits, 4.25, "32-bit floats"),
        (check_stored_bits, 160, "what the whole group costs"),
        (check_pair_sum, 64770, "This is the exact sum"),
        (check_pair_sum, -766, "This wraps around"),
        (check_pair_sum, 32385, "one of the two products"),
        (check_pair_sum, 65535, "without a sign"),
        (check_pair_sum, 32768, "one less"),
    ],
)
def test_slips_with_numbers_are_named(check, answer: float, slip: str) -> None:
    assert check(answer).state == "wrong"
    assert slip in check(answer).text


def test_the_weakest_layer_is_the_one_with_the_lowest_ratio() -> None:
    ratios, largest = {"a": 30.0, "b": 0.5, "c": 41.0}, {"a": 9.0, "b": 2.0, "c": 1.0}
    assert check_weakest_layer("b", ratios, largest).passed
    assert "what hurts is a large channel beside small ones" in check_weakest_layer("a", ratios, largest).text
    assert "the best ratio of all" in check_weakest_layer("c", ratios, largest).text
    assert check_weakest_layer("d", ratios, largest).state == "wrong"


@given(low=st.floats(-50, 50), width=st.floats(0.1, 50), bits=st.integers(2, 8))
def test_a_zero_point_is_a_code(low: float, width: float, bits: int) -> None:
    assert 0 <= zero_point(low, low + width, bits) <= 2**bits - 1


def test_untouched_exercises_are_open() -> None:
    open_ones = [check(lambda *_: ...) for check in (check_zero_point, check_code, check_bits)]
    open_ones += [
        check_stored_bits(...),
        check_pair_sum(...),
        check_weakest_layer(..., {"a": 1.0}, {"a": 1.0}),
    ]
    assert [feedback.state for feedback in open_ones] == ["open"] * 6
