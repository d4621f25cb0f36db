"""Distillation as one objective with three terms: the task, the teacher, and small weights.

    L = α · cross-entropy(labels) + β · T² · KL(p_teacher ‖ p_student) + γ · ‖θ‖²

α is the task's weight here, as this equation is commonly written, while in the other methods alpha weighs the
soft loss: α = 1 − a, β = a, γ = 0 is the response loss of alpha a. θ are the weights of two or more
dimensions; biases and norms stay out of it, as they do of weight decay.

The gradient of γ‖θ‖² is 2γθ, and that of a weight decay λ is λθ: γ = λ/2 is weight decay written as a loss,
for SGD. (AdamW subtracts its decay after scaling the gradient, and differs.) A run that has both counts it
twice.

Worked example: cross-entropy 0.693, T²·KL 0.444 and weights (3, 4) of a 1 × 2 layer; with α = 0.3, β = 0.7
and γ = 0.001 the loss is 0.208 + 0.311 + 0.001 · 25 = 0.544.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from course_lib.distillation.method import Lesson, Losses, Method, hard_loss
from course_lib.distillation.ranges import require_temperature, require_weights
from course_lib.distillation.response import soft_loss
from course_lib.training.config import TrainingConfig


def squared_norm(model: nn.Module) -> Tensor:
    """Return ‖θ‖² of the weights of two or more dimensions, a scalar; 0 where there are none."""
    squares = [weight.square().sum() for weight in model.parameters() if weight.ndim > 1]
    return torch.stack(squares).sum() if squares else torch.zeros(())


@dataclass(frozen=True)
class Regularised(Method):
    """The objective of three terms.

    Parameters
    ----------
    alpha, beta, gamma
        Weights of the task, the teacher and the squared norm, each at least 0.
    temperature
        T, 0.01 to 1,000.

    Raises
    ------
    SettingError
        If one is outside its range.
    """

    alpha: float = 0.3
    beta: float = 0.7
    gamma: float = 2.5e-5
    temperature: float = 4.0

    def __post_init__(self) -> None:
        require_temperature(self.temperature)
        require_weights(alpha=self.alpha, beta=self.beta, gamma=self.gamma)

    @property
    def soft_temperature(self) -> float:
        """Return T."""
        return self.temperature

    def settings_mistake(self, training: TrainingConfig) -> str | None:
        """Say whether the squared norm would be counted twice."""
        if not (self.gamma and training.weight_decay):
            return None
        return (
            f"gamma is {self.gamma:g} and weight_decay {training.weight_decay:g}, so large weights are paid "
            "for twice; set weight_decay=0, of which gamma = weight_decay / 2 takes the place."
        )

    def losses(self, lesson: Lesson) -> Losses:
        """Return the loss of three terms, and its soft and hard part."""
        soft = soft_loss(lesson.student_scores, lesson.teacher_scores, self.temperature)
        hard = hard_loss(lesson)
        total = self.alpha * hard + self.beta * soft + self.gamma * squared_norm(lesson.student)
        return Losses(total, soft, hard)
