"""Cross-layer equalization: one range for both sides of a channel (Nagel et al. 2019, section 4.1).

A ReLU lets positive factors through, max(s·x, 0) = s · max(x, 0). So the weights and the bias of a layer's
output channel i may be divided by s_i > 0 if the next layer's weights for that channel are multiplied by it:
the function stays the same. With r¹_i and r²_i, the largest |weight| of the channel on either side, eq. 11,

    s_i = √(r¹_i · r²_i) / r²_i

makes both sides equal to √(r¹_i · r²_i). Then no channel is so small beside its neighbours that a scale for
the whole tensor wipes it out, which is what happens to depthwise layers.

Worked example: r¹ = 8, r² = 2: s = 4 / 2 = 2, so the first layer's channel is halved to 4 and the second's
doubled to 4.

Left out: absorbing large biases into the next layer. A chain of layers is equalized pair by pair, until
nothing moves.
"""

from copy import deepcopy

import torch
from torch import Tensor

from course_lib.errors import ModelError
from course_lib.quantization.models.graph import WeightLayer
from course_lib.quantization.models.layer_inputs import check_weight, groups_of

NEGLIGIBLE = 1e-6
"""A channel's range below this fraction of its layer's largest counts as zero: it is float noise."""


@torch.no_grad()
def equalize_pair(first: WeightLayer, second: WeightLayer) -> tuple[WeightLayer, WeightLayer]:
    """Return copies of two layers that give the same function with equal ranges in each channel.

    Between the layers may be nothing, a ReLU, or another function with f(s·x) = s·f(x) that works on each
    channel alone, such as pooling; not ReLU6 or GELU. ``second`` must be the only reader of ``first``. The
    second layer may be grouped or depthwise. Channels whose range is zero on either side keep their weights.

    Raises
    ------
    ModelError
        If the second layer does not take as many channels as the first gives, or if weights hold NaN or
        infinite values.
    """
    channels, taken = first.weight.shape[0], second.weight.shape[1] * groups_of(second)
    if channels != taken:
        raise ModelError(
            f"{first} gives {channels} channels, but {second} takes {taken}; equalize layers that follow "
            "each other, with no flatten of several pixels between them."
        )
    check_weight(first)
    check_weight(second)
    first, second = deepcopy(first), deepcopy(second)
    by_input = _by_input_channel(second)
    factor = _factors(first.weight.flatten(1).abs().amax(dim=1), by_input.abs().amax(dim=(1, 3)).flatten())
    first.weight /= factor.reshape(-1, *[1] * (first.weight.ndim - 1))
    if first.bias is not None:
        first.bias /= factor
    by_input *= factor.reshape(by_input.shape[0], 1, -1, 1)
    return first, second


def _by_input_channel(layer: WeightLayer) -> Tensor:
    """Return a view of the weights: (groups, out_channels / groups, in_channels / groups, kernel area).

    Input channel i is read by group i // (in_channels / groups) only, at i % (in_channels / groups).
    """
    out_channels, in_channels = layer.weight.shape[:2]
    groups = groups_of(layer)
    return layer.weight.view(groups, out_channels // groups, in_channels, -1)


def _factors(first_range: Tensor, second_range: Tensor) -> Tensor:
    """Return s = √(r¹ · r²) / r² = √(r¹ / r²), and 1 where a range is zero."""
    used = (first_range > NEGLIGIBLE * first_range.max()) & (second_range > NEGLIGIBLE * second_range.max())
    return torch.where(used, first_range.sqrt() / second_range.sqrt(), 1.0)
