"""Plain dictionaries that map names to things, with errors that list what is known."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeVar

from course_lib.errors import SettingError, UnknownNameError

if TYPE_CHECKING:
    from torch import nn

T = TypeVar("T")
ModelFactory = TypeVar("ModelFactory", bound="Callable[..., nn.Module]")

MODELS: dict[str, "Callable[..., nn.Module]"] = {}
"""Name → function that builds the untrained model; filled when `course_lib.architectures` is imported."""


def look_up(table: Mapping[str, T], kind: str, name: str) -> T:
    """Return ``table[name]``.

    Raises
    ------
    UnknownNameError
        If the name is not in the table; the message lists the known names.
    """
    if name not in table:
        raise UnknownNameError(kind, name, table)
    return table[name]


def register_model(name: str) -> Callable[[ModelFactory], ModelFactory]:
    """Decorate a function that builds a model, so that `create_model` finds it under ``name``.

    Raises
    ------
    SettingError
        If the name is taken.
    """

    def decorate(factory: ModelFactory) -> ModelFactory:
        if name in MODELS:
            raise SettingError(
                f"A model called {name!r} is already registered; register it under another name."
            )
        MODELS[name] = factory
        return factory

    return decorate


def create_model(name: str, num_classes: int = 10) -> "nn.Module":
    """Build the untrained model registered under ``name``, with one output score a class.

    Raises
    ------
    UnknownNameError
        If no model of this name is registered; the message lists the known ones.
    SettingError
        If ``num_classes`` is below 1.
    """
    if num_classes < 1:
        raise SettingError(f"num_classes is {num_classes}; expected at least 1.")
    return look_up(MODELS, "model", name)(num_classes=num_classes)


def list_models() -> list[str]:
    """Return the names of all registered models, sorted."""
    return sorted(MODELS)
