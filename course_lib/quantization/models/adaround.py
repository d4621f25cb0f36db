"""AdaRound: learn for each weight whether to round it down or up (Nagel et al. 2020).

Each weight stays between its two neighbours on the grid. A variable V for each weight says where:

    Ŵ = S · clip(⌊W / S⌋ + h(V), quant_min − Z, quant_max − Z)               their eq. 22
    h(V) = clip(σ(V) · (ζ − γ) + γ, 0, 1), with ζ = 1.1 and γ = −0.1        eq. 23, the rectified sigmoid

Gradient descent (Adam) minimizes the error of the layer's output plus a regularizer,

    E‖Ŵ·x − t‖² + λ · Σ (1 − |2·h(V) − 1|^β)                                eq. 21 and 24

where t = W·x. The regularizer is largest at h = 0.5. With a large β it is flat nearly everywhere and lets h
move; then β falls, and h is driven to 0 or 1. In the end h ≥ 0.5 is rounded up. Inputs that already went
through quantized layers come with the float model's outputs as ``targets`` t (eq. 25): then this layer also
makes up for the errors before it.

The error is a quadratic function of δ = (Ŵ − W) / S whose coefficients are moments of the inputs:
δ·A·δᵀ + 2·r·δᵀ with A = E[x·xᵀ] and r = E[(W·x − t)·xᵀ] / S. They are taken once, over all rows of inputs;
then a step costs one product of δ with A, however many images there are, and has no mini-batch noise. Output
channels are separate problems; measured in steps S of their grid, with A scaled to a mean diagonal of 1, the
same λ fits all of them.

Worked example: two inputs that are always equal, w = [0.4, 0.3], grid of whole numbers. Nearest gives [0, 0]
and changes the output of x = [1, 1] by −0.7; both up changes it by 1.3; one of them up by 0.3, and so
AdaRound gives [1, 0].

Left out: the activation function behind the layer (eq. 25), with which the error is not quadratic.
"""

import torch
from torch import Tensor

from course_lib.errors import SettingError
from course_lib.quantization.affine import QParams, dequantize, quantize
from course_lib.quantization.models.graph import WeightLayer
from course_lib.quantization.models.layer_inputs import (
    grid_matrix,
    input_matrix,
    output_matrix,
    second_moments,
    weight_matrix,
)

ZETA, GAMMA = 1.1, -0.1
LAMBDA = 0.5
"""λ for errors measured in grid steps and inputs of mean square 1."""
FIRST_BETA, LAST_BETA = 20.0, 2.0
WARMUP = 0.2
"""The fraction of the steps without the regularizer."""
LEARNING_RATE = 0.05


def adaround(
    layer: WeightLayer,
    inputs: Tensor,
    qparams: QParams[Tensor],
    *,
    targets: Tensor | None = None,
    steps: int = 1000,
    seed: int = 0,
) -> Tensor:
    """Return codes of the layer's weights, rounded so that its output changes least; int32, weight's shape.

    Each weight is rounded down or up, within the grid's range. An output channel for which rounding to the
    nearest gives the smaller error on these inputs is rounded so. The layer stays as it is.

    Parameters
    ----------
    inputs
        The layer's inputs, (N, C, H, W) for a convolution, (…, in_features) for a linear layer.
    qparams
        The grid; its scale can be broadcast to the weight.
    targets
        The outputs wanted, in the shape of ``layer(inputs)``; None takes the layer's own.
    steps
        Steps of Adam, at least 1.
    seed
        Chooses the rows of inputs where there are more than `layer_inputs.MAX_VALUES` allows.

    Raises
    ------
    DataError
        If there are no inputs, or inputs or targets have a wrong shape or hold NaN or infinite values.
    ModelError
        If the weights hold such values, or the grid's shape does not fit them.
    SettingError
        If ``steps`` is below 1.
    """
    if steps < 1:
        raise SettingError(f"steps is {steps}, but AdaRound learns in at least 1 step; try steps=1000.")
    weight, grid = weight_matrix(layer), grid_matrix(layer, qparams)
    moments, slope = _error_coefficients(layer, inputs, targets, grid.scale, seed)

    def error(codes: Tensor) -> Tensor:
        """Return the change of each output channel's error against the float weights, (groups, channels)."""
        delta = ((dequantize(codes, grid) - weight) / grid.scale).double()
        return ((delta @ moments + 2 * slope) * delta).sum(dim=-1)

    nearest = quantize(weight, grid)
    learnt = _learn(weight / grid.scale, grid, moments.float(), slope.float(), steps)
    better = error(learnt) < error(nearest)
    return torch.where(better[..., None], learnt, nearest).reshape(layer.weight.shape)


def _error_coefficients(
    layer: WeightLayer, inputs: Tensor, targets: Tensor | None, scale: Tensor, seed: int
) -> tuple[Tensor, Tensor]:
    """Return A and r of the module's text, divided by A's mean diagonal; float64.

    Shapes: (groups, in_features, in_features) and (groups, out_channels / groups, in_features).
    """
    x = input_matrix(layer, inputs, seed)
    moments = second_moments(x, x)
    power = moments.diagonal(dim1=-2, dim2=-1).mean(dim=-1)[:, None, None]
    unit = torch.where(power > 0, power, 1.0)
    if targets is None:
        return moments / unit, torch.zeros_like(scale, dtype=torch.float64)
    wanted = output_matrix(layer, inputs, targets, seed)
    if layer.bias is not None:
        wanted = wanted - layer.bias.detach().reshape(len(x), 1, -1)
    slope = (weight_matrix(layer).double() @ moments - second_moments(wanted, x)) / scale
    return moments / unit, slope / unit


def _learn(weight_steps: Tensor, grid: QParams[Tensor], moments: Tensor, slope: Tensor, steps: int) -> Tensor:
    """Return the codes that the descent ends with; ``weight_steps`` are the weights in steps, W / S."""
    low, high = grid.quant_min - grid.zero_point, grid.quant_max - grid.zero_point
    down = weight_steps.floor()
    # the V with h(V) = W / S − ⌊W / S⌋: the descent starts at the float weights
    variable = torch.logit((weight_steps - down - GAMMA) / (ZETA - GAMMA))
    with torch.enable_grad():
        variable.requires_grad_()
        optimizer = torch.optim.Adam([variable], lr=LEARNING_RATE)
        for step in range(steps):
            h = (torch.sigmoid(variable) * (ZETA - GAMMA) + GAMMA).clamp(0, 1)
            delta = (down + h).clamp(low, high) - weight_steps
            # δ·A·δᵀ + 2·r·δᵀ has the gradient 2·(δ·A + r): written out, it takes one product instead of two
            gradient = 2 * (delta.detach() @ moments + slope)
            loss = (gradient * delta).sum()
            progress = (step / steps - WARMUP) / (1 - WARMUP)
            if progress >= 0:
                beta = FIRST_BETA + (LAST_BETA - FIRST_BETA) * progress
                loss = loss + LAMBDA * (1 - (2 * h - 1).abs() ** beta).sum()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    up = variable.detach() >= 0  # h(0) = 0.5
    return (down + up).clamp(low, high).int() + grid.zero_point
