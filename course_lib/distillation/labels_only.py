"""The student trained alone, by the labels: what every method must be better than.

A comparison is fair when only the loss differs. So the lone student goes through the same trainer, sees the
same pictures in the same order, and starts from the same weights.
"""

from dataclasses import dataclass

import torch

from course_lib.distillation.method import Lesson, Losses, Method, hard_loss


@dataclass(frozen=True)
class LabelsOnly(Method):
    """Cross-entropy with the labels; no teacher is asked."""

    needs_teacher = False

    def losses(self, lesson: Lesson) -> Losses:
        """Return the cross-entropy; the soft loss is 0."""
        hard = hard_loss(lesson)
        return Losses(hard, torch.zeros_like(hard), hard)
