"""Quantized convolution in integers: image patches become rows of a matrix, summed as in ``integer.py``.

For each output pixel, the codes under the kernel are laid out as one row (im2col), each output channel's
weight as one column, and acc = Σ_k (q_x − Z_x)(q_w − Z_w) + bias is requantized. Padding is filled with Z_x,
the code of 0.0, and so adds nothing to the sum. With groups, each group of output channels sees only its own
input channels; a depthwise convolution has as many groups as input channels.

Within a row, the channels of one kernel position lie side by side, as in an image stored channels last. The
exact sum does not depend on that order, but the saturating one does: AVX2 adds entries 0 and 1, 2 and 3, and
so on, of this row in 16 bits. A depthwise convolution with one output channel a group runs in a kernel of its
own, which sums in 32 bits.

Worked example, one channel, x = [[1, 2], [3, 4]] with Z_x = 1, a 2 × 2 kernel of ones with Z_w = 0, padding 1
on the left only: the rows are [1, 1, 1, 3] and [1, 2, 3, 4], less Z_x [0, 0, 0, 2] and [0, 1, 2, 3], so
acc = [2, 6].

Left out: 1-D and 3-D convolutions, transposed convolutions, ONNX's auto_pad.
"""

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from course_lib.errors import DataError, SettingError
from course_lib.quantization.integer import (
    Grid,
    Int32Array,
    NDArray,
    accumulate,
    channel_parameters,
    check_codes,
    checked_bias,
    requantize,
    saturates,
)


@dataclass(frozen=True)
class ConvGeometry:
    """How a kernel moves over an image, with ONNX's names and order.

    Parameters
    ----------
    strides, dilations
        Steps of the kernel, and distance between its taps, along H and W; at least 1.
    pads
        Rows and columns added at the top, left, bottom and right; at least 0.
    groups
        Number of groups that the channels are split into.

    Raises
    ------
    SettingError
        If one of them is too small.
    """

    strides: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilations: tuple[int, int] = (1, 1)
    groups: int = 1

    def __post_init__(self) -> None:
        if min(*self.strides, *self.dilations, self.groups) < 1 or min(self.pads) < 0:
            raise SettingError(
                f"{self} describes no convolution; strides, dilations and groups start at 1, pads at 0."
            )


def integer_conv2d(
    x: NDArray,
    weight: NDArray,
    x_qparams: Grid,
    weight_qparams: Grid,
    out_qparams: Grid,
    *,
    geometry: ConvGeometry | None = None,
    bias: NDArray | None = None,
    saturating: bool = False,
) -> Int32Array:
    """Return the codes of a quantized 2-D convolution as int32, shape (N, C_out, H_out, W_out).

    Parameters
    ----------
    x
        Codes of shape (N, C, H, W), with one scale.
    weight
        Codes of shape (C_out, C / groups, KH, KW), with one scale, or one for each output channel.
    x_qparams, weight_qparams, out_qparams
        Grids of at most 8 bits; x and the output have one scale each.
    geometry
        Strides, pads, dilations and groups; None for stride 1 without padding.
    bias
        Integers in steps of S_x · S_w, shape (C_out,).
    saturating
        Emulate the 16-bit pair sums of AVX2, which concern unsigned x with signed weights.

    Raises
    ------
    SettingError
        If a grid has more than 8 bits, or scales of another shape.
    DataError
        If codes or bias are no integers, lie outside their grid, or have shapes that do not fit.
    """
    geometry = geometry or ConvGeometry()
    check_codes("x", x, x_qparams)
    check_codes("weight", weight, weight_qparams)
    _check_shapes(x, weight, geometry)
    groups, out_channels = geometry.groups, weight.shape[0]
    multiplier, zero_weight = channel_parameters(
        (x_qparams, weight_qparams, out_qparams), weight.shape, axis=0, names=("x", "weight")
    )
    zero_weight = np.broadcast_to(zero_weight, out_channels).reshape(groups, 1, -1)

    patches = unfold(x, x_qparams.zero_point.item(), weight.shape[2:], geometry)
    batch, _, height, width, length = patches.shape
    rows = patches.reshape(batch, groups, height * width, length)
    columns = weight.transpose(0, 2, 3, 1).reshape(groups, out_channels // groups, length).swapaxes(1, 2)

    depthwise = weight.shape[1] == 1 and out_channels == groups
    pairs_saturate = saturating and saturates(x_qparams, weight_qparams) and not depthwise
    acc = accumulate(rows, columns, x_qparams.zero_point.reshape(()), zero_weight, pairs_saturate)
    # (N, groups, pixels, channels of a group) → (N, pixels, C_out)
    acc = acc.swapaxes(1, 2).reshape(batch, height * width, out_channels) + checked_bias(bias, out_channels)
    codes = requantize(acc, multiplier, out_qparams)
    return codes.swapaxes(1, 2).reshape(batch, out_channels, height, width)


def unfold(x: NDArray, fill: int, kernel: tuple[int, ...], geometry: ConvGeometry) -> NDArray:
    """Return what lies under the kernel at each output pixel.

    Shape (N, groups, H_out, W_out, KH · KW · C / groups), the channels of a kernel position side by side;
    positions outside the image hold ``fill``.
    """
    top, left, bottom, right = geometry.pads
    padded = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=fill)
    spans = tuple(
        dilation * (size - 1) + 1 for dilation, size in zip(geometry.dilations, kernel, strict=True)
    )
    windows = sliding_window_view(padded, spans, axis=(2, 3))
    (down, across), (step_h, step_w) = geometry.strides, geometry.dilations
    windows = windows[:, :, ::down, ::across, ::step_h, ::step_w]
    batch, channels, height, width = windows.shape[:4]
    grouped = windows.reshape(batch, geometry.groups, channels // geometry.groups, height, width, *kernel)
    return grouped.transpose(0, 1, 3, 4, 5, 6, 2).reshape(batch, geometry.groups, height, width, -1)


def _check_shapes(x: NDArray, weight: NDArray, geometry: ConvGeometry) -> None:
    groups = geometry.groups
    if x.ndim != 4 or weight.ndim != 4 or x.shape[1] != weight.shape[1] * groups or weight.shape[0] % groups:
        raise DataError(
            f"A weight of shape {weight.shape} in {groups} group(s) does not fit images of shape {x.shape}; "
            "expected (C_out, C / groups, KH, KW) and (N, C, H, W), with C_out a multiple of groups."
        )
    top, left, bottom, right = geometry.pads
    padded = (x.shape[2] + top + bottom, x.shape[3] + left + right)
    spans = tuple(
        dilation * (size - 1) + 1 for dilation, size in zip(geometry.dilations, weight.shape[2:], strict=True)
    )
    if padded[0] < spans[0] or padded[1] < spans[1]:
        raise DataError(
            f"The kernel covers {spans[0]} × {spans[1]} pixels, but the padded image has only {padded[0]} × "
            f"{padded[1]}; pad more, or use a smaller kernel."
        )
