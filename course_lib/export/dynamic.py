"""Write a dynamically quantized model as ONNX: integer products with grids that are found at run time.

A layer y = W·x + b becomes DynamicQuantizeLinear (codes, scale and zero point of x), MatMulInteger or
ConvInteger (32-bit sums of products of codes), and a multiplication by S_x · S_w back to floating point. ONNX
Runtime fuses the steps of a matrix product into one kernel. This is what
`onnxruntime.quantization.quantize_dynamic` writes.
"""

from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from course_lib.errors import ExportError
from course_lib.export.onnx_export import build_onnx, write_onnx
from course_lib.quantization.affine import QParams, quantize
from course_lib.quantization.models.dynamic import DynamicQuantizer
from course_lib.quantization.models.graph import WeightLayer
from course_lib.quantization.models.quantizers import QuantizedModel


def export_dynamic(
    model: QuantizedModel, example_inputs: Tensor | Sequence[Tensor], path: Path | str
) -> Path:
    """Write a model that `quantize_dynamic` made as an ONNX file, and return its path.

    Raises
    ------
    ExportError
        If weights have other than 8 bits or one grid a group, or the file cannot be written.
    """
    return write_onnx(build_dynamic(model, example_inputs), path)


def build_dynamic(model: QuantizedModel, example_inputs: Tensor | Sequence[Tensor]) -> bytes:
    """Return the content of the file that `export_dynamic` writes; the same arguments and exceptions."""
    graph = deepcopy(model.graph)
    for path, module in list(graph.named_modules()):
        if isinstance(module, DynamicQuantizer):
            graph.set_submodule(path, nn.Identity())
    for path, qparams in model.weight_qparams.items():
        layer = graph.get_submodule(path)
        assert isinstance(layer, WeightLayer)
        if qparams.bits != 8 or qparams.group_size is not None:
            raise ExportError(
                f"The weights of {path} have {qparams.bits} bits{' in groups' if qparams.group_size else ''}"
                ", and ONNX's integer products take 8-bit weights with a scale per tensor or channel; call "
                "quantize_dynamic with WeightScheme()."
            )
        graph.set_submodule(path, _IntegerLayer(layer, qparams))
    return build_onnx(graph, example_inputs)


class _IntegerLayer(nn.Module):
    """Becomes the integer operators when it is exported."""

    def __init__(self, layer: WeightLayer, qparams: QParams[Tensor]) -> None:
        super().__init__()
        self.layer = [layer]  # in a list, so that its float weight is no part of the exported file
        integer = torch.int8 if qparams.quant_min < 0 else torch.uint8
        codes = quantize(layer.weight.detach(), qparams).to(integer)
        self.is_linear = isinstance(layer, nn.Linear)
        shape = (-1,) if self.is_linear else (1, -1, 1, 1)
        self.codes: Tensor
        self.scale: Tensor
        self.zero_point: Tensor
        self.register_buffer("codes", codes.T.contiguous() if self.is_linear else codes)
        self.register_buffer("scale", qparams.scale.reshape(shape))
        zero_point = qparams.zero_point.to(integer).reshape(-1)
        if bool((zero_point == zero_point[0]).all()):
            zero_point = zero_point[0]
        self.register_buffer("zero_point", zero_point)
        self.bias = None if layer.bias is None else nn.Parameter(layer.bias.detach().reshape(shape))

    def forward(self, x: Tensor) -> Tensor:
        layer = self.layer[0]
        dtypes = (torch.uint8, torch.float32, torch.uint8)
        codes, scale, zero_point = torch.onnx.ops.symbolic_multi_out(
            "DynamicQuantizeLinear", (x,), dtypes=dtypes, shapes=(x.shape, (), ())
        )
        operands = (codes, self.codes, zero_point, self.zero_point)
        with torch.no_grad():
            shape = layer(x).shape
        if isinstance(layer, nn.Linear):
            sums = torch.onnx.ops.symbolic("MatMulInteger", operands, dtype=torch.int32, shape=shape)
        else:
            attributes: dict[str, Any] = {
                "strides": list(layer.stride),
                "pads": [*layer.padding, *layer.padding],
                "dilations": list(layer.dilation),
                "group": layer.groups,
            }
            sums = torch.onnx.ops.symbolic(
                "ConvInteger", operands, attributes, dtype=torch.int32, shape=shape
            )
        y = sums.float() * (scale * self.scale)
        return y if self.bias is None else y + self.bias
