"""Models whose layers have bit widths of their own, and what these widths cost.

Which layer gets how many bits is decided in `course_lib.quantization.allocation`, which needs no model.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy

from torch import nn

from course_lib.quantization.allocation import Allocation, allocate, log_rule
from course_lib.quantization.models.graph import weight_layers
from course_lib.quantization.models.layerwise import WeightScheme, nearest_per_channel
from course_lib.quantization.models.sensitivity import LossTable
from course_lib.registry import look_up

__all__ = ["FLOAT_BITS", "Allocation", "allocate", "apply_bits", "log_rule", "weight_bits"]

FLOAT_BITS = 32
"""The width that stands for a layer left in floating point."""


def weight_bits(model: nn.Module, bits: Sequence[int]) -> LossTable:
    """Return path → bits → bits that the layer's weight takes, scales not counted: a table of costs."""
    return {
        path: {width: float(width * layer.weight.numel()) for width in bits}
        for path, layer in weight_layers(model).items()
    }


def apply_bits(
    model: nn.Module, bits_by_layer: Mapping[str, int], *, scheme: WeightScheme = nearest_per_channel
) -> nn.Module:
    """Return a copy of the model with the weights of these layers quantized; 32 bits leaves one as it is.

    Raises
    ------
    UnknownNameError
        If the model has no such layer.
    SettingError
        If a bit width does not exist.
    """
    quantized = deepcopy(model)
    paths = weight_layers(model)
    for path, width in bits_by_layer.items():
        look_up(paths, "layer", path)
        layer = quantized.get_submodule(path)
        if width != FLOAT_BITS:
            weight = scheme(layer.get_parameter("weight").detach(), width)
            layer.weight = nn.Parameter(weight, requires_grad=layer.get_parameter("weight").requires_grad)
    return quantized
