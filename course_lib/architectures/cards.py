"""The cards of the zoo: what is known of each trained network that ships with the course."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from course_lib.errors import CheckpointError
from course_lib.registry import look_up
from course_lib.reproducibility import write_text_atomically

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

    @property
    def checkpoint(self) -> Path:
        """Where the shipped weights lie."""
        return CHECKPOINTS / f"{self.name}.safetensors"

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


def list_zoo() -> list[str]:
    """Return the names of the trained networks, sorted."""
    return sorted(path.stem for path in CHECKPOINTS.glob("*.json"))


def load_card(name: str) -> ModelCard:
    """Return the card of a trained network.

    Raises
    ------
    UnknownNameError
        If the zoo has no network of this name; the message lists the known ones.
    CheckpointError
        If the card is damaged.
    """
    path = look_up({path.stem: path for path in CHECKPOINTS.glob("*.json")}, "trained model", name)
    try:
        return ModelCard(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise CheckpointError(
            f"The card {path.name} is damaged; "
            "restore it with: git checkout -- course_lib/architectures/checkpoints"
        ) from error


def save_card(card: ModelCard, folder: Path) -> None:
    """Write the card as JSON into ``folder``, whole or not at all."""
    write_text_atomically(folder / f"{card.name}.json", json.dumps(asdict(card), indent=2) + "\n")
