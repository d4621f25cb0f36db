import numpy as np
import pytest

from course_lib.benchmarking.checks import explained_failure, require_callable, require_count
from course_lib.errors import DataError, MeasurementError, SettingError


def test_whole_numbers_of_any_kind_pass_as_int() -> None:
    assert require_count("runs", np.int64(3), 1) == 3
    assert type(require_count("runs", np.int64(3), 1)) is int


@pytest.mark.parametrize("value", [0, -1, 2.0, "3", None, True])
def test_other_values_are_refused_in_one_sentence(value: object) -> None:
    with pytest.raises(SettingError) as caught:
        require_count("runs", value, 1)
    assert str(caught.value) == (
        f"runs={value!r} is not possible here: pass a whole number of at least 1, for example runs=1."
    )


def test_a_result_in_place_of_the_function_is_refused() -> None:
    require_callable("call", len)
    with pytest.raises(MeasurementError, match=r"^call is ndarray and cannot be called: pass the function"):
        require_callable("call", np.zeros(3))


def test_a_failing_call_is_explained_with_its_first_line_only() -> None:
    with pytest.raises(MeasurementError) as caught, explained_failure("model a"):
        raise ValueError("bad shape\nsecond line")
    assert str(caught.value) == (
        "model a raised ValueError (bad shape) while it was measured: "
        "run it once by itself and make it work before measuring it."
    )
    assert isinstance(caught.value.__cause__, ValueError)


def test_our_own_errors_and_interruptions_pass_unchanged() -> None:
    with pytest.raises(DataError, match=r"^broken file$"), explained_failure("call"):
        raise DataError("broken file")
    with pytest.raises(KeyboardInterrupt), explained_failure("call"):
        raise KeyboardInterrupt
