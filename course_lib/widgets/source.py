"""Show the real source of the library in a notebook, so that no cell needs a copy of it."""

import ast
import inspect
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from course_lib.errors import SettingError


@dataclass(frozen=True, repr=False)
class SourceListing:
    """The code of a function or class, and where it stands."""

    name: str
    place: str
    code: str

    def __str__(self) -> str:
        return f"{self.place}\n{self.code}"

    __repr__ = __str__  # what a page without Markdown shows

    def _repr_markdown_(self) -> str:
        return f"`{self.name}`, from {self.place}:\n\n```python\n{self.code}\n```"


def show_source(thing: Callable[..., Any] | type | ModuleType, *, docstring: bool = True) -> SourceListing:
    """Return the source of a function, class or module, to be displayed as the last line of a cell.

    Parameters
    ----------
    thing
        A function, method, class or module written in Python.
    docstring
        Whether its own docstring is shown too.

    Raises
    ------
    SettingError
        If there is no Python source to show: built-in functions, results of a call.

    Examples
    --------
    >>> print(show_source(len))
    Traceback (most recent call last):
    course_lib.errors.SettingError: There is no Python source of len: pass a function or class of the course.
    """
    name = str(getattr(thing, "__qualname__", None) or getattr(thing, "__name__", type(thing).__name__))
    try:
        lines, start = inspect.getsourcelines(thing)
    except (TypeError, OSError) as error:
        raise SettingError(
            f"There is no Python source of {name}: pass a function or class of the course."
        ) from error
    code = textwrap.dedent("".join(lines)).rstrip()
    module: str = getattr(thing, "__module__", None) or name
    place = f"{module.replace('.', '/')}.py, line {max(start, 1)}"
    return SourceListing(name, place, code if docstring else _without_docstring(code))


def _without_docstring(code: str) -> str:
    definition = ast.parse(code).body[0]
    match definition:
        case ast.FunctionDef(body=body) | ast.AsyncFunctionDef(body=body) | ast.ClassDef(body=body):
            if ast.get_docstring(definition) is not None and len(body) > 1:
                first, last = body[0].lineno, body[0].end_lineno
                return "\n".join(code.splitlines()[: first - 1] + code.splitlines()[last:])
    return code
