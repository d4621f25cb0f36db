import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.distillation.ranges import (
    HIGHEST,
    LOWEST,
    require_alpha,
    require_temperature,
    require_weights,
)
from course_lib.errors import SettingError


def test_bounds_are_allowed() -> None:
    for alpha in (0, 1, np.float32(0.5)):
        require_alpha(alpha)
    for temperature in (LOWEST, 1, HIGHEST, np.float64(4)):
        require_temperature(temperature)
    require_weights(beta=0.0, gamma=1e9)


@given(st.floats(LOWEST, HIGHEST), st.floats(0, 1), st.floats(0, 1e300))
def test_all_between_is_allowed(temperature: float, alpha: float, weight: float) -> None:
    require_temperature(temperature)
    require_alpha(alpha)
    require_weights(weight=weight)


@pytest.mark.parametrize(
    ("temperature", "shown"),
    [
        (0, "0"),
        (-1.0, "-1"),
        (math.nan, "nan"),
        (math.inf, "inf"),
        (1e30, "1e+30"),
        (1e-45, "1e-45"),
        (1000.001, "1000.001"),
        ("4", "'4'"),
        (None, "None"),
    ],
)
def test_an_impossible_temperature_says_what_is_expected(temperature: float, shown: str) -> None:
    with pytest.raises(SettingError) as caught:
        require_temperature(temperature)
    assert str(caught.value) == (
        f"temperature is {shown}, but scores are divided by it; expected 0.01 to 1,000, and 3 to 10 to "
        "distil."
    )


@pytest.mark.parametrize(
    ("alpha", "shown"),
    [(-0.1, "-0.1"), (1 + 1e-9, "1.000000001"), (math.nan, "nan"), ("0.5", "'0.5'"), (None, "None")],
)
def test_an_alpha_outside_its_range_is_refused(alpha: float, shown: str) -> None:
    with pytest.raises(SettingError) as caught:
        require_alpha(alpha)
    assert str(caught.value) == (
        f"alpha is {shown}, but it is the share of the soft loss in the whole; take one in [0, 1]."
    )


@pytest.mark.parametrize(
    ("weight", "shown"), [(-1e-9, "-1e-09"), (math.nan, "nan"), (math.inf, "inf"), (None, "None")]
)
def test_a_weight_below_0_is_refused_by_its_name(weight: float, shown: str) -> None:
    with pytest.raises(SettingError) as caught:
        require_weights(beta=1.0, gamma=weight)
    assert str(caught.value) == f"gamma is {shown}, but a loss is multiplied by it; take 0 or more."
