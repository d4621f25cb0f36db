"""An exported model whose weights can be exchanged without exporting it again.

A slider cannot wait for an export, so the graph is exported once and each setting only replaces the values of
its weights: the initializers that convolutions and matrix products read. Biases, norms and embeddings stay.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import numpy_helper

from course_lib.errors import ModelError
from course_lib.explore.graph_macs import macs_by_step


@dataclass(frozen=True)
class Weight:
    """One weight tensor of the graph.

    Parameters
    ----------
    name
        Of the initializer.
    values
        float32, in the layout of the graph.
    channel_axis
        The axis of the output channels: 0 for convolutions, 1 for matrices stored as (inputs, outputs).
    """

    name: str
    values: NDArray[np.float32]
    channel_axis: int


class WeightGraph:
    """An ONNX model and its compressible weights.

    Parameters
    ----------
    content
        The bytes of an ONNX file with its weights inside.

    Raises
    ------
    ModelError
        If this is no ONNX model, its weights lie in another file, it has none that can be compressed, or
        some are NaN or infinite.
    """

    def __init__(self, content: bytes) -> None:
        try:
            self._model = onnx.load_model_from_string(content)
        except DecodeError as error:
            raise ModelError("This is not an ONNX file; write one with export_onnx.") from error
        self._initializers = {tensor.name: tensor for tensor in self._model.graph.initializer}
        self._read_by: dict[str, list[onnx.NodeProto]] = {}
        self.weights = {weight.name: weight for weight in self._find_weights()}
        if not self.weights:
            raise ModelError(
                "The model has no floating-point weights of convolutions or matrix products to compress; "
                "pass a model that is not quantized yet, with its weights stored in the file."
            )

    @property
    def other_params(self) -> int:
        """How many numbers are kept as they are: biases, norms, embeddings."""
        floats = [t for t in self._initializers.values() if t.data_type == onnx.TensorProto.FLOAT]
        compressed = sum(weight.values.size for weight in self.weights.values())
        return sum(int(np.prod(tensor.dims)) for tensor in floats) - compressed

    @cached_property
    def macs(self) -> dict[str, int | None]:
        """Multiply-accumulates of each weight for one image; None where the graph does not tell."""
        counted = macs_by_step(self._model)
        return {
            name: _sum([counted(node, weight.values.size) for node in self._read_by[name]])
            for name, weight in self.weights.items()
        }

    def with_weights(self, values: Mapping[str, NDArray[np.float32]]) -> bytes:
        """Return the ONNX model with these weights in the place of its own; the rest is unchanged."""
        model = onnx.ModelProto()
        model.CopyFrom(self._model)
        for tensor in model.graph.initializer:
            if tensor.name in values:
                tensor.ClearField("float_data")
                tensor.raw_data = np.ascontiguousarray(
                    values[tensor.name], "<f4"
                ).tobytes()  # ONNX is little-endian
        content: bytes = model.SerializeToString()
        return content

    def _find_weights(self) -> list[Weight]:
        found: dict[str, Weight] = {}
        transposed: dict[str, tuple[str, list[int]]] = {}
        for node in self._model.graph.node:
            if node.op_type == "Transpose" and node.input[0] in self._initializers:
                # Exporters keep a linear layer's weight as (outputs, inputs) and turn it on its way.
                order = list(node.attribute[0].ints) if node.attribute else [1, 0]
                transposed[node.output[0]] = (node.input[0], order)
            for name, axis in _weight_inputs(node):
                if name in transposed:
                    name, order = transposed[name]
                    axis = order[axis]
                tensor = self._initializers.get(name)
                if tensor is None or tensor.data_type != onnx.TensorProto.FLOAT or len(tensor.dims) < 2:
                    continue
                self._read_by.setdefault(name, []).append(node)
                if name in found:
                    continue
                found[name] = Weight(name, _values(tensor), axis % len(tensor.dims))
        return list(found.values())


def _weight_inputs(node: onnx.NodeProto) -> list[tuple[str, int]]:
    """Return the inputs of a node that may be weights, each with the axis of its output channels."""
    attributes = {attribute.name: attribute for attribute in node.attribute}
    if node.op_type == "Conv":
        return [(node.input[1], 0)]
    if node.op_type == "ConvTranspose":
        return [(node.input[1], 1)]
    if node.op_type == "Gemm":
        transposed = "transB" in attributes and attributes["transB"].i
        return [(node.input[1], 0 if transposed else 1)]
    if node.op_type == "MatMul":
        return [(node.input[0], -2), (node.input[1], -1)]
    return []


def _values(tensor: onnx.TensorProto) -> NDArray[np.float32]:
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        raise ModelError(
            f"The weight {tensor.name} lies in a file beside the model; pass the path of the .onnx file, "
            "with the other file next to it."
        )
    values = numpy_helper.to_array(tensor)
    if not np.isfinite(values).all():
        raise ModelError(
            f"The weight {tensor.name} holds NaN or infinite values; train or load the model again."
        )
    return values


def _sum(counts: list[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None
