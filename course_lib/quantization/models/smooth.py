"""Smoothing: move the spread between channels from activations, which share one scale, into weights.

A scale for a whole activation is set by its loudest channel; quiet channels get few steps. As in cross-layer
equalization, the channel may be divided by s_i > 0 where it is made and multiplied by s_i where it is read
(SmoothQuant; Xiao et al. 2023, eq. 4, there for the norms of transformers, here over a ReLU):

    s_i = max|a_i|^α / max|w_i|^(1 − α)

with the activation a_i that calibration inputs show and the weights w_i that read it. α, the ``strength``, is
how much of the spread leaves the activation: 0.5 shares it. A depthwise layer that reads the channel has a
scale for it alone, so there all of it may leave (α = 1) at no cost.

Worked example: max|a| = 16 and 1, max|w| = 1 and 1, α = 0.5: s = 4 and 1. The activations become 4 and 1, the
weights 4 and 1; the scale of the activation is four times finer.
"""

import torch
from torch import Tensor, fx, nn

from course_lib.errors import SettingError
from course_lib.quantization.models.capture import layer_inputs
from course_lib.quantization.models.equalize_layers import neighbours
from course_lib.quantization.models.fold import fold_batch_norms
from course_lib.quantization.models.graph import WeightLayer, trace

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
    for first, second in neighbours(graph):
        makes, reads = graph.get_submodule(first), graph.get_submodule(second)
        assert isinstance(makes, WeightLayer)
        assert isinstance(reads, WeightLayer)
        factor = _factors(reads, layer_inputs(graph, second, inputs), strength)
        makes.weight /= factor.reshape(-1, *[1] * (makes.weight.ndim - 1))
        if makes.bias is not None:
            makes.bias /= factor
        if _is_depthwise(reads):
            reads.weight *= factor.reshape(-1, 1, 1, 1)
        else:
            reads.weight *= factor.reshape(1, -1, *[1] * (reads.weight.ndim - 2))
    return graph


def _factors(reads: WeightLayer, activations: Tensor, strength: float) -> Tensor:
    channel_axis = 1 if isinstance(reads, nn.Conv2d) else activations.ndim - 1
    loudest = activations.abs().amax([axis for axis in range(activations.ndim) if axis != channel_axis])
    if _is_depthwise(reads):
        factor = loudest
    else:
        weights = reads.weight.abs().amax([axis for axis in range(reads.weight.ndim) if axis != 1])
        factor = loudest**strength / weights.clamp(min=1e-6) ** (1 - strength)
    return factor.clamp(min=SMALLEST * float(factor.max())) if bool(factor.max() > 0) else factor + 1


def _is_depthwise(layer: WeightLayer) -> bool:
    return isinstance(layer, nn.Conv2d) and layer.groups == layer.in_channels == layer.out_channels > 1
