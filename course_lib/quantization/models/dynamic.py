"""Dynamic quantization: weights on fixed grids, and a new grid for each activation at run time.

The range of an activation is read off the batch that is being computed, so nothing has to be calibrated and
no value is ever clipped. It costs a pass over every activation, and results go back to floating point after
each layer; so it pays where weights are large and activations few, as in transformers and recurrent layers
with short sequences. Because the batch decides the grid, one input's result depends on its neighbours in the
batch.
"""

import torch
from torch import Tensor, nn

from course_lib.quantization.affine import QParams, choose_qparams, fake_quantize
from course_lib.quantization.granularity import PerTensor
from course_lib.quantization.models.config import QuantizationConfig, WeightScheme
from course_lib.quantization.models.placement import insert_after, layer_input_tensors
from course_lib.quantization.models.ptq import convert, prepare
from course_lib.quantization.models.quantizers import QuantizedModel

BITS = 8


class DynamicQuantizer(nn.Module):
    """Rounds activations to the 8-bit grid of their own range: ONNX's DynamicQuantizeLinear."""

    def forward(self, x: Tensor) -> Tensor:
        qparams: QParams[Tensor] = choose_qparams(x, BITS, symmetric=False, granularity=PerTensor())
        return fake_quantize(x, qparams)


@torch.no_grad()
def quantize_dynamic(
    model: nn.Module, weights: WeightScheme | None = None, kept_in_float: tuple[str, ...] = ()
) -> QuantizedModel:
    """Return a copy of the model with quantized weights, whose layers quantize their inputs as they come.

    Parameters
    ----------
    weights
        Rounded to the nearest grid point; by default 8 bits a weight and a scale per channel.
    kept_in_float
        Paths of the layers that stay as they are.

    Raises
    ------
    ModelError
        As `prepare`.
    DataError
        If the scheme's rounding needs calibration inputs, which dynamic quantization does without.
    """
    config = QuantizationConfig(
        weights=weights or WeightScheme(), activations=None, kept_in_float=kept_in_float
    )
    quantized = convert(prepare(model, config))
    nodes = layer_input_tensors(quantized.graph, kept_in_float)
    insert_after(quantized.graph, nodes, lambda node: DynamicQuantizer())
    return quantized
