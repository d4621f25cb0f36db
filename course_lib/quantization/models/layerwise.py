"""What layer-by-layer analyses share: how a weight is quantized, and the checks of images and scores."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from course_lib.errors import DataError, ModelError
from course_lib.quantization.affine import choose_qparams, fake_quantize
from course_lib.quantization.granularity import PerChannel
from course_lib.quantization.models.graph import WeightLayer
from course_lib.registry import look_up
from course_lib.training.evaluate import Examples

WeightScheme: TypeAlias = Callable[[Tensor, int], Tensor]
"""Weight, bits → the weight on its grid, float32 of the same shape."""


def nearest_per_channel(weight: Tensor, bits: int) -> Tensor:
    """Return the weight rounded to the nearest point of symmetric grids, one for each output channel."""
    return fake_quantize(weight, choose_qparams(weight, bits, symmetric=True, granularity=PerChannel(0)))


def quantized_weights(
    layers: Mapping[str, WeightLayer],
    bits: Sequence[int],
    chosen: Sequence[str] | None,
    scheme: WeightScheme,
) -> dict[str, dict[int, Tensor]]:
    """Return path → bits → the layer's quantized weight, for the chosen layers or all.

    Raises
    ------
    UnknownNameError
        If there is no such layer.
    SettingError
        If a bit width does not exist.
    """
    paths = layers if chosen is None else chosen
    weights = {path: look_up(layers, "layer", path).weight.detach() for path in paths}
    return {path: {width: scheme(weight, width) for width in bits} for path, weight in weights.items()}


def checked(examples: Examples) -> tuple[Tensor, Tensor]:
    """Return inputs and labels as tensors.

    Raises
    ------
    DataError
        If there are no images, or not one label an image.
    """
    inputs, labels = examples
    if len(inputs) == 0 or len(inputs) != len(labels):
        raise DataError(
            f"These examples hold {len(inputs)} inputs and {len(labels)} labels; expected at least one "
            "input, and one label for each."
        )
    return torch.as_tensor(inputs), torch.as_tensor(labels)


def checked_scores(output: object, count: int, *, finite: bool = True) -> Tensor:
    """Return a model's output if it is one row of scores an image.

    Raises
    ------
    ModelError
        If it is not, or if scores that should be ``finite`` are not.
    """
    if not isinstance(output, Tensor) or output.ndim != 2 or len(output) != count:
        came = (
            f"has shape {tuple(output.shape)}"
            if isinstance(output, Tensor)
            else f"is a {type(output).__name__}"
        )
        raise ModelError(
            f"The model's output for {count} images {came}; expected one score a class, a tensor of shape "
            f"({count}, number of classes)."
        )
    if finite and not output.isfinite().all():
        raise ModelError(
            "The float model gives scores that are NaN or infinite; look for such values in its inputs "
            "and weights."
        )
    return output
