"""What a quantized ONNX file holds: the types and codes of its weights, and whether AVX2 could saturate."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from course_lib.errors import ModelError

MULTIPLIES = ("Conv", "Gemm", "MatMul")
MOVES = ("MaxPool", "Reshape", "Flatten", "Transpose", "Identity", "Squeeze", "Unsqueeze")
LARGEST_SAFE_CODE = 64
"""Two products of 255 · 64 still fit into 16 bits."""


@dataclass(frozen=True)
class QuantizedWeight:
    """A weight stored as 8-bit integers, and the type of what it is multiplied with.

    ``largest`` is the largest magnitude of a code; ``input_type`` is None where the input is not quantized.
    """

    layer: str
    input_type: str | None
    weight_type: str
    largest: int
    depthwise: bool

    @property
    def may_saturate(self) -> bool:
        """Whether sums of pairs can leave 16 bits: U8 × S8 with large codes; depthwise kernels never pair."""
        types = (self.input_type, self.weight_type)
        return types == ("uint8", "int8") and self.largest > LARGEST_SAFE_CODE and not self.depthwise


def read_weights(model: onnx.ModelProto) -> tuple[QuantizedWeight, ...]:
    """Return the 8-bit weights of the convolutions and linear layers, in order of execution.

    Raises
    ------
    ModelError
        If there is no QuantizeLinear in the graph.
    """
    graph = model.graph
    if not any(node.op_type == "QuantizeLinear" for node in graph.node):
        raise ModelError(
            "This file has no QuantizeLinear operator, so nothing in it is quantized for an integer kernel; "
            "pass the file that export_qdq wrote, and the unquantized one as float_model."
        )
    codes = _stored_codes(model)
    makers = {output: node for node in graph.node for output in node.output}
    weights = []
    for node in graph.node:
        grid = makers.get(node.input[1]) if node.op_type in MULTIPLIES else None
        if grid is None or grid.op_type != "DequantizeLinear" or grid.input[0] not in codes:
            continue
        values = codes[grid.input[0]]
        weights.append(
            QuantizedWeight(
                layer=grid.input[0].split(".weight")[0],
                input_type=_quantized_type(node.input[0], makers, graph),
                weight_type=str(values.dtype),
                largest=int(np.abs(values.astype(np.int32)).max(initial=0)),
                depthwise=_groups(node) > 1 and values.shape[1] == 1,
            )
        )
    return tuple(weights)


def with_unsigned_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy whose int8 weights are stored as uint8: codes and zero points go up by 128."""
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    tensors = {tensor.name: tensor for tensor in changed.graph.initializer}
    weights = {
        name
        for node in changed.graph.node
        if node.op_type == "DequantizeLinear" and len(node.input) == 3
        for name in (node.input[0], node.input[2])
        if node.input[0] in tensors
    }
    for name in weights:
        if tensors[name].data_type == TensorProto.INT8:
            moved = (numpy_helper.to_array(tensors[name]).astype(np.int16) + 128).astype(np.uint8)
            tensors[name].CopyFrom(numpy_helper.from_array(moved, name))
    return changed


def _stored_codes(model: onnx.ModelProto) -> dict[str, NDArray[Any]]:
    tensors = model.graph.initializer
    integers = (TensorProto.INT8, TensorProto.UINT8)
    return {each.name: numpy_helper.to_array(each) for each in tensors if each.data_type in integers}


def _quantized_type(tensor: str, makers: dict[str, onnx.NodeProto], graph: onnx.GraphProto) -> str | None:
    """Return the integer type that a tensor was rounded to, over steps that only move values."""
    node = makers.get(tensor)
    while node is not None and node.op_type in (*MOVES, "DequantizeLinear"):
        node = makers.get(node.input[0])
    if node is None or node.op_type != "QuantizeLinear":
        return None
    if len(node.input) < 3:
        return "uint8"  # the operator's own choice
    zero_points = {each.name: each.data_type for each in graph.initializer}
    kind = zero_points.get(node.input[2])
    return None if kind is None else str(np.dtype(onnx.helper.tensor_dtype_to_np_dtype(kind)))


def _groups(node: onnx.NodeProto) -> int:
    return next((each.i for each in node.attribute if each.name == "group"), 1)
