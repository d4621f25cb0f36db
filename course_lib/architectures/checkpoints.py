"""Weights on disk: safetensors files, compared with the card's SHA-256 before they are believed."""

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from course_lib.architectures.cards import ModelCard
from course_lib.errors import CheckpointError
from course_lib.reproducibility import sha256_of, write_atomically


def load_checkpoint(model: nn.Module, card: ModelCard) -> None:
    """Put the shipped weights into ``model``, in place.

    Raises
    ------
    CheckpointError
        If the file is missing, differs from the hash on its card, or does not fit the network.
    """
    path = card.checkpoint
    if not path.exists() or sha256_of(path) != card.sha256:
        raise CheckpointError(
            f"The checkpoint {path.name} is missing or differs from the SHA-256 on its card; "
            "restore it with: git checkout -- course_lib/architectures/checkpoints"
        )
    load_weights(model, path)


def load_weights(model: nn.Module, path: Path) -> None:
    """Put the weights of a safetensors file into ``model``, in place.

    Raises
    ------
    CheckpointError
        If the file is damaged or its tensors are not the network's.
    """
    try:
        model.load_state_dict(load_file(path))
    except (RuntimeError, SafetensorError) as error:
        raise CheckpointError(
            f"The checkpoint {path.name} does not fit {type(model).__name__}; "
            "load the network that its card names."
        ) from error


def save_checkpoint(model: nn.Module, path: Path) -> None:
    """Write the weights as safetensors, whole or not at all."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    write_atomically(path, lambda target: save_file(state, target))
