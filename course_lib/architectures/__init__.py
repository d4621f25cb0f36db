"""The course's networks, and the zoo of trained ones.

Importing this package is light: torch is loaded by the first function that makes a network.
"""

from typing import TYPE_CHECKING

from course_lib import registry
from course_lib.architectures.cards import ModelCard, list_zoo, load_card

if TYPE_CHECKING:
    from torch import nn

__all__ = [
    "ModelCard",
    "create_model",
    "input_shape",
    "list_models",
    "list_zoo",
    "load_card",
    "load_pretrained",
]


def create_model(name: str, num_classes: int = 10, width: float = 1.0, depth: float = 1.0) -> "nn.Module":
    """Build the untrained network registered under ``name``; see `list_models`.

    ``width`` multiplies the channels of all layers and ``depth`` the blocks of all stages.
    """
    _fill_the_registry()
    return registry.create_model(name, num_classes, width, depth)


def list_models(input_shape: registry.InputShape | None = None) -> list[str]:
    """Return the names of all networks, sorted; with a shape (C, H, W), of those for such pictures."""
    _fill_the_registry()
    return registry.list_models(input_shape)


def input_shape(name: str) -> registry.InputShape:
    """Return the shape (C, H, W) of the pictures that the network of this name is made for."""
    _fill_the_registry()
    return registry.input_shape(name)


def load_pretrained(name: str) -> "nn.Module":
    """Return a trained network of the zoo in evaluation mode; see `list_zoo`.

    Raises
    ------
    UnknownNameError
        If the zoo has no network of this name; the message lists the known ones.
    CheckpointError
        If the checkpoint is missing, differs from its recorded hash, or does not fit the network.
    """
    from course_lib.architectures.checkpoints import load_checkpoint

    model = create_model(load_card(name).name)
    load_checkpoint(model, load_card(name))
    return model.eval()


def _fill_the_registry() -> None:
    import course_lib.architectures.families  # noqa: F401  (each network registers itself)
