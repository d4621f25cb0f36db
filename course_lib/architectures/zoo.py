"""The trained networks that ship with the course: weights as safetensors, and a card each."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from course_lib.errors import CheckpointError
from course_lib.registry import MODELS, create_model, look_up
from course_lib.reproducibility import sha256_of, write_atomically, write_text_atomically

CHECKPOINTS = Path(__file__).parent / "checkpoints"


@dataclass(frozen=True)
class ModelCard:
    """What is known of a trained network; shows itself as a table in a notebook.

    Parameters
    ----------
    name
        The name in the registry.
    params, macs
        Trainable numbers, and multiply-accumulates for one image.
    correct, total
        Images of the test set classified rightly, out of how many.
    accuracy, accuracy_low, accuracy_high
        correct / total and its 95 % Wilson interval, as fractions.
    validation_accuracy
        On the 5,000 images on which the settings were chosen, after the last epoch.
    command, seed, config
        How it was trained.
    versions
        Device and software of the training run, and of the evaluation.
    sha256, size_bytes
        Of the checkpoint file.
    """

    name: str
    params: int
    macs: int
    correct: int
    total: int
    accuracy: float
    accuracy_low: float
    accuracy_high: float
    validation_accuracy: float
    command: str
    seed: int
    config: dict[str, Any]
    versions: dict[str, str]
    sha256: str
    size_bytes: int

    def _repr_markdown_(self) -> str:
        rows = {
            "parameters": f"{self.params:,}",
            "MACs for one image": f"{self.macs:,}",
            "test accuracy": f"{self.accuracy:.2%} ({self.correct:,} of {self.total:,}; 95 % interval "
            f"{self.accuracy_low:.2%} to {self.accuracy_high:.2%})",
            "validation accuracy": f"{self.validation_accuracy:.2%}",
            "trained with": f"`{self.command}`, seed {self.seed}",
            "versions": ", ".join(f"{name} {version}" for name, version in self.versions.items()),
            "checkpoint": f"{self.size_bytes:,} bytes, SHA-256 {self.sha256}",
        }
        body = "\n".join(f"| {name} | {value} |" for name, value in rows.items())
        return f"| **{self.name}** | |\n|---|---|\n{body}\n"


def load_card(name: str, folder: Path = CHECKPOINTS) -> ModelCard:
    """Return the card of a shipped network.

    Raises
    ------
    UnknownNameError
        If no model of this name is registered.
    CheckpointError
        If the model is registered but has no card.
    """
    look_up(MODELS, "model", name)
    path = folder / f"{name}.json"
    if not path.exists():
        raise CheckpointError(f"{name} has no trained checkpoint in {folder}; train it with: make zoo")
    return ModelCard(**json.loads(path.read_text(encoding="utf-8")))


def load_pretrained(name: str, folder: Path = CHECKPOINTS) -> nn.Module:
    """Return a trained network in evaluation mode, after comparing its file with the card's SHA-256.

    Raises
    ------
    UnknownNameError
        If no model of this name is registered.
    CheckpointError
        If the checkpoint is missing, differs from its recorded hash, or does not fit the network.
    """
    card = load_card(name, folder)
    path = folder / f"{name}.safetensors"
    if not path.exists() or sha256_of(path) != card.sha256:
        raise CheckpointError(
            f"The checkpoint {path.name} is missing or differs from the SHA-256 on its card; "
            "restore it with: git checkout -- course_lib/architectures/checkpoints"
        )
    model = create_model(name)
    try:
        model.load_state_dict(load_file(path))
    except (RuntimeError, SafetensorError) as error:
        raise CheckpointError(
            f"The checkpoint {path.name} does not fit the network {name!r}: {error}"
        ) from error
    return model.eval()


def save_checkpoint(model: nn.Module, path: Path) -> None:
    """Write the weights as safetensors, whole or not at all."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    write_atomically(path, lambda target: save_file(state, target))


def save_card(card: ModelCard, folder: Path) -> None:
    """Write the card beside its checkpoint."""
    write_text_atomically(folder / f"{card.name}.json", json.dumps(asdict(card), indent=2) + "\n")
