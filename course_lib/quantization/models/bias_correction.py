"""Bias correction: give each output channel its mean back (Nagel et al. 2019, section 4.2).

Rounding moves weights up and down, but rarely so that the moves cancel: with ΔW = Ŵ − W, a channel's output
shifts by E[ΔW·x] on average. A constant shift can be taken out exactly, through the bias:

    b' = b − E[ΔW·x] = E[(W − Ŵ)·x + b]

which is the mean output of the layer with the weights W − Ŵ. The mean is over images and positions. Here it
is measured on calibration inputs; the paper also estimates it from batch-norm statistics, without data.

Worked example: W = 0.4, b = 1, inputs 1 and 3, Ŵ = 0.5. The outputs 1.4 and 2.2 become 1.5 and 2.5; their
mean has moved by 0.1 · 2 = 0.2, so b' = 0.8 gives 1.3 and 2.3, whose mean is 1.8 again.
"""

import torch
from torch import Tensor, nn
from torch.func import functional_call

from course_lib.errors import ModelError
from course_lib.quantization.models.graph import WeightLayer
from course_lib.quantization.models.layer_inputs import check_inputs


@torch.no_grad()
def corrected_bias(layer: WeightLayer, weight: Tensor, inputs: Tensor) -> Tensor:
    """Return the bias that keeps each output channel's mean when ``weight`` replaces the layer's own.

    Parameters
    ----------
    layer
        With its float weights; it stays as it is. A layer without a bias counts as one with bias 0.
    weight
        The rounded weights Ŵ as real numbers, in the shape of ``layer.weight``.
    inputs
        (N, C, H, W) for a convolution, (…, in_features) for a linear layer; all of them are used.

    Returns
    -------
    Tensor
        (out_channels,), float32.

    Raises
    ------
    DataError
        If there are no inputs, their shape does not fit the layer, or they hold NaN or infinite values.
    ModelError
        If ``weight`` has another shape than the layer's, or either holds NaN or infinite values.
    """
    if weight.shape != layer.weight.shape:
        raise ModelError(
            f"The rounded weights have shape {tuple(weight.shape)}, but {layer} has weights of shape "
            f"{tuple(layer.weight.shape)}; pass dequantize(codes, qparams) of this layer."
        )
    difference = layer.weight - weight
    if not torch.isfinite(difference).all():
        raise ModelError(
            f"The weights of {layer} or the rounded ones hold NaN or infinite values, for which no bias "
            "makes up; load or quantize them again."
        )
    check_inputs(layer, inputs)
    outputs: Tensor = functional_call(layer, {"weight": difference}, (inputs.to(difference.dtype),))
    channel_axis = 1 if isinstance(layer, nn.Conv2d) else outputs.ndim - 1
    axes = [axis for axis in range(outputs.ndim) if axis != channel_axis]
    mean = outputs.double().mean(dim=axes) if axes else outputs
    return mean.float()
