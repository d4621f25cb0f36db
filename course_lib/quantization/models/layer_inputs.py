"""A layer as a matrix product: what each output value multiplies its weights with.

A linear layer computes y = W·x + b for each of its input vectors x. A convolution does the same for each
output position, where x is the patch of its input under the kernel, channel by channel and row by row, in the
order of the weight's last three axes. Grouped convolutions are as many separate products as there are groups;
a depthwise one has a group for each channel. So one matrix of inputs, a row for each x, is all that the
rounding methods need to know about a layer's data.

Worked example: a 1×2 kernel over the row [1, 2, 3] sees the patches [1, 2] and [2, 3]; with one zero of
padding at each end it sees [0, 1], [1, 2], [2, 3] and [3, 0].

Patches overlap, so their matrix is larger than the inputs by up to the kernel's area. It is kept within
`MAX_VALUES` numbers by drawing rows before they are copied; the full matrix never exists.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib.errors import DataError, ModelError
from course_lib.quantization.affine import QParams
from course_lib.quantization.models.graph import WeightLayer
from course_lib.reproducibility import torch_generator

MAX_VALUES = 2**25
"""The most numbers in a matrix of inputs: 128 MiB of float32."""

ROWS_AT_ONCE = 4096
"""Rows that `second_moments` converts to float64 at a time."""


def input_matrix(layer: WeightLayer, inputs: Tensor, seed: int = 0) -> Tensor:
    """Return the vectors that the layer's weights are multiplied with, (groups, rows, in_features), float32.

    A linear layer has one group; in_features counts the weights of one output channel. Rows are in the order
    of the layer's output positions. Where not all fit into `MAX_VALUES`, as many as fit are drawn evenly.

    Parameters
    ----------
    inputs
        (N, C, H, W) for a convolution, (…, in_features) for a linear layer; at least one, all finite.
    seed
        Of the drawing of rows.

    Raises
    ------
    DataError
        If there are no inputs, their shape does not fit the layer, or they hold NaN or infinite values.
    """
    patches = _patches(layer, inputs)
    rows = _rows(patches, seed)
    columns = patches[torch.unravel_index(rows, patches.shape[:3])].reshape(len(rows), groups_of(layer), -1)
    return columns.transpose(0, 1).contiguous()


def output_matrix(layer: WeightLayer, inputs: Tensor, outputs: Tensor, seed: int = 0) -> Tensor:
    """Return the outputs that belong to the rows of `input_matrix`, (groups, rows, out_channels / groups).

    Parameters
    ----------
    outputs
        In the shape of ``layer(inputs)``, all finite.

    Raises
    ------
    DataError
        As for `input_matrix`, and for ``outputs`` likewise.
    """
    patches = _patches(layer, inputs)
    if isinstance(layer, nn.Conv2d):
        count, height, width = patches.shape[:3]
        shape = (count, layer.out_channels, height, width)
    else:
        shape = (*inputs.shape[:-1], layer.out_features)
    if tuple(outputs.shape) != shape:
        raise DataError(
            f"The targets have shape {tuple(outputs.shape)}, but {layer} gives {shape} for these inputs; "
            "pass what the float layer gives for the same images."
        )
    _check_finite(layer, "targets", outputs)
    channels_last = outputs.movedim(1, -1) if isinstance(layer, nn.Conv2d) else outputs
    flat = channels_last.detach().float().reshape(-1, layer.weight.shape[0])[_rows(patches, seed)]
    return flat.reshape(len(flat), groups_of(layer), -1).transpose(0, 1)


def weight_matrix(layer: WeightLayer) -> Tensor:
    """Return the layer's weights as (groups, out_channels / groups, in_features), float32.

    Raises
    ------
    ModelError
        If they hold NaN or infinite values.
    """
    check_weight(layer)
    return _as_matrix(layer, layer.weight.detach().float())


def grid_matrix(layer: WeightLayer, qparams: QParams[Tensor]) -> QParams[Tensor]:
    """Return the grid with one scale and zero point for each number of `weight_matrix`.

    Raises
    ------
    ModelError
        If the grid's shape cannot be broadcast to the weight's.
    """
    try:
        scale = qparams.scale.detach().broadcast_to(layer.weight.shape)
        zero_point = qparams.zero_point.broadcast_to(layer.weight.shape)
    except RuntimeError:
        raise ModelError(
            f"A grid of shape {tuple(qparams.scale.shape)} does not fit weights of shape "
            f"{tuple(layer.weight.shape)}; make it with choose_qparams(layer.weight, ...)."
        ) from None
    return QParams(
        _as_matrix(layer, scale), _as_matrix(layer, zero_point), qparams.quant_min, qparams.quant_max
    )


def second_moments(x: Tensor, y: Tensor) -> Tensor:
    """Return E[x·yᵀ] over the rows, (groups, features of x, features of y), summed in float64."""
    total = torch.zeros(x.shape[0], x.shape[2], y.shape[2], dtype=torch.float64, device=x.device)
    for x_rows, y_rows in zip(torch.split(x, ROWS_AT_ONCE, 1), torch.split(y, ROWS_AT_ONCE, 1), strict=True):
        total += x_rows.double().mT @ y_rows.double()
    return total / x.shape[1]


def check_inputs(layer: WeightLayer, inputs: Tensor) -> None:
    """Refuse inputs that `input_matrix` would refuse, with the same `DataError`."""
    _patches(layer, inputs)


def check_weight(layer: WeightLayer) -> None:
    """Refuse a layer whose weights hold NaN or infinite values, with a `ModelError`."""
    if not torch.isfinite(layer.weight).all():
        raise ModelError(
            f"The weights of {layer} hold NaN or infinite values, which no grid can stand for; load them "
            "again, or repair them with torch.nan_to_num."
        )


def groups_of(layer: WeightLayer) -> int:
    """Return how many separate matrix products the layer consists of."""
    return layer.groups if isinstance(layer, nn.Conv2d) else 1


def _as_matrix(layer: WeightLayer, values: Tensor) -> Tensor:
    groups = groups_of(layer)
    return values.reshape(groups, values.shape[0] // groups, -1)


def _patches(layer: WeightLayer, inputs: Tensor) -> Tensor:
    """Return a view of the (padded) inputs: (N, H_out, W_out, C, kernel height, kernel width).

    A linear layer is a 1×1 convolution over images of one pixel.
    """
    inputs = inputs.detach()
    if isinstance(layer, nn.Linear):
        fits = inputs.ndim >= 1 and inputs.shape[-1] == layer.in_features
        _check(layer, inputs, fits, f"(…, {layer.in_features})")
        return inputs.float().reshape(-1, 1, 1, layer.in_features, 1, 1)
    fits = inputs.ndim == 4 and inputs.shape[1] == layer.in_channels
    _check(layer, inputs, fits, f"(N, {layer.in_channels}, H, W)")
    (top, bottom), (left, right) = _padding(layer)
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    patches = F.pad(inputs.float(), (left, right, top, bottom), mode)
    for axis in (0, 1):
        reach = layer.dilation[axis] * (layer.kernel_size[axis] - 1) + 1
        if patches.shape[2 + axis] < reach:
            raise DataError(
                f"The inputs have shape {tuple(inputs.shape)}, which is smaller than the kernel of {layer}; "
                "pass the inputs that the layer sees in its model."
            )
        patches = patches.unfold(2 + axis, reach, layer.stride[axis])
    kept = patches[..., :: layer.dilation[0], :: layer.dilation[1]]
    return kept.permute(0, 2, 3, 1, 4, 5)


def _padding(layer: nn.Conv2d) -> list[tuple[int, int]]:
    """Return the padding before and after, first of the rows, then of the columns."""
    if layer.padding == "valid":
        return [(0, 0), (0, 0)]
    if layer.padding == "same":  # the odd one goes after, as in torch
        totals = [d * (k - 1) for d, k in zip(layer.dilation, layer.kernel_size, strict=True)]
        return [(total // 2, total - total // 2) for total in totals]
    return [(int(each), int(each)) for each in layer.padding]


def _rows(patches: Tensor, seed: int) -> Tensor:
    """Return the positions whose patches are used: all, or as many as fit into `MAX_VALUES`, in order."""
    count = patches.shape[:3].numel()
    limit = max(1, MAX_VALUES // patches.shape[3:].numel())
    if count <= limit:
        return torch.arange(count, device=patches.device)
    drawn = torch.randperm(count, generator=torch_generator(seed))[:limit]
    return drawn.sort().values.to(patches.device)


def _check(layer: WeightLayer, inputs: Tensor, fits: bool, expected: str) -> None:
    if not fits:
        raise DataError(
            f"The inputs have shape {tuple(inputs.shape)}, but {layer} takes {expected}; pass the inputs "
            "that the layer sees in its model."
        )
    if inputs.numel() == 0:
        raise DataError(
            f"The inputs have shape {tuple(inputs.shape)}, which holds no numbers, but the weights of "
            f"{layer} are judged by what they are multiplied with; pass the inputs of a few hundred images."
        )
    _check_finite(layer, "inputs", inputs)


def _check_finite(layer: WeightLayer, name: str, values: Tensor) -> None:
    if not torch.isfinite(values).all():
        raise DataError(
            f"The {name} of {layer} hold NaN or infinite values, which say nothing about its weights; find "
            "the images or the layer that they come from with torch.isfinite."
        )
