"""Smoothing: move the spread between channels from activations, which share one scale, into weights.

A scale for a whole activation is set by its loudest channel; quiet channels get few steps. As in cross-layer
equalization, the channel may be divided by s_i > 0 where it is made and multiplied by s_i where it is read
(SmoothQuant; Xiao et al. 2023, eq. 4, there behind the norms of transformers, here also over ReLUs, pooling
and the additions of residual blocks, see `scaling_groups`):

    s_i = max|a_i|^α / max|w_i|^(1 − α)

with the activation a_i that calibration inputs show and the weights w_i that read it. Where several layers
read the channel, both are the largest over all of them. α, the ``strength``, is how much of the spread leaves
the activation: 0.5 shares it. A depthwise layer that reads the channel has a scale for it alone, so where no
other layer reads it all of the spread leaves (α = 1), at no cost.

Worked example: max|a| = 16 and 1, max|w| = 1 and 1, α = 0.5: s = 4 and 1. The activations become 4 and 1, the
weights 4 and 1; the scale of the activation is four times finer.
"""

import torch
from torch import Tensor, fx, nn

from course_lib.errors import SettingError
from course_lib.quantization.models.capture import layer_inputs
from course_lib.quantization.models.fold import fold_batch_norms
from course_lib.quantization.models.graph import WeightLayer, trace
from course_lib.quantization.models.scaling_groups import is_depthwise, scale_group, scaling_groups

SMALLEST = 0.02
"""No factor falls below this share of the largest: a channel that is nearly always zero would grow without
end."""


@torch.no_grad()
def smooth_activations(model: nn.Module, inputs: Tensor, *, strength: float = 0.5) -> fx.GraphModule:
    """Return a copy of the model, batch norms folded, that computes the same with evener activations.

    Parameters
    ----------
    inputs
        Some hundred real inputs of the training set, the batch first.
    strength
        α in [0, 1].

    Raises
    ------
    SettingError
        If ``strength`` is not in [0, 1].
    ModelError
        If the model cannot be traced.
    """
    if not 0 <= strength <= 1:
        raise SettingError(f"strength is {strength}; expected a number from 0 to 1, such as 0.5.")
    graph = fold_batch_norms(trace(model))
    for group in scaling_groups(graph):
        readers = {path: _weight_layer(graph, path) for path in group.readers}
        loudest = [
            _largest(layer_inputs(graph, path, inputs), 1 if isinstance(layer, nn.Conv2d) else -1)
            for path, layer in readers.items()
        ]
        scale_group(graph, group, _factors(list(readers.values()), torch.stack(loudest).amax(0), strength))
    return graph


def _factors(readers: list[WeightLayer], loudest: Tensor, strength: float) -> Tensor:
    """Return s of the channels that these layers read, (channels,), from max|a|."""
    weights = [_largest(layer.weight, 1) for layer in readers if not is_depthwise(layer)]
    factor = loudest
    if weights:
        factor = loudest**strength / torch.stack(weights).amax(0).clamp(min=1e-6) ** (1 - strength)
    return factor.clamp(min=SMALLEST * float(factor.max())) if bool(factor.max() > 0) else factor + 1


def _largest(values: Tensor, axis: int) -> Tensor:
    """Return the largest magnitude of each channel; ``axis`` is that of the channels."""
    return values.abs().movedim(axis, 0).flatten(1).amax(1)


def _weight_layer(graph: fx.GraphModule, path: str) -> WeightLayer:
    layer = graph.get_submodule(path)
    assert isinstance(layer, WeightLayer)  # groups have no other readers
    return layer
