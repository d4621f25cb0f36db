"""What `prune_iteratively` keeps on disk, so that it can be killed at any moment.

A folder holds ``rounds.pt``, the state between two steps of the work, and during a round ``round_R.pt``, the
checkpoint of its training (`fit`). Both are replaced as a whole or not at all. When the process dies

- before the choice of a round is saved: it is made again, from the same model
- during its training: the training goes on from its last epoch
- after the training, before the round is closed: the training's last checkpoint is only read
- after that: the next round begins

The file holds no code and no pickled model: the shape of the pruned model comes from making the same removals
once more, and its tensors are then loaded.
"""

import hashlib
import pickle
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from course_lib.errors import CheckpointError
from course_lib.reproducibility import write_atomically

Choice: TypeAlias = dict[str, Tensor]
"""What goes in a round: name → mask of a parameter, or → channels of a group."""

STATE_FILE = "rounds.pt"


@dataclass(frozen=True)
class RoundRecord:
    """What one round gave.

    Attributes
    ----------
    round
        Its number, from 1.
    amount
        What is gone since the beginning: the fraction of zeros, or of the MACs, in [0, 1).
    validation_accuracy
        After its fine-tuning, in [0, 1].
    kept
        Whether that is at or above the floor.
    """

    round: int
    amount: float
    validation_accuracy: float
    kept: bool


class PruningState:
    """Where a run stands.

    Parameters
    ----------
    folder
        Where it is kept; None keeps nothing on disk.
    settings
        Plain values that decide the run.
    dense
        The model that it started from.

    Attributes
    ----------
    dense_accuracy
        Validation accuracy of the dense model.
    history
        One record a closed round.
    choices
        What went in the rounds that were kept.
    pending
        What goes in the round that is under way; None between rounds.
    """

    def __init__(self, folder: Path | None, settings: dict[str, Any], dense: nn.Module) -> None:
        self.folder, self.settings, self.fingerprint = folder, settings, fingerprint(dense)
        self.dense_accuracy = 0.0
        self.history: list[RoundRecord] = []
        self.choices: list[Choice] = []
        self.pending: Choice | None = None
        self._tensors: dict[str, Tensor] | None = None

    @property
    def floor_reached(self) -> bool:
        """Whether the last round fell below the accuracy floor, which ends the run."""
        return bool(self.history) and not self.history[-1].kept

    def epochs_file(self, round_number: int) -> Path | None:
        """Return where the training of a round keeps its state."""
        return None if self.folder is None else self.folder / f"round_{round_number}.pt"

    def close_round(self, record: RoundRecord, tuned: nn.Module) -> None:
        """Note the end of a round; its model replaces the one before if it was kept."""
        assert self.pending is not None
        self.history.append(record)
        if record.kept:
            self.choices.append(self.pending)
            self._tensors = {name: tensor.clone() for name, tensor in tuned.state_dict().items()}
        self.pending = None
        self.save()
        self._remove_finished()

    def restore_tensors(self, model: nn.Module) -> None:
        """Load the tensors of the last round kept into a model of its shape, in place."""
        if self._tensors is None:
            return
        try:
            model.load_state_dict(self._tensors)
        except RuntimeError as error:
            raise self._damaged() from error

    def save(self) -> None:
        """Write the state; an interruption leaves the one before."""
        if self.folder is None:
            return
        content = {
            "settings": self.settings,
            "dense": self.fingerprint,
            "dense_accuracy": self.dense_accuracy,
            "history": [asdict(record) for record in self.history],
            "choices": self.choices,
            "pending": self.pending,
            "tensors": self._tensors,
        }
        write_atomically(self.folder / STATE_FILE, lambda target: torch.save(content, target))

    def load(self) -> bool:
        """Read the state, and return whether there was one.

        Raises
        ------
        CheckpointError
            If it is damaged, or of a run with another model or other settings.
        """
        if self.folder is None or not (self.folder / STATE_FILE).exists():
            return False
        try:
            content = torch.load(self.folder / STATE_FILE, weights_only=True)
            written_with = (content["dense"], content["settings"])
            self.dense_accuracy = content["dense_accuracy"]
            self.history = [RoundRecord(**record) for record in content["history"]]
            self.choices, self.pending = content["choices"], content["pending"]
            self._tensors = content["tensors"]
        except (RuntimeError, OSError, EOFError, KeyError, TypeError, pickle.UnpicklingError) as error:
            raise self._damaged() from error
        if written_with != (self.fingerprint, self.settings):
            what = "another model" if written_with[0] != self.fingerprint else "other settings"
            raise CheckpointError(
                f"{self.folder} holds a run with {what}; give this run a folder of its own, or delete "
                "that one to start again."
            )
        self._remove_finished()
        return True

    def _remove_finished(self) -> None:
        """Delete the training states of closed rounds, and what a killed process left half-written."""
        if self.folder is not None:
            for record in self.history:
                (self.folder / f"round_{record.round}.pt").unlink(missing_ok=True)
            for leftover in self.folder.glob(".*.pt.*"):
                leftover.unlink()

    def _damaged(self) -> CheckpointError:
        return CheckpointError(
            f"{self.folder} holds no whole state of a pruning run; delete the folder to start again."
        )


def fingerprint(model: nn.Module) -> str:
    """Return a SHA-256 of a model's tensors, their names and shapes, as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
