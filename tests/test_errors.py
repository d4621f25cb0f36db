import inspect

import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib import errors
from course_lib.errors import CourseError, MissingPackageError, UnknownNameError

OURS = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if kind.__module__ == errors.__name__]


def test_an_unknown_name_lists_the_known_ones_and_the_closest() -> None:
    assert str(UnknownNameError("model", "residul", {"tiny": 1, "residual": 2})) == (
        "There is no model called 'residul'; the known ones are residual, tiny. Did you mean 'residual'?"
    )
    assert str(UnknownNameError("split", None, ["train", "test"])) == (
        "There is no split called None; the known ones are test, train."
    )
    assert str(UnknownNameError("trained model", "tiny", [])) == (
        "There is no trained model called 'tiny'; the known ones are none yet."
    )


@given(st.text(), st.lists(st.from_regex(r"[a-z_]{1,9}", fullmatch=True), unique=True))
def test_every_known_name_is_listed_in_order_on_one_line(name: str, known: list[str]) -> None:
    text = str(UnknownNameError("thing", name, iter(known)))
    assert (", ".join(sorted(known)) or "none yet") in text
    assert text.splitlines() == [text]


def test_a_missing_package_names_its_purpose_and_the_command() -> None:
    error = MissingPackageError("torchvision", "load this data set", "pip install torchvision")
    assert str(error) == (
        "torchvision is needed to load this data set; install it with: pip install torchvision"
    )
    assert isinstance(error, ImportError)


@pytest.mark.parametrize("kind", OURS)
def test_all_can_be_caught_as_one(kind: type[Exception]) -> None:
    assert issubclass(kind, CourseError)
    assert kind.__doc__


def test_errors_about_values_are_value_errors() -> None:
    assert {kind.__name__ for kind in OURS if issubclass(kind, ValueError)} == {"DataError", "SettingError"}
