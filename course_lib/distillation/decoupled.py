"""Decoupled distillation (DKD): how sure of the label, and what else it looks like, weighted separately.

Let t be the label, p the soft targets of all classes, and p̂ those of the classes other than t alone,
p̂_i = p_i / (1 − p_t). The response loss falls into two parts (Zhao et al. 2022, equation 6):

    KL(p ‖ q) = TCKD + (1 − p_t) · NCKD
    TCKD = p_t · ln(p_t / q_t) + (1 − p_t) · ln((1 − p_t) / (1 − q_t))        how sure of the label
    NCKD = Σ_{i≠t} p̂_i · ln(p̂_i / q̂_i)                                      what else it looks like

p belongs to the teacher and q to the student. The surer the teacher is of a picture, the smaller its factor
1 − p_t, although what such a teacher says of the other classes is its most reliable knowledge. DKD puts a
constant in the place of the factor (equation 7):

    soft = T² · (TCKD + β · NCKD),    L = α · soft + (1 − α) · cross-entropy(labels)

Worked example, T = 1: teacher p = (0.8, 0.1, 0.1), student q = (0.5, 0.4, 0.1), label 0. TCKD = 0.8·ln 1.6 +
0.2·ln 0.4 = 0.193; p̂ = (0.5, 0.5), q̂ = (0.8, 0.2), NCKD = 0.5·ln 0.625 + 0.5·ln 2.5 = 0.223; and 0.193 +
0.2·0.223 = 0.237 is KL(p ‖ q).

The paper adds the cross-entropy with weight 1, which is α = 1/2 here but for the size of the step. Its weight
of TCKD is 1 throughout, as here.

Source: Zhao, Cui, Song, Qiu and Liang, "Decoupled knowledge distillation", 2022.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from course_lib.distillation.method import Lesson, Losses, Method, hard_loss
from course_lib.distillation.ranges import require_alpha, require_temperature, require_weights
from course_lib.distillation.response import mean_divergence
from course_lib.errors import SettingError


class Parts(NamedTuple):
    """Means over the batch, scalars of at least 0, without the factor T²."""

    target: Tensor
    """TCKD."""
    others: Tensor
    """NCKD; 0 where there are only two classes."""


def decoupled_parts(
    student_scores: Tensor, teacher_scores: Tensor, labels: Tensor, temperature: float
) -> Parts:
    """Return TCKD and NCKD of the scores, (N, number of classes), at this temperature."""
    is_label = F.one_hot(labels, student_scores.shape[1]).bool()
    (student, student_others), (teacher, teacher_others) = (
        _split(scores / temperature, is_label) for scores in (student_scores, teacher_scores)
    )
    return Parts(mean_divergence(student, teacher), mean_divergence(student_others, teacher_others))


def _split(scores: Tensor, is_label: Tensor) -> tuple[Tensor, Tensor]:
    """Return log probabilities of label or not, (N, 2), and of the others among themselves, (N, K − 1)."""
    log_all = F.log_softmax(scores, dim=1)
    others = log_all[~is_label].view(len(scores), -1)
    # ln(1 − p_t) as a sum of the others: 1 − p_t itself would round to 0 for a certain teacher.
    binary = torch.stack([log_all[is_label], others.logsumexp(dim=1)], dim=1)
    return binary, F.log_softmax(others, dim=1)


@dataclass(frozen=True)
class Decoupled(Method):
    """DKD.

    Parameters
    ----------
    temperature
        T, 0.01 to 1,000.
    beta
        Weight of NCKD, at least 0; the paper takes 1 to 10, the more the surer the teacher is (section 4.3).
    alpha
        Weight of the soft loss in [0, 1]; the hard loss has 1 − alpha.
    warmup_epochs
        The soft loss grows in equal steps to its full weight over this many epochs; NCKD is large at the
        start. The paper's code takes 20 of 240.

    Raises
    ------
    SettingError
        If one is outside its range.
    """

    temperature: float = 4.0
    beta: float = 2.0
    alpha: float = 0.5
    warmup_epochs: int = 2

    def __post_init__(self) -> None:
        require_temperature(self.temperature)
        require_alpha(self.alpha)
        require_weights(beta=self.beta)
        if self.warmup_epochs < 0:
            raise SettingError(
                f"warmup_epochs is {self.warmup_epochs}, but it counts epochs; take 0 or more."
            )

    @property
    def soft_temperature(self) -> float:
        """Return T."""
        return self.temperature

    def losses(self, lesson: Lesson) -> Losses:
        """Return α · T² · (TCKD + β · NCKD) + (1 − α) · cross-entropy, and both parts."""
        target, others = decoupled_parts(
            lesson.student_scores, lesson.teacher_scores, lesson.labels, self.temperature
        )
        soft = self.temperature**2 * (target + self.beta * others)
        hard = hard_loss(lesson)
        grown = min(1.0, (lesson.epoch + 1) / self.warmup_epochs) if self.warmup_epochs else 1.0
        return Losses(grown * self.alpha * soft + (1 - self.alpha) * hard, soft, hard)
