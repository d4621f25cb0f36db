"""A module whose graph carries quantize and dequantize steps, as XNNPACK wants them: PyTorch's PT2E way.

1. export: torch.export writes the module down as a graph.
2. prepare: the quantizer, who knows what XNNPACK can compute in integers, puts an observer at each place.
3. calibrate: representative inputs run through; the observers note minima and maxima.
4. convert: observers become quantize/dequantize pairs, weights are rounded, one scale a channel.

XNNPACK recognizes a pair around an operator and runs it in integers. The scheme is symmetric for weights
(zero point 0) and affine for activations, as in Jacob et al. (2018).
"""

import torch
from torch import nn

from course_lib.runtimes.calibration_batches import batches_of
from course_lib.runtimes.protocol import Array


def quantize_static(module: nn.Module, inputs: torch.Tensor, calibration: Array) -> nn.Module:
    """Return the module as a graph with 8-bit weights and activations; called inside `quiet_conversion`.

    Parameters
    ----------
    inputs
        The batch whose shape is fixed.
    calibration
        (M, …), float32.
    """
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    quantizer = XNNPACKQuantizer().set_global(get_symmetric_quantization_config(is_per_channel=True))
    with torch.no_grad():
        observed = prepare_pt2e(torch.export.export(module, (inputs,), strict=False).module(), quantizer)
        for batch in batches_of(calibration, len(inputs)):
            observed(torch.from_numpy(batch))
        quantized: nn.Module = convert_pt2e(observed)
    return quantized
