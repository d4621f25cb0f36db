"""What all methods of distillation share: what a step shows them, and the losses they answer with.

A method is a frozen dataclass of its settings. The trainer runs student and teacher and hands both sides to
the method, so that a method holds nothing but its equation:

>>> @dataclass(frozen=True)                                                             # doctest: +SKIP
... class Nearest(Method):
...     def losses(self, lesson):
...         soft = F.mse_loss(lesson.student_scores, lesson.teacher_scores)
...         hard = hard_loss(lesson)
...         return Losses(soft + hard, soft, hard)
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.training.config import TrainingConfig

Shape: TypeAlias = tuple[int, ...]
"""Of one picture's features, without the batch: (C, H, W)."""


@dataclass(frozen=True)
class Lesson:
    """One step as a method sees it.

    Parameters
    ----------
    epoch
        From 0.
    student_scores, teacher_scores, labels
        (N, number of classes) twice, and (N,). The teacher's hold no gradient.
    student
        The network in training, for methods that look at its weights.
    student_features, teacher_features
        The outputs of the layers that the method asked for, in its order; (N, C, H, W) each.
    adapters
        What `Method.make_adapters` gave, in training.
    """

    epoch: int
    student_scores: Tensor
    teacher_scores: Tensor
    labels: Tensor
    student: nn.Module
    student_features: Sequence[Tensor] = ()
    teacher_features: Sequence[Tensor] = ()
    adapters: nn.ModuleList | None = None


class Losses(NamedTuple):
    """What is minimized, and its two parts before they are weighted; all scalars."""

    total: Tensor
    soft: Tensor
    """What the teacher asks for."""
    hard: Tensor
    """What the labels ask for: the cross-entropy."""


class Method(ABC):
    """One way to distil; subclasses are frozen dataclasses."""

    needs_teacher: bool = True

    @property
    def layer_pairs(self) -> tuple[tuple[str, str], ...]:
        """Return (path in the student, path in the teacher) of each pair of layers to be compared."""
        return ()

    @property
    def soft_temperature(self) -> float | None:
        """Return the temperature of the soft targets, or None where the method has none."""
        return None

    def make_adapters(self, student: Sequence[Shape], teacher: Sequence[Shape]) -> nn.ModuleList | None:
        """Return a trainable adapter for each pair of layers, given the shapes of their features, or None."""
        return None

    @property
    def reads_scores(self) -> bool:
        """Return whether the teacher's scores matter; for a method of maps they may not."""
        return self.needs_teacher

    def asks_teacher(self, epoch: int) -> bool:
        """Return whether the teacher matters in this epoch, from 0; if not, the lesson holds zeros."""
        return self.needs_teacher

    def settings_mistake(self, training: TrainingConfig) -> str | None:
        """Say in one sentence what does not go together with the settings of the run, or return None."""
        return None

    @abstractmethod
    def losses(self, lesson: Lesson) -> Losses:
        """Return the losses of one step."""


def hard_loss(lesson: Lesson) -> Tensor:
    """Return the mean cross-entropy of the student's scores against the labels."""
    return F.cross_entropy(lesson.student_scores, lesson.labels)
