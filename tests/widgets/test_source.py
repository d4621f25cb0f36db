import pytest

from course_lib.benchmarking import intervals, median_interval
from course_lib.errors import SettingError
from course_lib.reproducibility import sha256_of
from course_lib.widgets.source import show_source


class Example:
    """Only this."""


def test_the_source_is_that_of_the_file() -> None:
    listing = show_source(sha256_of)
    with open(sha256_of.__code__.co_filename, encoding="utf-8") as file:
        assert listing.code in file.read()
    assert listing.code.startswith('def sha256_of(path: Path) -> str:\n    """Return the SHA-256')
    assert listing.place == f"course_lib/reproducibility.py, line {sha256_of.__code__.co_firstlineno}"


def test_without_its_docstring_the_code_is_still_the_code() -> None:
    short = show_source(median_interval, docstring=False)
    assert '"""' not in short.code
    assert short.code.splitlines()[1] == '    ordered = np.sort(_finite_samples("samples", samples))'
    assert show_source(median_interval).code.endswith(short.code.split("\n", 1)[1])
    compile(short.code, "listing", "exec")


def test_a_docstring_that_is_all_there_is_stays() -> None:
    assert show_source(Example, docstring=False).code == show_source(Example).code


def test_modules_and_nested_names() -> None:
    listing = show_source(intervals)
    assert listing.place == "course_lib/benchmarking/intervals.py, line 1"
    assert show_source(intervals.Interval.text).code.startswith("def text(self)")


def test_it_shows_itself_as_highlighted_python() -> None:
    listing = show_source(sha256_of)
    assert listing._repr_markdown_().startswith("`sha256_of`, from course_lib/reproducibility.py, line ")
    assert listing._repr_markdown_().endswith(f"```python\n{listing.code}\n```")
    assert repr(listing) == f"{listing.place}\n{listing.code}"


@pytest.mark.parametrize(("thing", "name"), [(len, "len"), (3, "int"), ("text", "str")])
def test_what_has_no_source_is_refused(thing: object, name: str) -> None:
    with pytest.raises(SettingError, match=f"There is no Python source of {name}: pass a function or class"):
        show_source(thing)
