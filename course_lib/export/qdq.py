"""Write a quantized model as an explicit QDQ graph: the form that deployment tools agree on.

Each quantized tensor passes through a pair of operators, QuantizeLinear → DequantizeLinear, and each
quantized weight is stored as integers followed by DequantizeLinear. Run operator by operator that is the
simulation in floating point. A runtime that has an integer kernel for "dequantize the inputs, compute,
quantize the output" puts it in the place of all of them; that is where the speed comes from.

What a target takes differs in two points. ONNX Runtime wants the bias as 32-bit integers on the grid
S_input · S_weight, otherwise it leaves the convolution in floating point. TensorRT refuses such biases, and
zero points other than 0.

Left out: float16 and FP8 weights, which are casts and need no grid.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from course_lib.errors import ExportError, UnknownNameError
from course_lib.export.onnx_export import DEFAULT_OPSET, build_onnx, write_onnx
from course_lib.export.pool_order import pool_before_quantizing
from course_lib.export.squeeze import squeeze_pooled
from course_lib.quantization.affine import QParams, quantize
from course_lib.quantization.models.quantizers import QuantizedModel

Target = Literal["onnxruntime", "tensorrt"]
WeightType = Literal["int8", "uint8"]

OPSET_OF_NARROW_TYPES = 21  # 4- and 16-bit integers came with it
MOVES = ("MaxPool", "Reshape", "Flatten", "Transpose", "Identity")


def export_qdq(
    model: QuantizedModel,
    example_inputs: Tensor | Sequence[Tensor],
    path: Path | str,
    *,
    target: Target = "onnxruntime",
    weight_type: WeightType = "int8",
) -> Path:
    """Write a quantized model as an ONNX file with integer weights, and return its path.

    Parameters
    ----------
    example_inputs
        One tensor for each input, batch first; only shapes and types matter.
    target
        Whose rules to keep.
    weight_type
        8-bit weights as signed integers, or as the same grid moved up by 128: ``"uint8"`` cannot saturate on
        CPUs with AVX2 but without VNNI, see `diagnose`.

    Raises
    ------
    UnknownNameError
        If there is no such target or type.
    ExportError
        If a bit width has no integer type that the target stores, or the file cannot be written.
    """
    content = build_qdq(model, example_inputs, target=target, weight_type=weight_type)
    return write_onnx(content, path)


def build_qdq(
    model: QuantizedModel,
    example_inputs: Tensor | Sequence[Tensor],
    *,
    target: Target = "onnxruntime",
    weight_type: WeightType = "int8",
) -> bytes:
    """Return the content of the file that `export_qdq` writes; the same arguments and exceptions."""
    for kind, value, known in (("target", target, Target), ("weight type", weight_type, WeightType)):
        if value not in get_args(known):
            raise UnknownNameError(kind, value, get_args(known))
    grids = {**model.activation_qparams, **model.weight_qparams}
    if target == "tensorrt":
        _check_symmetric(grids)
    graph = deepcopy(model.graph)
    for name in model.activation_qparams:
        graph.set_submodule(name, _QuantizeDequantize(name, model.activation_qparams[name]))
    for name, module in list(graph.named_modules()):
        if isinstance(module, nn.AdaptiveAvgPool2d) and module.output_size in (1, (1, 1)):
            graph.set_submodule(name, _GlobalAveragePool())
    narrow = any(qparams.bits <= 4 or qparams.bits > 8 for qparams in grids.values())
    opset = OPSET_OF_NARROW_TYPES if narrow else DEFAULT_OPSET
    content = onnx.load_model_from_string(build_onnx(graph, example_inputs, opset_version=opset))
    writer = _Writer(content)
    for layer, qparams in model.weight_qparams.items():
        writer.store_weight(layer, qparams, weight_type)
    if target == "onnxruntime":
        writer.store_biases()
        pool_before_quantizing(content)
        squeeze_pooled(content)
    # Shapes of tensors in between: every runtime infers them, and in small models they are most of the file.
    del content.graph.value_info[:]
    onnx.checker.check_model(content, full_check=True)
    exported: bytes = content.SerializeToString(deterministic=True)
    return exported


class _QuantizeDequantize(nn.Module):
    """Becomes the two ONNX operators when it is exported."""

    def __init__(self, name: str, qparams: QParams[Tensor]) -> None:
        super().__init__()
        integer = _activation_type(name, qparams)
        self.integer = integer
        self.scale: Tensor
        self.zero_point: Tensor
        self.register_buffer("scale", qparams.scale.clone())
        self.register_buffer("zero_point", qparams.zero_point.to(integer))

    def forward(self, x: Tensor) -> Tensor:
        symbolic = torch.onnx.ops.symbolic
        grid = (self.scale, self.zero_point)
        codes = symbolic("QuantizeLinear", (x, *grid), dtype=self.integer, shape=x.shape)
        return symbolic("DequantizeLinear", (codes, *grid), dtype=x.dtype, shape=x.shape)


class _GlobalAveragePool(nn.Module):
    """Becomes the operator of this name, which has an integer kernel; the exporter would write ReduceMean."""

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim != 4:
            return x.mean((-2, -1), keepdim=True)
        symbolic = torch.onnx.ops.symbolic
        return symbolic("GlobalAveragePool", (x,), dtype=x.dtype, shape=(*x.shape[:2], 1, 1))


def _activation_type(name: str, qparams: QParams[Any]) -> torch.dtype:
    """Return the type whose whole range the codes use: QuantizeLinear clips to nothing narrower."""
    if qparams.bits not in (8, 16):
        raise ExportError(
            f"The activations of {name} have {qparams.bits} bits, and ONNX quantizes activations to 8 or 16; "
            "convert with one of these, or keep this model as a simulation."
        )
    if qparams.quant_min < 0:
        return torch.int8 if qparams.bits == 8 else torch.int16
    return torch.uint8 if qparams.bits == 8 else torch.uint16


def _check_symmetric(grids: dict[str, QParams[Any]]) -> None:
    for name, qparams in grids.items():
        if bool((qparams.zero_point != 0).any()) or qparams.quant_min >= 0:
            raise ExportError(
                f"TensorRT takes symmetric grids only, and that of {name} has a zero point; convert with "
                "WeightScheme(symmetric=True) and ActivationScheme(symmetric=True)."
            )


@dataclass
class _Writer:
    """Edits the exported graph in place."""

    model: onnx.ModelProto

    def __post_init__(self) -> None:
        self.graph = self.model.graph
        self.initializers = {tensor.name: tensor for tensor in self.graph.initializer}
        self.maker = {name: node for node in self.graph.node for name in node.output}
        self.grid_of_weight: dict[str, tuple[str, onnx.NodeProto]] = {}

    def store_weight(self, layer: str, qparams: QParams[Tensor], weight_type: WeightType) -> None:
        """Replace the layer's weight by integers and a DequantizeLinear of the same output name."""
        name = output = f"{layer}.weight"
        weight = torch.from_numpy(numpy_helper.to_array(self.initializers[name]).copy())
        codes = quantize(weight, qparams).numpy()
        zero_point = qparams.zero_point.numpy()
        scale = qparams.scale.numpy()
        turned = self._remove_transpose(name)
        if turned:
            output, codes = turned, codes.T
            scale, zero_point = (each.T if each.ndim == 2 else each for each in (scale, zero_point))
        signed = qparams.quant_min < 0
        if weight_type == "uint8" and signed and qparams.bits > 4:
            codes, zero_point, signed = codes + 128, zero_point + 128, False
        kind = _storage_type(layer, qparams.bits, signed)
        attributes = _axis_attributes(scale)
        self._replace(name)
        self._add(f"{name}_codes", codes, kind)
        self._add(f"{name}_scale", _flat(scale, attributes), TensorProto.FLOAT)
        self._add(f"{name}_zero_point", _flat(zero_point, attributes), kind)
        inputs = [f"{name}_codes", f"{name}_scale", f"{name}_zero_point"]
        node = helper.make_node("DequantizeLinear", inputs, [output], name=f"{name}_dequantize", **attributes)
        self.graph.node.insert(0, node)
        self.maker[output] = node

    def store_biases(self) -> None:
        """Put the bias of every layer that has integer inputs and weights on the grid of its sums."""
        for node in list(self.graph.node):
            if node.op_type not in ("Conv", "Gemm") or len(node.input) < 3 or not node.input[2]:
                continue
            input_grid, weight_grid = self._grid(node.input[0]), self._grid(node.input[1])
            bias = self.initializers.get(node.input[2])
            if input_grid is None or weight_grid is None or bias is None:
                continue
            scale = (self._value(input_grid.input[1]) * self._value(weight_grid.input[1])).astype(np.float32)
            values = numpy_helper.to_array(bias)
            limit = 2**31 - 1
            codes = np.clip(np.rint(values.astype(np.float64) / scale), -limit, limit).astype(np.int64)
            name = bias.name
            axis: dict[str, Any] = {} if scale.ndim == 0 else {"axis": 0}
            self._replace(name)
            self._add(f"{name}_codes", codes, TensorProto.INT32)
            self._add(f"{name}_scale", scale, TensorProto.FLOAT)
            self._add(f"{name}_zero_point", np.zeros(scale.shape, np.int64), TensorProto.INT32)
            inputs = [f"{name}_codes", f"{name}_scale", f"{name}_zero_point"]
            place = list(self.graph.node).index(node)
            self.graph.node.insert(
                place, helper.make_node("DequantizeLinear", inputs, [name], name=f"{name}_dequantize", **axis)
            )

    def _grid(self, tensor: str) -> onnx.NodeProto | None:
        """Return the DequantizeLinear that a tensor comes from, over steps that only move values."""
        node = self.maker.get(tensor)
        while node is not None and node.op_type in MOVES:
            node = self.maker.get(node.input[0])
        return node if node is not None and node.op_type == "DequantizeLinear" else None

    def _value(self, name: str) -> np.ndarray[Any, Any]:
        return numpy_helper.to_array(self.initializers[name])

    def _remove_transpose(self, name: str) -> str | None:
        """Take out the step that turns a linear layer's weight, and return the name of its output."""
        for node in self.graph.node:
            if node.op_type == "Transpose" and node.input[0] == name:
                self.graph.node.remove(node)
                return str(node.output[0])
        return None

    def _replace(self, name: str) -> None:
        self.graph.initializer.remove(self.initializers.pop(name))

    def _add(self, name: str, values: Any, kind: int) -> None:
        tensor = numpy_helper.from_array(
            np.asarray(values).astype(helper.tensor_dtype_to_np_dtype(kind)), name
        )
        self.graph.initializer.append(tensor)
        self.initializers[name] = tensor


def _storage_type(layer: str, bits: int, signed: bool) -> int:
    if bits <= 4:
        return int(TensorProto.INT4 if signed else TensorProto.UINT4)
    if bits <= 8:
        return int(TensorProto.INT8 if signed else TensorProto.UINT8)
    raise ExportError(
        f"The weights of {layer} have {bits} bits, and integer kernels take 8 at most; convert with 8 bits "
        "or fewer."
    )


def _axis_attributes(scale: Any) -> dict[str, Any]:
    axes = [axis for axis, length in enumerate(scale.shape) if length > 1]
    return {"axis": axes[0]} if axes else {}


def _flat(values: Any, attributes: dict[str, Any]) -> Any:
    return values.reshape(-1) if attributes else values.reshape(())
