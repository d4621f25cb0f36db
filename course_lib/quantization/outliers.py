"""Outliers: a few values so large that they set the steps for all the others, and two ways to take them out.

`split_outliers` keeps the largest values apart in floating point, and only the rest is quantized (the dense
and sparse parts of SqueezeLLM, Kim et al. 2023). `split_channels` halves the channel with the largest value
and lets it appear twice: all values are still quantized, and the layer gets wider (outlier channel splitting,
Zhao et al. 2019).

Worked example, 1,000 weights: one of 100, the others ±0.1. At 8 bits, symmetric, S = 100 / 127 = 0.79, and
all the others become 0. With one value in a thousand apart, S = 0.1 / 127, the others are met to 0.0004, and
the one costs 4 bytes and its position, 10 bits.

Left out: Zhao's shift of the two halves by half a step, which keeps the sum of their roundings exact.
"""

import math

from array_api_compat import array_namespace

from course_lib.errors import ModelError, SettingError
from course_lib.quantization.encoding import encoded_sizes
from course_lib.quantization.grid import Array


def split_outliers(x: Array, fraction: float) -> tuple[Array, Array]:
    """Return the dense part and the sparse part of ``x``: x = dense + sparse, exactly.

    Parameters
    ----------
    x
        Any shape.
    fraction
        Share of the values in the sparse part, those of largest magnitude; 0 to 1, rounded up to a whole
        number of values. Among equal ones the first come first. They are 0 in the dense part, and all others
        are 0 in the sparse part.

    Raises
    ------
    SettingError
        If ``fraction`` is outside 0 to 1.
    """
    _check(fraction)
    xp = array_namespace(x)
    flat = xp.reshape(x, (-1,))
    is_outlier = xp.zeros_like(flat, dtype=xp.bool)
    is_outlier[xp.argsort(xp.abs(flat), descending=True, stable=True)[: _count(fraction, flat.shape[0])]] = (
        True
    )
    is_outlier = xp.reshape(is_outlier, x.shape)
    zeros = xp.zeros_like(x)
    return xp.where(is_outlier, zeros, x), xp.where(is_outlier, x, zeros)


def sparse_bytes(sparse: Array) -> int:
    """Return the bytes of the stored sparse part: positions and 32-bit values, in the smallest encoding."""
    return min(encoded_sizes(sparse).values())


def split_channels(weight: Array, fraction: float, axis: int = 1) -> tuple[Array, Array]:
    """Return a wider weight with smaller outliers, and for each of its channels the one that it came from.

    Again and again the channel that holds the largest |w| is halved, and a copy of the half is appended. The
    layer computes the same when its input repeats the channels alike: y = layer(x[:, channels]).

    Parameters
    ----------
    weight
        At least one dimension.
    fraction
        How many channels to add, as a share of those there are; 0 to 1, rounded up.
    axis
        The axis of the input channels: 1 in torch's convolution (without groups) and linear weights.

    Raises
    ------
    SettingError
        If ``fraction`` is outside 0 to 1.
    ModelError
        If ``weight`` lacks the axis or is empty.
    """
    _check(fraction)
    if not -weight.ndim <= axis < weight.ndim or 0 in weight.shape:
        raise ModelError(
            f"A weight of shape {tuple(weight.shape)} has no values along axis {axis} to split; choose "
            "another axis."
        )
    xp = array_namespace(weight)
    rows = xp.moveaxis(weight, axis, 0)
    channels = xp.arange(rows.shape[0])
    for _ in range(_count(fraction, rows.shape[0])):
        largest = int(xp.argmax(xp.max(xp.reshape(xp.abs(rows), (rows.shape[0], -1)), axis=1)))
        half = rows[largest : largest + 1] / 2
        rows = xp.concat([rows[:largest], half, rows[largest + 1 :], half])
        channels = xp.concat([channels, channels[largest : largest + 1]])
    return xp.moveaxis(rows, 0, axis), channels


def _check(fraction: float) -> None:
    if not 0 <= fraction <= 1:
        raise SettingError(f"fraction is {fraction!r}, but it is a share from 0 to 1; try 0.005.")


def _count(fraction: float, total: int) -> int:
    return math.ceil(round(fraction * total, 9))  # 0.07 * 100 is 7.000000000000001
