"""Guards against the classic mistakes of distillation: errors where nothing could come of it, else warnings.

A mistake here rarely stops a run; it ends a little worse than it could, and nobody knows why. Each guard
measures what it speaks of, on real pictures, and says one sentence. Functions named ``…_mistake`` return the
sentence, or None where all is well; the trainer issues it as a `DistillationWarning`.
"""

import math
from copy import deepcopy

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from course_lib.benchmarking.intervals import proportion_interval
from course_lib.errors import ModelError, SettingError
from course_lib.reproducibility import seeded_torch
from course_lib.training.evaluate import predict

Scores = NDArray[np.float32]

UNIFORM, ONE_HOT = 0.98, 0.02
"""Soft targets of a mean entropy beyond these parts of the largest possible one, ln K, say next to nothing.

The zoo's teacher reaches them at temperatures of about 18 and 0.5."""

RECORD_MARGIN = 0.02
"""How far below its record a teacher may be, beyond chance, on pictures other than those of the record."""


class DistillationWarning(UserWarning):
    """A distillation that will run, but probably not as it was meant."""


def frozen_teacher(teacher: nn.Module, device: str = "cpu") -> nn.Module:
    """Return a copy in evaluation mode that holds no gradients; the teacher given is left as it is."""
    copied = deepcopy(teacher).eval().requires_grad_(False)
    copied.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return copied


def train_mode_mistake(teacher: nn.Module) -> str | None:
    """Say whether the teacher came in training mode."""
    if not any(module.training for module in teacher.modules()):
        return None
    return (
        "The teacher came in training mode, in which batch norm and dropout make its answers depend on the "
        "rest of the batch; a copy of it in evaluation mode teaches instead."
    )


def require_pair(
    student: nn.Module, teacher: nn.Module | None, inputs: NDArray[np.float32], device: str = "cpu"
) -> int:
    """Return the number of classes, once both networks take the inputs and give as many scores.

    Raises
    ------
    ModelError
        If one does not take the inputs, or they differ in their classes.
    """
    classes = class_count(student, "student", inputs, device)
    asked = classes if teacher is None else class_count(teacher, "teacher", inputs, device)
    if asked != classes:
        raise ModelError(
            f"The teacher tells {asked} classes apart and the student {classes}, but their scores are "
            "compared class by class; build both for the same classes."
        )
    return classes


def class_count(model: nn.Module, role: str, inputs: NDArray[np.float32], device: str = "cpu") -> int:
    """Return how many classes a network tells apart, once it takes the inputs.

    Raises
    ------
    ModelError
        If it does not, or gives a single score.
    """
    pictures = inputs[:2]
    try:
        classes = int(predict(model, pictures, device).shape[1])
    except (RuntimeError, ValueError, IndexError) as error:
        reason = str(error).strip().split("\n")[0].rstrip(".")
        raise ModelError(
            f"The {role} does not take inputs of shape {pictures.shape[1:]} ({reason}); "
            "all networks of a run must be made for the same inputs."
        ) from error
    if classes < 2:
        raise ModelError(
            f"The {role} gives {classes} score for a picture, but a softmax over it is always certain; build "
            "networks for two or more classes."
        )
    return classes


def require_last_batch(student: nn.Module, inputs: NDArray[np.float32], batch_size: int, device: str) -> None:
    """Raise a SettingError if the last batch is a single picture and the student cannot train on one."""
    if (len(inputs) % batch_size or batch_size) != 1:
        return
    learner = deepcopy(student).train()
    try:
        with torch.no_grad(), seeded_torch(0):  # so that dropout takes nothing from the run's random numbers
            learner(torch.from_numpy(inputs[:1]).to(device))
    except ValueError as error:
        raise SettingError(
            f"{len(inputs):,} training pictures in batches of {batch_size} end in a batch of one, in which "
            "batch norm finds no spread; take another batch_size, or leave a picture out."
        ) from error


def inputs_mistake(scores: Scores, labels: NDArray[np.int64], record: float | None = None) -> str | None:
    """Say whether the teacher does badly on the student's inputs, as it does when made for other ones.

    Parameters
    ----------
    scores, labels
        The teacher's, for validation pictures as the student gets them.
    record
        Its accuracy elsewhere, in [0, 1], where that is known.
    """
    correct, total = _correct(scores, labels), len(labels)
    low, high = proportion_interval(correct, total)
    advice = "check that both networks get their inputs scaled and shifted alike."
    if record is not None and high < record - RECORD_MARGIN:
        return (
            f"The teacher is right on {correct / total:.1%} of the student's validation inputs, but on "
            f"record with {record:.1%}; {advice}"
        )
    chance = float(np.bincount(labels).max()) / total
    if low <= chance:
        return (
            f"The teacher is right on {correct / total:.1%} of the student's validation inputs, where "
            f"guessing the commonest class gives {chance:.1%}; {advice}"
        )
    return None


def student_mistake(student: Scores, teacher: Scores, labels: NDArray[np.int64]) -> str | None:
    """Say whether the student is better than its teacher before anything is taught."""
    student_accuracy, teacher_accuracy = (
        _correct(scores, labels) / len(labels) for scores in (student, teacher)
    )
    if student_accuracy <= teacher_accuracy:
        return None
    return (
        f"The student starts at {student_accuracy:.1%} and its teacher is at {teacher_accuracy:.1%} on the "
        "validation images, so there is little to learn from it; exchange the two, or take a better teacher."
    )


def relative_entropy(scores: Scores, temperature: float) -> float:
    """Return the mean entropy of the soft targets as a part of ln K: 0 for one-hot, 1 for uniform."""
    logs = torch.log_softmax(torch.from_numpy(scores).double() / temperature, dim=1)
    return float(-(logs.exp() * logs).sum(1).mean()) / math.log(scores.shape[1])


def temperature_mistake(scores: Scores, temperature: float) -> str | None:
    """Say whether the soft targets of the teacher's scores hold next to nothing at this temperature."""
    entropy = relative_entropy(scores, temperature)
    found = (
        f"At temperature {temperature:g} the soft targets have {entropy:.1%} of the largest possible entropy"
    )
    if entropy > UNIFORM:
        return (
            f"{found}: they are nearly uniform and hardly tell the classes apart; take a lower temperature."
        )
    if entropy < ONE_HOT:
        return (
            f"{found}: they are nearly one-hot and say little more than a label; take a higher temperature."
        )
    return None


def _correct(scores: Scores, labels: NDArray[np.int64]) -> int:
    return int((scores.argmax(1) == labels).sum())
