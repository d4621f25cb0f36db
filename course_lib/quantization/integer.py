"""Products of quantized matrices in integers, as an int8 runtime computes them.

With the real numbers a = S_a (q_a − Z_a) and b = S_b (q_b − Z_b), every product has the factor S_a S_b
(Jacob et al. 2018, section 2.2):

    acc = Σ_k (q_a − Z_a)(q_b − Z_b) + bias                       32-bit integers
    q_out = clip(rint(acc · M) + Z_out, quant_min, quant_max)      M = S_a · S_b / S_out in float32

Only the second line, the requantization, uses floating point: M is computed from left to right, acc is
rounded to float32, ties go to even. The bias is an integer with scale S_a S_b and zero point 0. ONNX
Runtime's QLinearMatMul and QLinearConv give the same codes, bit for bit, when ``out_qparams`` ends where
their output type does, at [0, 255] or [−128, 127], and not at the narrow range [−127, 127].

Worked example, Z_a = 10, Z_b = 0, M = 0.05, Z_out = 3: the row [12, 7] times the column [5, 20] is
acc = 2·5 + (−3)·20 = −50, and −50 · 0.05 = −2.5 rounds to −2, so the code is 1.

AVX2 has no instruction for the first line. For unsigned a and signed b, runtimes use VPMADDUBSW, which adds
two neighbouring products in 16 bits and saturates: 255·127 + 255·127 = 64770 becomes 32767. It multiplies the
codes as they are; the zero points are taken off the sums. With ``saturating=True`` (one 0 is added to odd K)

    acc = Σ_j clip(q_a[2j] q_b[2j] + q_a[2j+1] q_b[2j+1], −32768, 32767)
          − Z_a Σ_k q_b − Z_b Σ_k q_a + K Z_a Z_b + bias

This is the exact sum when all |q_b| ≤ 64, for 2 · 255 · 64 = 32640 still fits. Other types take products of
16 bits summed in 32 bits, which is exact; processors with VNNI sum all types in 32 bits and never saturate,
so there the emulation cannot be compared with the machine. It equals ONNX Runtime 1.31 on AVX2: seen on
a real processor for products of matrices, and on a Haswell emulated by QEMU for these and convolutions.
``python -m benchmarks.int8_reference`` compares again on the processor at hand.

Left out: Jacob et al. replace M by an integer multiplication and a shift, for processors without floats.
"""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from course_lib.errors import DataError, SettingError
from course_lib.quantization.affine import QParams

NDArray: TypeAlias = npt.NDArray[Any]
Int32Array: TypeAlias = npt.NDArray[np.int32]
Grid: TypeAlias = QParams[NDArray]

MAX_BITS = 8
INT16 = np.iinfo(np.int16)


def integer_matmul(
    a: NDArray,
    b: NDArray,
    a_qparams: Grid,
    b_qparams: Grid,
    out_qparams: Grid,
    *,
    bias: NDArray | None = None,
    saturating: bool = False,
) -> Int32Array:
    """Return the codes of the product of two quantized matrices as int32, shape (…, M, N).

    Parameters
    ----------
    a
        Codes of shape (…, M, K), with one scale.
    b
        Codes of shape (…, K, N), with one scale, or one for each column, ``PerChannel(-1)``. The weight of
        a linear layer, of shape (N, K), is transposed first, and so are its scales.
    a_qparams, b_qparams, out_qparams
        Grids of at most 8 bits; a and the output have one scale each.
    bias
        Integers in steps of S_a · S_b, shape (N,).
    saturating
        Emulate the 16-bit pair sums of AVX2, which concern unsigned a with signed b.

    Raises
    ------
    SettingError
        If a grid has more than 8 bits, or scales of another shape.
    DataError
        If codes or bias are no integers, lie outside their grid, or have shapes that do not fit.
    """
    check_codes("a", a, a_qparams)
    check_codes("b", b, b_qparams)
    if a.ndim < 2 or b.ndim < 2 or a.shape[-1] != b.shape[-2]:
        raise DataError(
            f"Matrices of shapes {a.shape} and {b.shape} cannot be multiplied; the last axis of the first "
            "must be as long as the last but one of the second."
        )
    multiplier, zero_b = channel_parameters(
        (a_qparams, b_qparams, out_qparams),
        b.shape,
        axis=b.ndim - 1,
        names=("a", "b"),
    )
    zero_a = a_qparams.zero_point.reshape(())
    pairs_saturate = saturating and saturates(a_qparams, b_qparams)
    acc = accumulate(a, b, zero_a, zero_b, pairs_saturate) + checked_bias(bias, b.shape[-1])
    return requantize(acc, multiplier, out_qparams)


def saturates(a_qparams: Grid, b_qparams: Grid) -> bool:
    """Return whether AVX2 multiplies these types with 16-bit pair sums: a unsigned, b signed."""
    return a_qparams.quant_min >= 0 > b_qparams.quant_min


def accumulate(a: NDArray, b: NDArray, zero_a: NDArray, zero_b: NDArray, pairs_saturate: bool) -> Int32Array:
    """Return Σ_k (a − Z_a)(b − Z_b) in 32 bits, which wrap around beyond ±2^31; shape (…, M, N).

    Zero points broadcast against a of shape (…, M, K) and b of shape (…, K, N).
    """
    a, b = a.astype(np.int32), b.astype(np.int32)
    total: Int32Array
    if pairs_saturate:
        row_sums, column_sums = a.sum(axis=-1, keepdims=True), b.sum(axis=-2, keepdims=True)
        corrections = a.shape[-1] * zero_a * zero_b - zero_a * column_sums - zero_b * row_sums
        total = (saturating_pair_sums(a, b) + corrections).astype(np.int32)
    else:
        total = (a - zero_a) @ (b - zero_b)
    return total


def saturating_pair_sums(a: NDArray, b: NDArray) -> Int32Array:
    """Return Σ_j clip(a[2j] b[2j] + a[2j+1] b[2j+1]), each pair clipped to 16 bits; shape (…, M, N)."""
    total: Int32Array = np.zeros((*a.shape[:-1], b.shape[-1]), np.int32)
    for k in range(0, a.shape[-1], 2):
        pair = a[..., k : k + 2] @ b[..., k : k + 2, :]
        total = total + np.clip(pair, INT16.min, INT16.max)
    return total


def requantize(acc: NDArray, multiplier: NDArray, out_qparams: Grid) -> Int32Array:
    """Return clip(rint(acc · M) + Z, quant_min, quant_max) in float32; M broadcasts against ``acc``."""
    codes = np.rint(acc.astype(np.float32) * multiplier) + out_qparams.zero_point.reshape(())
    codes = np.clip(codes, out_qparams.quant_min, out_qparams.quant_max)
    integers: Int32Array = codes.astype(np.int32)
    return integers


def channel_parameters(
    grids: tuple[Grid, Grid, Grid], b_shape: tuple[int, ...], axis: int, names: tuple[str, str]
) -> tuple[NDArray, NDArray]:
    """Return M and Z_b as flat arrays: one value, or one for each index along b's axis of output channels."""
    a_qparams, b_qparams, out_qparams = grids
    for name, qparams in ((names[0], a_qparams), ("the output", out_qparams)):
        if qparams.scale.size != 1:
            raise SettingError(
                f"Only {names[1]} may have several scales, but {name} has {qparams.scale.size}; "
                "quantize it with PerTensor()."
            )
    per_channel = tuple(size if i == axis else 1 for i, size in enumerate(b_shape))
    if b_qparams.scale.size != 1 and b_qparams.scale.shape != per_channel:
        raise SettingError(
            f"The scales of {names[1]} have shape {b_qparams.scale.shape}, but one scale is needed, or one "
            f"for each output channel in shape {per_channel}; quantize it with PerChannel({axis})."
        )
    scale_a, scale_b, scale_out = (grid.scale.reshape(-1).astype(np.float32) for grid in grids)
    return scale_a * scale_b / scale_out, b_qparams.zero_point.reshape(-1)


def check_codes(name: str, codes: NDArray, qparams: Grid) -> None:
    """Raise unless ``codes`` are integers of their grid, and the grid has at most 8 bits."""
    if qparams.bits > MAX_BITS:
        raise SettingError(
            f"The grid of {name} has {qparams.bits} bits, but sums in 32 bits are for codes of at most "
            f"{MAX_BITS}; quantize it with bits={MAX_BITS}."
        )
    if codes.dtype.kind not in "iu":
        raise DataError(f"{name} holds {codes.dtype}, but codes are integers; call quantize first.")
    if codes.size and not qparams.quant_min <= codes.min() <= codes.max() <= qparams.quant_max:
        raise DataError(
            f"The codes of {name} go from {codes.min()} to {codes.max()}, but their grid has "
            f"{qparams.quant_min} to {qparams.quant_max}; pass the qparams that they were quantized with."
        )


def checked_bias(bias: NDArray | None, channels: int) -> Int32Array:
    """Return the bias as int32 of shape (channels,), zeros when there is none."""
    if bias is None:
        return np.zeros(channels, np.int32)
    if bias.dtype.kind not in "iu" or bias.shape != (channels,):
        raise DataError(
            f"The bias has shape {bias.shape} and type {bias.dtype}, but expected are {channels} integers, "
            "one for each output channel: np.rint(bias / (scale_a * scale_b)).astype(np.int32)."
        )
    return bias.astype(np.int32)
