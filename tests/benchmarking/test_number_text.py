import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.benchmarking.number_text import format_bytes, significant


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.012345, "0.0123"),
        (1.2345, "1.23"),
        (0.9996, "1.00"),
        (12.345, "12.3"),
        (1234.5, "1,230"),
        (0, "0"),
        (-2.5, "-2.50"),
        (math.nan, "–"),
        (math.inf, "–"),
    ],
)
def test_three_significant_digits_by_hand(value: float, text: str) -> None:
    assert significant(value) == text


@given(st.floats(1e-9, 1e12))
def test_the_text_is_within_half_a_unit_of_the_third_digit(value: float) -> None:
    shown = float(significant(value).replace(",", ""))
    assert abs(shown - value) <= 0.00501 * value


@given(st.floats(1e-9, 1e12))
def test_the_text_agrees_with_the_formatter_of_python(value: float) -> None:
    assert float(significant(value).replace(",", "")) == pytest.approx(float(f"{value:.3g}"), rel=1e-9)


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.00 kB"),
        (147_496, "147 kB"),
        (999_600, "1.00 MB"),
        (3e13, "30.0 TB"),
    ],
)
def test_sizes_are_in_decimal_units(size_bytes: float, text: str) -> None:
    assert format_bytes(size_bytes) == text
