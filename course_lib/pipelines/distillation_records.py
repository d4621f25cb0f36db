"""What a finished run of the distillation study leaves: one line of JSON, and the student's weights.

>>> record = load_records(RECORDED)[0]                                                  # doctest: +SKIP
>>> record.method, record.seed, record.correct, record.total                            # doctest: +SKIP
('alone', 0, 8_800, 10_000)
>>> student = load_student(record, RECORDED)                                            # doctest: +SKIP

The weights are written first and the record second, each whole or not at all, so that a record says of its
run that it is finished.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import nn

from course_lib.architectures import create_model
from course_lib.architectures.checkpoints import load_weights, save_checkpoint
from course_lib.benchmarking import MachineRecord
from course_lib.errors import CheckpointError
from course_lib.reproducibility import sha256_of, write_text_atomically

RECORDED = Path(__file__).parent / "recorded" / "distillation"
"""The runs that ship with the course."""


@dataclass(frozen=True)
class RunRecord:
    """One trained student.

    Parameters
    ----------
    method, seed
        The arm of the study, and what decided first weights and order.
    correct, total
        Test images classified rightly, out of how many.
    validation_accuracies, soft_losses, hard_losses
        One an epoch, on the validation images and as means over the training images; soft is what the
        teacher asks for and hard the cross-entropy with the labels, before they are weighted.
    seconds
        Time of the training with all who taught in it, the scores of the study's teacher being known before;
        None where the run was interrupted.
    warnings
        What the guards said.
    settings
        All that decides the run, as plain values.
    machine
        As `MachineRecord.as_dict` gives it.
    sha256
        Of the file of weights.
    """

    method: str
    seed: int
    correct: int
    total: int
    validation_accuracies: tuple[float, ...]
    soft_losses: tuple[float, ...]
    hard_losses: tuple[float, ...]
    seconds: float | None
    warnings: tuple[str, ...]
    settings: dict[str, Any]
    machine: dict[str, Any]
    sha256: str

    @property
    def accuracy(self) -> float:
        """On the test images, in [0, 1]."""
        return self.correct / self.total

    @property
    def validation_accuracy(self) -> float:
        """After the last epoch, in [0, 1]."""
        return self.validation_accuracies[-1]

    def machine_record(self) -> MachineRecord:
        """Return the machine that the run was on."""
        return MachineRecord(**{**self.machine, "cpu_flags": tuple(self.machine["cpu_flags"])})


def run_name(method: str, seed: int) -> str:
    """Return what the files of a run are called, without their suffix."""
    return f"seed{seed}-{method}"


def weights_path(method: str, seed: int, folder: Path) -> Path:
    """Return where the weights of a run lie."""
    return folder / f"{run_name(method, seed)}.safetensors"


def record_path(method: str, seed: int, folder: Path) -> Path:
    """Return where the record of a run lies."""
    return folder / f"{run_name(method, seed)}.json"


def save_student(model: nn.Module, method: str, seed: int, folder: Path) -> str:
    """Write the weights of a run; return the SHA-256 of the file."""
    path = weights_path(method, seed, folder)
    save_checkpoint(model, path)
    return sha256_of(path)


def load_student(record: RunRecord, folder: Path) -> nn.Module:
    """Return the student of a record in evaluation mode.

    Raises
    ------
    CheckpointError
        If the weights are missing, differ from the record's hash, or do not fit the network.
    """
    path = weights_path(record.method, record.seed, folder)
    if not path.exists() or sha256_of(path) != record.sha256:
        raise CheckpointError(
            f"The weights {path.name} are missing or differ from the SHA-256 in their record; restore them "
            "with: git checkout -- course_lib/pipelines/recorded"
        )
    model = create_model(record.settings["student"])
    load_weights(model, path)
    return model.eval()


def save_record(record: RunRecord, folder: Path) -> None:
    """Write the record as one line of JSON, whole or not at all."""
    path = record_path(record.method, record.seed, folder)
    write_text_atomically(path, json.dumps(asdict(record), allow_nan=False) + "\n")


def load_record(path: Path) -> RunRecord:
    """Return the record of a file.

    Raises
    ------
    CheckpointError
        If the file is damaged.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        lists = {name: tuple(value) for name, value in content.items() if isinstance(value, list)}
        return RunRecord(**{**content, **lists})
    except (ValueError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"The record {path.name} of the distillation study is damaged; delete it, and the study trains "
            "this student again."
        ) from error


def load_records(folder: Path = RECORDED) -> tuple[RunRecord, ...]:
    """Return all records of a folder, by seed and method; see `load_record` for what it raises."""
    records = [load_record(path) for path in folder.glob("seed*.json")]
    return tuple(sorted(records, key=lambda record: (record.seed, record.method)))
