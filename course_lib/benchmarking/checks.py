"""What every measurement checks before it starts, and how the failure of a measured call is told."""

import operator
from collections.abc import Iterator
from contextlib import contextmanager

from course_lib.errors import CourseError, MeasurementError, SettingError


def require_count(name: str, value: object, minimum: int) -> int:
    """Return ``value`` as an int.

    Raises
    ------
    SettingError
        If it is not a whole number of at least ``minimum``.
    """
    try:
        count = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        count = minimum - 1
    if count < minimum or isinstance(value, bool):
        raise SettingError(
            f"{name}={value!r} is not possible here: pass a whole number of at least {minimum}, "
            f"for example {name}={max(minimum, 1)}."
        )
    return count


def require_callable(name: str, value: object) -> None:
    """Check that ``value`` can be called without arguments in principle.

    Raises
    ------
    MeasurementError
        If it is not callable; the usual slip is passing a result in place of the function.
    """
    if not callable(value):
        raise MeasurementError(
            f"{name} is {type(value).__name__} and cannot be called: pass the function itself, "
            f"for example lambda: model(images)."
        )


@contextmanager
def explained_failure(name: str) -> Iterator[None]:
    """Turn whatever the measured call raises into one `MeasurementError`; our own errors pass unchanged."""
    try:
        yield
    except CourseError:
        raise
    except Exception as error:
        first_line = (str(error).strip().splitlines() or ["no message"])[0]
        raise MeasurementError(
            f"{name} raised {type(error).__name__} ({first_line}) while it was measured: "
            f"run it once by itself and make it work before measuring it."
        ) from error
