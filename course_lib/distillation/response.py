"""Response distillation: the student learns the teacher's whole answer (Hinton, Vinyals and Dean, 2015)."""

from torch import Tensor
from torch.nn import functional as F

from course_lib.errors import SettingError


def distillation_loss(
    student_scores: Tensor,
    teacher_scores: Tensor,
    hard_labels: Tensor,
    *,
    temperature: float = 4.0,
    alpha: float = 0.7,
) -> Tensor:
    """Return α·T²·KL(teacher_T ‖ student_T) + (1 − α)·CE(student, labels), the mean over the batch.

    The soft targets are softmax(scores / T). T² keeps the gradient of the first term on the scale of the
    second when T changes (their section 2.1).

    Parameters
    ----------
    student_scores, teacher_scores
        Shape (N, number of classes), before the softmax.
    hard_labels
        Whole numbers, shape (N,).
    temperature
        T, above 0; typically 3 to 10.
    alpha
        Share of the soft targets, in [0, 1].

    Raises
    ------
    SettingError
        If ``temperature`` or ``alpha`` is out of range, or the two score shapes differ.
    """
    if temperature <= 0 or not 0 <= alpha <= 1:
        raise SettingError(
            f"temperature is {temperature} and alpha {alpha}; expected temperature above 0 and alpha in [0, 1]."
        )
    if student_scores.shape != teacher_scores.shape:
        raise SettingError(
            f"The student gives scores of shape {tuple(student_scores.shape)} and the teacher "
            f"{tuple(teacher_scores.shape)}; both must score the same images and classes."
        )
    soft_targets = F.log_softmax(teacher_scores / temperature, dim=1)
    student = F.log_softmax(student_scores / temperature, dim=1)
    soft = F.kl_div(student, soft_targets, log_target=True, reduction="batchmean") * temperature**2
    hard = F.cross_entropy(student_scores, hard_labels)
    return alpha * soft + (1 - alpha) * hard
