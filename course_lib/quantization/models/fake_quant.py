"""Fake quantization with a gradient: the forward pass rounds, the backward pass looks past the rounding.

Rounding is flat almost everywhere, so its true gradient is zero and nothing would train. The straight-through
estimator (Bengio et al. 2013) takes the rounding for the identity and keeps the rest. With v = x / S and
the range [low, high] = [quant_min − Z, quant_max − Z], y = S · round(clip(v, low, high)) and

    ∂y/∂x = 1 inside the range, 0 outside                                 (Jacob et al. 2018)
    ∂y/∂S = round(v) − v inside, low below it, high above it              (LSQ; Esser et al. 2020, eq. 3)

The first is enough for a grid that is fixed or fitted anew in each step; with the second the step size S is
trained together with the weights.

Worked example, S = 0.5, codes −7 to 7, x = [0.3, 0.6, 5]: v = [0.6, 1.2, 10] and y = [0.5, 0.5, 3.5];
∂y/∂x = [1, 1, 0] and ∂y/∂S = [1 − 0.6, 1 − 1.2, 7] = [0.4, −0.2, 7].

Left out: learnt zero points (LSQ+; Bhalgat et al. 2020).
"""

import math
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from course_lib.quantization.affine import QParams, choose_qparams, integer_range
from course_lib.quantization.granularity import Granularity, PerChannel, PerTensor

SMALLEST_SCALE = torch.finfo(torch.float32).smallest_normal
REACH = 1 + 2.0**-22
"""The division x / S may carry a value at the end of the range this much beyond it; it is still inside."""


def straight_through(x: Tensor, qparams: QParams[Tensor], scale_gradient: float = 1.0) -> Tensor:
    """Return what `fake_quantize` returns, with the gradients above for ``x`` and for ``qparams.scale``.

    Parameters
    ----------
    x
        float32, any shape that the grid fits. NaN stays NaN.
    scale_gradient
        LSQ's g, by which the gradient of the scale is multiplied; it changes nothing else.
    """
    grid = qparams.expanded(x.shape)
    bounds: list[Any] = [end - grid.zero_point.float() for end in (grid.quant_min, grid.quant_max)]
    if bounds[0].numel() == 1:  # the usual case for activations: numbers are several times as quick
        bounds = [end.item() for end in bounds]
    y: Tensor = _StraightThrough.apply(x, grid.scale, *bounds, scale_gradient)  # type: ignore[no-untyped-call]
    return y


class _StraightThrough(torch.autograd.Function):
    """The two formulas, side by side with what they differentiate."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, low: Any, high: Any, scale_gradient: float) -> Tensor:
        v = x / scale
        rounded = v.round().clamp_(low, high)
        ctx.save_for_backward(v, rounded)
        ctx.range, ctx.scale_shape, ctx.scale_gradient = (low, high), scale.shape, scale_gradient
        return rounded * scale

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        v, rounded = ctx.saved_tensors
        low, high = ctx.range
        of_x = gradient * (v >= low * REACH).logical_and_(v <= high * REACH)
        of_scale = None
        if ctx.needs_input_grad[1]:
            slopes = gradient * rounded - of_x * v
            of_scale = slopes.sum_to_size(ctx.scale_shape) * ctx.scale_gradient
        return of_x, of_scale, None, None, None


class FixedFakeQuantize(nn.Module):
    """A grid that training leaves alone, for activations whose range was calibrated.

    Parameters
    ----------
    qparams
        The grid, for example from an observer.
    """

    scale: Tensor
    zero_point: Tensor

    def __init__(self, qparams: QParams[Tensor]) -> None:
        super().__init__()
        self._first = qparams
        self.register_buffer("scale", qparams.scale.clone())
        # float32: a moving average of the weights and buffers would cut the fractions off whole numbers.
        self.register_buffer("zero_point", qparams.zero_point.float())

    def step(self) -> Tensor:
        """Return the scale in use, in the shape of the grid's."""
        return self.scale

    def qparams(self) -> QParams[Tensor]:
        """Return the grid as it is now, a constant to autograd."""
        return replace(self._first, scale=self.step().detach(), zero_point=self.zero_point.int())

    def forward(self, x: Tensor) -> Tensor:
        return straight_through(x, self.qparams())


class MinMaxFakeQuantize(FixedFakeQuantize):
    """A grid fitted to the range of its input in every step, for weights (Jacob et al. 2018, § 3.1).

    Nothing is clipped on a symmetric grid, so there every weight gets its whole gradient.

    Parameters
    ----------
    weight
        What the first grid is fitted to.
    bits, symmetric, granularity
        As in `choose_qparams`.
    """

    def __init__(self, weight: Tensor, bits: int, *, symmetric: bool, granularity: Granularity) -> None:
        self.fit = partial(choose_qparams, bits=bits, symmetric=symmetric, granularity=granularity)
        super().__init__(self.fit(weight))

    def forward(self, x: Tensor) -> Tensor:
        fitted = self.fit(x)
        self.scale, self.zero_point = fitted.scale, fitted.zero_point.float()
        return super().forward(x)


class LearnedFakeQuantize(FixedFakeQuantize):
    """A grid whose step size is trained by gradient descent: LSQ (Esser et al. 2020).

    The gradient of a scale is a sum over all values that share it and would outgrow the weights' gradients;
    it is multiplied by g = 1 / √(N · Q_p), where N is the number of these values (of one example, for
    activations) and Q_p the highest code above zero (§ 2.2).

    Parameters
    ----------
    qparams
        The first grid, for example from `lsq_qparams`. The zero point stays.
    batched
        Whether the first axis of the input counts examples (activations) rather than channels (weights).
    """

    def __init__(self, qparams: QParams[Tensor], *, batched: bool) -> None:
        super().__init__(qparams)
        self.batched = batched
        self.highest = max(qparams.quant_max - int(qparams.zero_point.max()), 1)
        # Relative to the first scale, so that one learning rate suits small and large steps; and of one
        # dimension, like a bias: optimizers decay parameters that have more.
        self.factor = nn.Parameter(torch.ones(qparams.scale.numel()))

    def step(self) -> Tensor:
        """Return the first scale times the trained factor; above zero."""
        # A large update may carry the step across zero: its mirror image is the same grid.
        return (self.scale * self.factor.reshape(self.scale.shape)).abs().clamp_min(SMALLEST_SCALE)

    def forward(self, x: Tensor) -> Tensor:
        sharing = x.numel() / (len(x) if self.batched else self.factor.numel())
        grid = replace(self.qparams(), scale=self.step())
        return straight_through(x, grid, 1 / math.sqrt(sharing * self.highest))


def lsq_qparams(x: Tensor, bits: int, granularity: PerTensor | PerChannel) -> QParams[Tensor]:
    """Return LSQ's first symmetric grid, S = 2 · mean|x| / √Q_p (Esser et al. 2020, § 2.1), narrow range.

    Parameters
    ----------
    x
        A weight of at least one value. Where all values of a scale are 0.0, S = 1.
    bits
        Bit width, 2 to 16.

    Raises
    ------
    SettingError
        If ``bits`` is out of range or ``x`` lacks the granularity's axis.
    """
    quant_min, quant_max = integer_range(bits, signed=True, narrow_range=True)
    mean = x.detach().abs().mean(granularity.shared_axes(x.ndim), keepdim=True)
    scale = torch.where(mean == 0, 1.0, (2 * mean / math.sqrt(quant_max)).clamp_min(SMALLEST_SCALE))
    return QParams(scale, torch.zeros_like(scale, dtype=torch.int32), quant_min, quant_max)
