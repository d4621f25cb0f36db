"""Deep mutual learning: students without a teacher learn from the labels and from one another, step by step.

With p_k the softmax of student k's scores, each of K students minimizes (Zhang et al. 2018, equation 8)

    L_k = cross-entropy(labels) + w/(K − 1) · Σ_{l≠k} T² · KL(p_l ‖ p_k)

in which its peers' p_l are taken as they are: no gradient flows into them. The paper has T = 1 and w = 1. It
updates the students in turn; here all take their step at once from the same answers, which needs one forward
pass a student instead of two. Adding the L_k up gives every student exactly its own gradient.

Worked example, T = 1: students with p = (0.8, 0.2) and (0.5, 0.5), label 0. KL(p_2 ‖ p_1) = 0.5·ln(0.5/0.8) +
0.5·ln(0.5/0.2) = 0.223, so L_1 = 0.223 + 0.223 = 0.446; KL(p_1 ‖ p_2) = 0.193, and L_2 = 0.693 + 0.193 =
0.886.

Source: Zhang, Xiang, Hospedales and Lu, "Deep mutual learning", 2018.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.distillation import guards
from course_lib.distillation.config import DistillationConfig
from course_lib.distillation.examples import require_examples, require_labels
from course_lib.distillation.objective import ViewsObjective
from course_lib.distillation.ranges import require_temperature, require_weights
from course_lib.distillation.response import soft_loss
from course_lib.distillation.views import Views
from course_lib.errors import ModelError, SettingError
from course_lib.training.evaluate import Examples, accuracy
from course_lib.training.fit import EpochRecord, fit
from course_lib.training.objective import Batch


@dataclass(frozen=True)
class MutualRecord:
    """What one epoch gave, counted from 1.

    ``loss`` is the sum over the students, ``soft_loss`` and ``hard_loss`` are means over them before
    weighting; accuracies are on the validation images, in [0, 1].
    """

    epoch: int
    loss: float
    soft_loss: float
    hard_loss: float
    accuracies: tuple[float, ...]
    """Of each student."""
    ensemble_accuracy: float
    """Of the mean of their probabilities."""


@dataclass(frozen=True)
class MutualRun:
    """The students in evaluation mode, in the order given, and the record of each epoch."""

    models: tuple[nn.Module, ...]
    history: tuple[MutualRecord, ...]
    environment: dict[str, str]


class Cohort(nn.Module):
    """Students side by side; its scores are the logarithms of their mean probabilities."""

    def __init__(self, students: Sequence[nn.Module]) -> None:
        super().__init__()
        self.students = nn.ModuleList(students)

    def forward(self, x: Tensor) -> Tensor:
        """Return log mean softmax, (N, number of classes)."""
        each = torch.stack([F.log_softmax(student(x), dim=1) for student in self.students])
        return each.logsumexp(0) - math.log(len(self.students))


def peer_losses(scores: Sequence[Tensor], temperature: float = 1.0) -> list[Tensor]:
    """Return for each student the mean over its peers of T² · KL(peer ‖ student), scalars."""
    return [
        torch.stack(
            [
                soft_loss(own, peer.detach(), temperature)
                for other, peer in enumerate(scores)
                if other != number
            ]
        ).mean()
        for number, own in enumerate(scores)
    ]


def learn_together(
    students: Sequence[nn.Module],
    train: Examples,
    validation: Examples,
    config: DistillationConfig,
    *,
    temperature: float = 1.0,
    weight: float = 1.0,
    device: str = "cpu",
    checkpoint: Path | None = None,
    on_epoch: Callable[[MutualRecord], None] | None = None,
) -> MutualRun:
    """Train copies of two or more students together.

    Parameters
    ----------
    students
        With their first weights, which should differ; of one architecture or several. Left as they are.
    temperature, weight
        T, 0.01 to 1,000, and w of at least 0. At w = 0 each trains as if alone.
    checkpoint, on_epoch
        As for `distill`.

    Raises
    ------
    SettingError
        If there are fewer than two students, a setting is outside its range, or the last batch is too small.
    DataError
        As `distill`.
    ModelError
        If the students differ in inputs or classes.
    CheckpointError
        As `fit`.
    """
    require_temperature(temperature)
    require_weights(weight=weight)
    if len(students) < 2:
        raise SettingError(
            f"There is {len(students)} student, but mutual learning needs a peer; give two or more."
        )
    require_examples(train, "training")
    require_examples(validation, "validation")
    cohort = Cohort([deepcopy(student) for student in students]).to(device)
    counts = [
        guards.class_count(student, f"student at place {place}", train.inputs, device)
        for place, student in enumerate(cohort.students)
    ]
    if len(set(counts)) > 1:
        raise ModelError(
            f"The students tell {', '.join(map(str, counts))} classes apart, but their scores are compared "
            "class by class; build all for the same classes."
        )
    require_labels(train, "training", counts[0])
    require_labels(validation, "validation", counts[0])
    guards.require_last_batch(cohort, train.inputs, config.training.batch_size, device)
    views = Views(train.inputs, config.training.augmentation, config.views, config.views_seed)

    def show(record: EpochRecord) -> None:
        if on_epoch:
            on_epoch(_record(record))

    trained = fit(
        cohort,
        train,
        validation,
        config.training,
        loss_function=_MutualObjective(views, temperature, weight, train.labels, validation),
        device=device,
        checkpoint=checkpoint,
        on_epoch=show,
    )
    averaged = trained.model
    assert isinstance(averaged, Cohort)
    return MutualRun(tuple(averaged.students), tuple(map(_record, trained.history)), trained.environment)


class _MutualObjective(ViewsObjective):
    def __init__(
        self,
        views: Views,
        temperature: float,
        weight: float,
        labels: NDArray[np.int64],
        validation: Examples,
    ) -> None:
        super().__init__(views, labels, validation)
        self.temperature, self.weight = temperature, weight

    def settings(self) -> Mapping[str, Any]:
        settings = {"method": "mutual", "temperature": self.temperature, "weight": self.weight}
        return {**super().settings(), **settings}

    def losses(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        assert isinstance(model, Cohort)
        scores = [student(batch.pictures) for student in model.students]
        hard = torch.stack([F.cross_entropy(own, batch.labels) for own in scores])
        soft = torch.stack(peer_losses(scores, self.temperature))
        return (hard + self.weight * soft).sum(), {"soft": soft.mean(), "hard": hard.mean()}

    def validate(
        self, model: nn.Module, validation: Examples, device: str
    ) -> tuple[float, Mapping[str, float]]:
        assert isinstance(model, Cohort)
        each = {
            f"student {number}": accuracy(student, validation, device)
            for number, student in enumerate(model.students)
        }
        return accuracy(model, validation, device), each


def _record(record: EpochRecord) -> MutualRecord:
    parts = dict(record.parts)
    soft, hard = parts.pop("soft"), parts.pop("hard")
    return MutualRecord(
        record.epoch, record.loss, soft, hard, tuple(parts.values()), record.validation_accuracy
    )
