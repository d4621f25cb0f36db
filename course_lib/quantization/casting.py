"""Narrower floating-point formats: float32 rounded to float16, bfloat16 and the two of FP8.

A format with m mantissa bits and smallest exponent e_min holds the multiples of

    step = 2^(max(⌊log2 |x|⌋, e_min) − m)

so the step grows with the value, unlike that of an integer grid: the relative error is at most 2^−(m+1),
and below 2^e_min (the subnormal numbers) the absolute error at most 2^(e_min − m − 1). Rounding is to the
nearest, ties to even.

| format | bits | exponent + mantissa | e_min | largest | beyond it |
|---|---|---|---|---|---|
| float16 | 16 | 5 + 10 | −14 | 65504 | infinity (IEEE 754) |
| bfloat16 | 16 | 8 + 7 | −126 | 3.39e38 | infinity (IEEE 754) |
| float8_e4m3 | 8 | 4 + 3 | −6 | 448 | ±448 |
| float8_e5m2 | 8 | 5 + 2 | −14 | 57344 | ±57344 |

E4M3 has no infinities and only one NaN a sign, which buys it the values from 256 to 448 (Micikevicius et
al. 2022, table 1; ONNX and torch call it float8_e4m3fn). Both FP8 formats saturate, infinities included, as
ONNX's Cast does by default; torch makes infinities of what lies beyond E5M2. NaN stays NaN.

Worked example, x = 0.3: ⌊log2 x⌋ = −2, so the step is 2^−5 in E4M3 and x / step = 9.6 rounds to 10, which is
0.3125; in E5M2 the step is 2^−4, 4.8 rounds to 5, which is 0.3125 too; float16 gives 0.300048828125.

Left out: the scale that FP8 tensors carry beside them, and formats of 6 and 4 bits.
"""

import math
from dataclasses import dataclass

from array_api_compat import array_namespace

from course_lib.quantization.affine import Array
from course_lib.registry import look_up


@dataclass(frozen=True)
class FloatFormat:
    """A binary floating-point format.

    Parameters
    ----------
    exponent_bits, mantissa_bits
        Widths of the two fields; the sign takes one bit more.
    min_exponent
        e_min, the exponent of the smallest normal number.
    largest
        The largest finite number.
    saturates
        Whether what lies beyond becomes ±``largest`` instead of ±infinity.
    """

    exponent_bits: int
    mantissa_bits: int
    min_exponent: int
    largest: float
    saturates: bool

    @property
    def bits(self) -> int:
        """Bits that one value takes."""
        return 1 + self.exponent_bits + self.mantissa_bits


FORMATS = {
    "float16": FloatFormat(5, 10, min_exponent=-14, largest=65504.0, saturates=False),
    "bfloat16": FloatFormat(8, 7, min_exponent=-126, largest=(2 - 2**-7) * 2.0**127, saturates=False),
    "float8_e4m3": FloatFormat(4, 3, min_exponent=-6, largest=448.0, saturates=True),
    "float8_e5m2": FloatFormat(5, 2, min_exponent=-14, largest=57344.0, saturates=True),
}
"""Name → format of everything that `cast` rounds to."""


def bits_of(format: str) -> int:
    """Return how many bits a value of the named format takes.

    Raises
    ------
    UnknownNameError
        If there is no such format.
    """
    return look_up(FORMATS, "format", format).bits


def cast(x: Array, format: str) -> Array:
    """Round each value to the nearest of the named format; float32 in and out, any shape.

    Parameters
    ----------
    x
        NumPy array or torch tensor of float32.
    format
        "float16", "bfloat16", "float8_e4m3" or "float8_e5m2".

    Raises
    ------
    UnknownNameError
        If there is no such format.
    """
    target = look_up(FORMATS, "format", format)
    xp = array_namespace(x)
    wide = xp.astype(x, xp.float64)  # x / step can then neither be rounded nor leave the range
    magnitude = xp.where(xp.isfinite(wide) & (wide != 0), xp.abs(wide), 1.0)
    fraction, _ = xp.frexp(magnitude)  # from 1/2 to 1, so that magnitude / fraction is a power of two
    power = magnitude / fraction / 2
    step = xp.maximum(power, 2.0**target.min_exponent) * 2.0**-target.mantissa_bits
    rounded = xp.round(wide / step) * step
    beyond = xp.copysign(xp.full_like(wide, target.largest if target.saturates else math.inf), wide)
    result: Array = xp.astype(xp.where(xp.abs(rounded) > target.largest, beyond, rounded), xp.float32)
    return result
