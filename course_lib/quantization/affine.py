"""Affine quantization: real numbers on an evenly spaced integer grid (Jacob et al. 2018, eq. 1).

    q = clip(round(x / S) + Z, quant_min, quant_max)        x ≈ S · (q − Z)

S, the ``scale``, is the distance between neighbouring grid points; Z, the ``zero_point``, is the integer that
stands for 0.0. Rounding is to the nearest, ties to even, so a value inside the range moves by at most S / 2.

Worked example, 8 bits, asymmetric, x = [−2.5, −1, 0, 1.5, 3]:
S = (3 − (−2.5)) / 255 = 0.021569, Z = −round(−2.5 / S) = −round(−115.9) = 116, and
x / S = [−115.9, −46.4, 0, 69.5, 139.1] gives q = [0, 70, 116, 186, 255].
(Cutting the fraction off instead of rounding would give 185 for 1.5.)

The same code takes NumPy arrays and torch tensors, and computes in float32 as runtimes do, with equal
results. Left out: straight-through gradients, groups within a channel, and ranges learnt from data.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from array_api_compat import array_namespace

from course_lib.errors import ModelError, SettingError
from course_lib.quantization.granularity import Granularity

if TYPE_CHECKING:
    import numpy as np
    import torch

Array = TypeVar("Array", "np.ndarray[Any, Any]", "torch.Tensor")

MIN_BITS, MAX_BITS = 2, 16
MAX_MAGNITUDE = 1e38
"""The largest |x| that gets a scale: beyond it, max − min may not fit in float32."""


@dataclass(frozen=True, eq=False)
class QParams(Generic[Array]):
    """The grid of an affine quantizer.

    Parameters
    ----------
    scale
        S > 0, float32; as many dimensions as the tensor, 1 along every axis that shares a scale.
    zero_point
        Z, the code of 0.0, int32; same shape as ``scale``.
    quant_min, quant_max
        The lowest and the highest code, both included.
    """

    scale: Array
    zero_point: Array
    quant_min: int
    quant_max: int

    @property
    def bits(self) -> int:
        """Bits that one code takes."""
        return (self.quant_max - self.quant_min).bit_length()


def integer_range(bits: int, *, signed: bool, narrow_range: bool = False) -> tuple[int, int]:
    """Return the lowest and the highest integer of a format.

    Unsigned: [0, 2^b − 1]. Signed: [−2^(b−1), 2^(b−1) − 1]. ``narrow_range`` gives up the lowest code, which
    makes a signed range symmetric: int8 becomes [−127, 127].

    Parameters
    ----------
    bits
        Bit width b, 2 to 16.

    Raises
    ------
    SettingError
        If ``bits`` is not a whole number from 2 to 16.
    """
    if bits not in range(MIN_BITS, MAX_BITS + 1):
        raise SettingError(
            f"bits is {bits!r}, but quantization takes a whole number from {MIN_BITS} to {MAX_BITS}; "
            "try bits=8, and leave the values as they are for 32-bit floats."
        )
    lowest = -(2 ** (int(bits) - 1)) if signed else 0
    return lowest + int(narrow_range), lowest + 2 ** int(bits) - 1


def choose_qparams(x: Array, bits: int, *, symmetric: bool, granularity: Granularity) -> QParams[Array]:
    """Fit the grid to the range of ``x`` (min-max).

    Asymmetric (unsigned codes): S = (max − min) / (2^b − 1) and Z = −round(min / S), where the range is first
    widened to contain 0. Symmetric (signed codes, narrow range): S = max|x| / (2^(b−1) − 1) and Z = 0. Either
    way 0.0 lies exactly on the grid, so that padding and pruned weights stay zero.

    A range of zero width (all values 0.0) gets S = 1. A range so narrow that S would fall below the smallest
    normal float32, 1.2e-38, gets that number.

    Parameters
    ----------
    x
        Any shape, at least one value, all finite.
    bits
        Bit width b, 2 to 16.

    Raises
    ------
    SettingError
        If ``bits`` is out of range or ``x`` lacks the granularity's axis.
    ModelError
        If ``x`` is empty, or holds NaN, infinite values, or values beyond ±1e38.
    """
    xp = array_namespace(x)
    if hasattr(x, "detach"):  # a torch parameter: its grid is a constant to autograd
        x = x.detach()
    quant_min, quant_max = integer_range(bits, signed=symmetric, narrow_range=symmetric)
    axes = granularity.shared_axes(x.ndim)
    if 0 in x.shape:
        raise ModelError(
            f"A tensor of shape {tuple(x.shape)} has no values to fit a scale to; "
            "leave empty tensors out before calling choose_qparams."
        )
    x = xp.astype(x, xp.float32, copy=False)
    low = xp.minimum(xp.min(x, axis=axes, keepdims=True), 0.0)
    high = xp.maximum(xp.max(x, axis=axes, keepdims=True), 0.0)
    if not xp.all(xp.maximum(-low, high) <= MAX_MAGNITUDE):  # false for NaN too
        raise ModelError(
            f"These values hold NaN or infinite numbers, or some beyond ±{MAX_MAGNITUDE:.0e}, and no scale "
            "fits them; repair them first, for example with torch.nan_to_num or numpy.nan_to_num."
        )
    width = xp.maximum(-low, high) if symmetric else high - low
    smallest = xp.finfo(xp.float32).smallest_normal
    scale = xp.where(width == 0, 1.0, xp.maximum(width / quant_max, smallest))
    zero_point = xp.zeros_like(scale) if symmetric else -xp.round(low / scale)
    return QParams(scale, xp.astype(zero_point, xp.int32), quant_min, quant_max)


def quantize(x: Array, qparams: QParams[Array]) -> Array:
    """Return the codes q = clip(round(x / S) + Z, quant_min, quant_max) as int32, in the shape of ``x``.

    Values outside the grid's range, infinite ones too, get the nearest end of it.

    Raises
    ------
    ModelError
        If ``x`` holds NaN, for which there is no code.
    """
    xp = array_namespace(x)
    x = xp.astype(x, xp.float32, copy=False)
    if xp.any(xp.isnan(x)):
        raise ModelError(
            "These values hold NaN, which has no integer code; repair them first, for example with "
            "torch.nan_to_num or numpy.nan_to_num."
        )
    codes = xp.round(x / qparams.scale) + xp.astype(qparams.zero_point, xp.float32)
    codes = xp.minimum(xp.maximum(codes, qparams.quant_min), qparams.quant_max)
    q: Array = xp.astype(codes, xp.int32)
    return q


def dequantize(q: Array, qparams: QParams[Array]) -> Array:
    """Return the real numbers S · (q − Z) that the codes stand for, as float32, in the shape of ``q``."""
    xp = array_namespace(q)
    x: Array = qparams.scale * xp.astype(q - qparams.zero_point, xp.float32)
    return x


def fake_quantize(x: Array, qparams: QParams[Array]) -> Array:
    """Return the grid point nearest to each value: ``dequantize(quantize(x))``, as float32.

    This is what a quantized model computes with, written in floating point. No gradient passes through it.
    """
    return dequantize(quantize(x, qparams), qparams)
