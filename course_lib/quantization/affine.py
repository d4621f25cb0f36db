"""Affine quantization: real numbers on an evenly spaced integer grid (Jacob et al. 2018, eq. 1).

    q = clip(round(x / S) + Z, quant_min, quant_max)        x ≈ S · (q − Z)

S, the ``scale``, is the distance between neighbouring grid points; Z, the ``zero_point``, is the integer that
stands for 0.0. Rounding is to the nearest, ties to even, so a value inside the range moves by at most S / 2.

Worked example, 8 bits, asymmetric, x = [−2.5, −1, 0, 1.5, 3]:
S = (3 − (−2.5)) / 255 = 0.021569, Z = −round(−2.5 / S) = −round(−115.9) = 116, and
x / S = [−115.9, −46.4, 0, 69.5, 139.1] gives q = [0, 70, 116, 186, 255].
(With the zero point left at 115.9, round((x − min) / S) would give 185 for 1.5, and 0 would come back as
0.002.)

The same code takes NumPy arrays and torch tensors, and computes in float32 as runtimes do, with equal
results. Left out: straight-through gradients, and ranges learnt from data (`calibration` observes those).
"""

from dataclasses import replace
from typing import Any

import array_api_compat.numpy
from array_api_compat import array_namespace

from course_lib.errors import ModelError, SettingError
from course_lib.quantization.granularity import Granularity, PerGroup
from course_lib.quantization.grid import MAX_BITS, MIN_BITS, Array, QParams, integer_range

__all__ = [
    "MAX_BITS",
    "MAX_MAGNITUDE",
    "MIN_BITS",
    "Array",
    "QParams",
    "choose_qparams",
    "choose_qparams_from_range",
    "dequantize",
    "fake_quantize",
    "integer_range",
    "quantize",
]

MAX_MAGNITUDE = 1e38
"""The largest |x| that gets a scale: beyond it, max − min may not fit in float32."""


def choose_qparams(
    x: Array,
    bits: int,
    *,
    symmetric: bool,
    granularity: Granularity,
    narrow_range: bool | None = None,
    signed: bool | None = None,
) -> QParams[Array]:
    """Fit the grid to the range of ``x`` (min-max), as `choose_qparams_from_range` does to a given range.

    Parameters
    ----------
    x
        Any shape, at least one value, all finite.
    bits, symmetric, narrow_range, signed
        As for `choose_qparams_from_range`.
    granularity
        Which values share a scale.

    Raises
    ------
    SettingError
        If ``bits`` is out of range, or ``x`` lacks the granularity's axis or does not divide into its groups.
    ModelError
        If ``x`` is empty, or holds NaN, infinite values, or values beyond ±1e38.
    """
    xp = array_namespace(x)
    if hasattr(x, "detach"):  # a torch parameter: its grid is a constant to autograd
        x = x.detach()
    integer_range(bits, signed=symmetric)  # a width that does not exist is refused before x is read
    if 0 in x.shape:
        raise ModelError(
            f"A tensor of shape {tuple(x.shape)} has no values to fit a scale to; "
            "leave empty tensors out before calling choose_qparams."
        )
    x = xp.astype(x, xp.float32, copy=False)
    if isinstance(granularity, PerGroup):
        groups = granularity.split(x)
        low, high = xp.min(groups, axis=-1), xp.max(groups, axis=-1)
    else:
        axes = granularity.shared_axes(x.ndim)
        low, high = xp.min(x, axis=axes, keepdims=True), xp.max(x, axis=axes, keepdims=True)
    if not xp.all(xp.maximum(-low, high) <= MAX_MAGNITUDE):  # false for NaN too
        raise ModelError(
            f"These values hold NaN or infinite numbers, or some beyond ±{MAX_MAGNITUDE:.0e}, and no scale "
            "fits them; repair them first, for example with torch.nan_to_num or numpy.nan_to_num."
        )
    qparams: QParams[Array] = choose_qparams_from_range(
        low, high, bits, symmetric=symmetric, narrow_range=narrow_range, signed=signed
    )
    if isinstance(granularity, PerGroup):
        return replace(qparams, group_size=granularity.group_size, group_axis=granularity.axis)
    return qparams


def choose_qparams_from_range(
    low: Any,
    high: Any,
    bits: int,
    *,
    symmetric: bool,
    narrow_range: bool | None = None,
    signed: bool | None = None,
) -> QParams[Any]:
    """Fit the grid to ranges from ``low`` to ``high``, each first widened to contain 0.

    Asymmetric: S = (high − low) / (quant_max − quant_min) and Z = quant_min − round(low / S). Symmetric:
    S = max(−low, high) / (2^(b−1) − 1) and Z = 0, or 2^(b−1) for unsigned codes. Either way 0.0 lies exactly
    on the grid, so that padding and pruned weights stay zero.

    A range of zero width (all values 0.0) gets S = 1. A range so narrow that S would fall below the smallest
    normal float32, 1.2e-38, gets that number.

    Parameters
    ----------
    low, high
        Numbers, or NumPy arrays or torch tensors of shapes that broadcast to the shape of the scale. Numbers
        give NumPy scales of shape ().
    bits
        Bit width b, 2 to 16.
    symmetric
        Whether 0.0 lies in the middle of the grid.
    narrow_range
        Whether the lowest code stays unused; None gives it up where the grid is symmetric.
    signed
        Whether the codes are signed integers; None takes signed ones where the grid is symmetric. Runtimes
        that want int8 activations with a zero point take ``symmetric=False, signed=True``: [−128, 127].

    Raises
    ------
    SettingError
        If ``bits`` is out of range, or a range is not made of finite numbers within ±1e38, low first.
    """
    quant_min, quant_max = integer_range(
        bits,
        signed=symmetric if signed is None else signed,
        narrow_range=symmetric if narrow_range is None else narrow_range,
    )
    arrays = [bound for bound in (low, high) if hasattr(bound, "shape")]
    xp = array_namespace(*arrays) if arrays else array_api_compat.numpy
    low, high = xp.asarray(low), xp.asarray(high)
    finite = xp.isfinite(low) & (low >= -MAX_MAGNITUDE) & xp.isfinite(high) & (high <= MAX_MAGNITUDE)
    if not xp.all(finite & (low <= high)):
        raise SettingError(
            f"A range from {float(xp.min(low))} to {float(xp.max(high))} has no grid; give finite numbers "
            f"within ±{MAX_MAGNITUDE:.0e}, with low not above high."
        )
    low = xp.minimum(xp.astype(low, xp.float32), 0.0)
    high = xp.maximum(xp.astype(high, xp.float32), 0.0)
    half = 2 ** (int(bits) - 1) - 1
    width, steps = (xp.maximum(-low, high), half) if symmetric else (high - low, quant_max - quant_min)
    smallest = xp.finfo(xp.float32).smallest_normal
    scale = xp.where(width == 0, 1.0, xp.maximum(width / steps, smallest))
    zero_point = xp.full_like(scale, quant_max - half) if symmetric else quant_min - xp.round(low / scale)
    return QParams(scale, xp.asarray(xp.astype(zero_point, xp.int32)), quant_min, quant_max)


def quantize(x: Array, qparams: QParams[Array]) -> Array:
    """Return the codes q = clip(round(x / S) + Z, quant_min, quant_max) as int32, in the shape of ``x``.

    Values outside the grid's range, infinite ones too, get the nearest end of it.

    Raises
    ------
    ModelError
        If ``x`` holds NaN, for which there is no code, or the groups of ``qparams`` do not fit its shape.
    """
    xp = array_namespace(x)
    x = xp.astype(x, xp.float32, copy=False)
    if xp.any(xp.isnan(x)):
        raise ModelError(
            "These values hold NaN, which has no integer code; repair them first, for example with "
            "torch.nan_to_num or numpy.nan_to_num."
        )
    grid = qparams.expanded(x.shape)
    codes = xp.round(x / grid.scale) + xp.astype(grid.zero_point, xp.float32)
    codes = xp.minimum(xp.maximum(codes, grid.quant_min), grid.quant_max)
    q: Array = xp.astype(codes, xp.int32)
    return q


def dequantize(q: Array, qparams: QParams[Array]) -> Array:
    """Return the real numbers S · (q − Z) that the codes stand for, as float32, in the shape of ``q``."""
    xp = array_namespace(q)
    grid = qparams.expanded(q.shape)
    x: Array = grid.scale * xp.astype(q - grid.zero_point, xp.float32)
    return x


def fake_quantize(x: Array, qparams: QParams[Array]) -> Array:
    """Return the grid point nearest to each value: ``dequantize(quantize(x))``, as float32.

    This is what a quantized model computes with, written in floating point. No gradient passes through it.
    """
    return dequantize(quantize(x, qparams), qparams)
