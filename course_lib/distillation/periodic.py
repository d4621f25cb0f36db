"""A student on a device that hears from its teacher only every few epochs.

The teacher stays in the cloud. In most epochs the student learns on its own, by the labels; in every n-th the
connection is there, the teacher answers, and any method may use what it says. The answers for one epoch are
one row of scores a picture, so the traffic can be stated:

    bytes = ⌊epochs / n⌋ · pictures · classes · 4

Worked example: 24 epochs, an update every 6, 10,000 pictures of 10 classes: 4 · 400 kB = 1.6 MB, where a
teacher that is always there sends 9.6 MB.

The teacher does not change here. Training in which peers learn together from such outdated answers is
codistillation (Anil et al., "Large scale distributed neural network training through online distillation",
2018).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from course_lib.distillation.method import Lesson, Losses, Method, Shape, hard_loss
from course_lib.errors import SettingError
from course_lib.training.config import TrainingConfig

BYTES_OF_A_SCORE = 4
"""float32."""


@dataclass(frozen=True)
class Periodic(Method):
    """A method in the last of every ``every`` epochs, and the labels alone in the others.

    Parameters
    ----------
    method
        What happens when the teacher is there.
    every
        n, at least 1; at 1 this is the method itself.

    Raises
    ------
    SettingError
        If ``every`` is below 1.
    """

    method: Method
    every: int = 5

    def __post_init__(self) -> None:
        if self.every < 1:
            raise SettingError(f"every is {self.every}, but it counts epochs; take 1 or more.")

    @property
    def layer_pairs(self) -> tuple[tuple[str, str], ...]:
        """Return the method's."""
        return self.method.layer_pairs

    @property
    def soft_temperature(self) -> float | None:
        """Return the method's."""
        return self.method.soft_temperature

    @property
    def reads_scores(self) -> bool:
        """Return the method's."""
        return self.method.reads_scores

    def make_adapters(self, student: Sequence[Shape], teacher: Sequence[Shape]) -> nn.ModuleList | None:
        """Return the method's."""
        return self.method.make_adapters(student, teacher)

    def settings_mistake(self, training: TrainingConfig) -> str | None:
        """Say whether the run is too short for a single update, or what the method has to say."""
        if training.epochs < self.every:
            return (
                f"An update every {self.every} epochs never comes in {training.epochs} epochs, so the "
                "student learns from the labels alone; take a smaller every."
            )
        return self.method.settings_mistake(training)

    def asks_teacher(self, epoch: int) -> bool:
        """Return whether this epoch, from 0, is the last of a period."""
        return (epoch + 1) % self.every == 0 and self.method.asks_teacher(epoch)

    def losses(self, lesson: Lesson) -> Losses:
        """Return the method's losses, or the cross-entropy with a soft loss of 0."""
        if self.asks_teacher(lesson.epoch):
            return self.method.losses(lesson)
        hard = hard_loss(lesson)
        return Losses(hard, torch.zeros_like(hard), hard)

    def traffic_bytes(self, epochs: int, pictures: int, classes: int) -> int:
        """Return the bytes of all scores that come from the cloud in a run.

        Raises
        ------
        SettingError
            If the method compares maps, whose size is not known here.
        """
        if self.layer_pairs:
            raise SettingError(
                f"{type(self.method).__name__} compares maps, which are not counted here and far larger than "
                "scores; ask for the traffic of a method of scores alone, such as Response()."
            )
        updates = sum(self.asks_teacher(epoch) for epoch in range(epochs))
        return updates * pictures * classes * BYTES_OF_A_SCORE
