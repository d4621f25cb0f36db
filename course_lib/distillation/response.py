"""Response distillation: the student learns the teacher's whole answer, not only the right class.

A trained teacher is nearly certain: 0.97 coat, 0.02 pullover, 0.01 the rest. That a coat looks like a
pullover and not like a sandal is knowledge which the label lacks. Dividing the scores z by a temperature T
before the softmax, p_i = exp(z_i / T) / Σ_j exp(z_j / T), brings it out; these are the soft targets.

    L = α · T² · KL(p_teacher ‖ p_student) + (1 − α) · cross-entropy(labels)

The gradient of KL by the student's scores is (p_student − p_teacher) / T, and for large T the difference of
the two p itself falls like 1/T: so it shrinks like 1/T², which the factor T² undoes, and α means about the
same at every T.

Worked example: scores (2, 0) of the teacher and (0, 0) of the student at T = 2 give p = (0.731, 0.269) and
(0.5, 0.5); KL = 0.731·ln(0.731/0.5) + 0.269·ln(0.269/0.5) = 0.111, times T² = 0.444. The label 0 costs the
student ln 2 = 0.693; with α = 0.7 the loss is 0.7·0.444 + 0.3·0.693 = 0.519.

Source: Hinton, Vinyals and Dean, "Distilling the knowledge in a neural network", 2015, section 2.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from course_lib.distillation.method import Lesson, Losses, Method, hard_loss
from course_lib.distillation.ranges import require_alpha, require_temperature


def soft_targets(scores: Tensor, temperature: float) -> Tensor:
    """Return the softmax of scores / T, (N, number of classes), each row of sum 1.

    Raises
    ------
    SettingError
        If the temperature is not 0.01 to 1,000.
    """
    require_temperature(temperature)
    return torch.softmax(scores / temperature, dim=1)


def soft_loss(student_scores: Tensor, teacher_scores: Tensor, temperature: float) -> Tensor:
    """Return T² · KL(teacher ‖ student) of the soft targets, the mean over the batch, at least 0.

    In float32 the divergence is rounded to some 10⁻⁸, which T² makes 10⁻² at a temperature of 1,000.
    """
    wanted = F.log_softmax(teacher_scores / temperature, dim=1)
    found = F.log_softmax(student_scores / temperature, dim=1)
    return temperature**2 * mean_divergence(found, wanted)


def mean_divergence(student: Tensor, teacher: Tensor) -> Tensor:
    """Return KL(teacher ‖ student) of log probabilities, (N, K), the mean over the batch, at least 0."""
    divergence = F.kl_div(student, teacher, log_target=True, reduction="batchmean")
    # What rounding left below 0 is taken away from the value; the gradient is right there too and stays.
    return divergence - divergence.detach().clamp_max(0)


@dataclass(frozen=True)
class Response(Method):
    """Hinton's distillation.

    Parameters
    ----------
    temperature
        T, 0.01 to 1,000. At 1 the teacher's own probabilities; the larger, the more the wrong classes count.
    alpha
        Weight of the soft loss, in [0, 1]; the hard loss has 1 − alpha.

    Raises
    ------
    SettingError
        If one is outside its range.
    """

    temperature: float = 4.0
    alpha: float = 0.7

    def __post_init__(self) -> None:
        require_temperature(self.temperature)
        require_alpha(self.alpha)

    @property
    def soft_temperature(self) -> float:
        """Return T."""
        return self.temperature

    def losses(self, lesson: Lesson) -> Losses:
        """Return α · T² · KL + (1 − α) · cross-entropy, and both parts."""
        soft = soft_loss(lesson.student_scores, lesson.teacher_scores, self.temperature)
        hard = hard_loss(lesson)
        return Losses(self.alpha * soft + (1 - self.alpha) * hard, soft, hard)
