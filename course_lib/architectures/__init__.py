"""The course's networks, and the zoo of trained ones.

Importing this package is light: torch is loaded by the first function that makes a network.
"""

from typing import TYPE_CHECKING

from course_lib import registry
from course_lib.architectures.cards import ModelCard, list_zoo, load_card

if TYPE_CHECKING:
    from torch import nn

__all__ = ["ModelCard", "create_model", "list_models", "list_zoo", "load_card", "load_pretrained"]


def create_model(name: str, num_classes: int = 10) -> "nn.Module":
    """Build the untrained network registered under ``name``; see `list_models`."""
    import course_lib.architectures.families  # noqa: F401  (fills the registry)

    return registry.create_model(name, num_classes)


def list_models() -> list[str]:
    """Return the names of all networks, sorted."""
    import course_lib.architectures.families  # noqa: F401  (fills the registry)

    return registry.list_models()


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
