"""Plain dictionaries that map names to things, with errors that list what is known."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from course_lib.errors import SettingError, UnknownNameError

if TYPE_CHECKING:
    from torch import nn

T = TypeVar("T")
ModelFactory = TypeVar("ModelFactory", bound="Callable[..., nn.Module]")

InputShape = tuple[int, int, int]
"""Channels, height and width of one picture, (C, H, W)."""


@dataclass(frozen=True)
class ModelEntry:
    """What the registry knows of a network.

    Parameters
    ----------
    build
        Called with ``num_classes``, ``width`` and ``depth``; returns the untrained network.
    input_shape
        The picture that it is made for, (C, H, W).
    """

    build: "Callable[..., nn.Module]"
    input_shape: InputShape


MODELS: dict[str, ModelEntry] = {}
"""Name → entry; filled when `course_lib.architectures.families` is imported."""


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


def register_model(
    name: str, input_shape: InputShape = (1, 28, 28)
) -> Callable[[ModelFactory], ModelFactory]:
    """Decorate a function that builds a model, so that `create_model` finds it under ``name``.

    The function takes ``num_classes``, ``width`` and ``depth``; see `create_model`.

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
        MODELS[name] = ModelEntry(factory, input_shape)
        return factory

    return decorate


def create_model(name: str, num_classes: int = 10, width: float = 1.0, depth: float = 1.0) -> "nn.Module":
    """Build the untrained model registered under ``name``, with one output score a class.

    Parameters
    ----------
    width
        Factor of the channels of every layer, rounded as `scale_channels` says; 1 changes nothing.
    depth
        Factor of the blocks of every stage, rounded up.

    Raises
    ------
    UnknownNameError
        If no model of this name is registered; the message lists the known ones.
    SettingError
        If ``num_classes`` is below 1, or a factor is not above 0.
    """
    if num_classes < 1:
        raise SettingError(f"num_classes is {num_classes}; expected at least 1.")
    for factor, value in (("width", width), ("depth", depth)):
        if not 0 < value < math.inf:
            raise SettingError(f"{factor} is {value}; expected a number above 0, such as 0.5 or 2.")
    return look_up(MODELS, "model", name).build(num_classes=num_classes, width=width, depth=depth)


def list_models(input_shape: InputShape | None = None) -> list[str]:
    """Return the names of all registered models, sorted; with a shape, of those made for such pictures."""
    return sorted(name for name, entry in MODELS.items() if input_shape in (None, entry.input_shape))


def input_shape(name: str) -> InputShape:
    """Return the shape of the pictures, (C, H, W), for which the model of this name is made.

    Raises
    ------
    UnknownNameError
        If no model of this name is registered; the message lists the known ones.
    """
    return look_up(MODELS, "model", name).input_shape
