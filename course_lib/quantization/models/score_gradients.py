"""How much the scores of a model depend on each value inside it: squared gradients, a few passes in all.

Rounding adds noise ε to a value t, and by its first-order term the scores y_k change by ∂y_k/∂t · ε. So the
noise in all scores together is ε² times Σ_k (∂y_k/∂t)². A backward pass for each score would be slow; one
pass from Σ_k r_k · y_k with random signs r_k = ±1 has the right square on average, since the products of
different scores cancel: E[(Σ_k r_k · ∂y_k/∂t)²] = Σ_k (∂y_k/∂t)² (the estimator of Hutchinson 1989). Every
image has signs of its own, so hundreds of images average over them as well.

Worked example: y = [2·t, 3·t]. The gradient is ±2 ±3, squared 25 or 1, on average 13 = 2² + 3².
"""

from typing import Any

import torch
from torch import Tensor, nn

from course_lib.errors import ModelError


def backward_from_scores(model: nn.Module, inputs: Tensor, generator: torch.Generator) -> None:
    """Run the model and send the gradients of its randomly signed scores back to all hooks on the way.

    Parameters
    ----------
    model
        Gives a tensor, (N, …), whose values all count; its parameters gather gradients if they ask for them.
    inputs
        Floating point, (N, …).
    generator
        Of the signs.

    Raises
    ------
    ModelError
        If the model does not give one tensor that depends on floating-point inputs.
    """
    if not inputs.is_floating_point():
        raise ModelError(
            f"Inputs of the type {inputs.dtype} have no gradient; pass floating-point inputs, or calibrate "
            "without by_gradient."
        )
    with torch.enable_grad():
        scores: Any = model(inputs.detach().requires_grad_())
        if not isinstance(scores, Tensor) or not scores.requires_grad:
            raise ModelError(
                f"{type(model).__name__} gives a {type(scores).__name__} without a gradient; the scores have "
                "to be one tensor computed from the inputs."
            )
        signs = 2.0 * torch.randint(0, 2, scores.shape, generator=generator) - 1
        (scores * signs).sum().backward()  # type: ignore[no-untyped-call]
