"""Small ONNX models written by hand, and ONNX Runtime without optimizations to run them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Array = NDArray[Any]
KINDS = {
    "float": TensorProto.FLOAT,
    "int8": TensorProto.INT8,
    "uint8": TensorProto.UINT8,
    "int64": TensorProto.INT64,
}


def node(operator: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
    """Return a node; names of tensors are separated by blanks, and "_" is a left-out input."""
    reads = ["" if name == "_" else name for name in inputs.split()]
    return helper.make_node(operator, reads, outputs.split(), name=f"node_{outputs.split()[0]}", **attributes)


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, Sequence[int | str]],
    outputs: Sequence[str] | Mapping[str, str],
    stored: Mapping[str, Any] | None = None,
) -> onnx.ModelProto:
    """Return a model with float inputs of these shapes; outputs are floats unless their type is given."""
    kinds = outputs if isinstance(outputs, Mapping) else dict.fromkeys(outputs, "float")
    graph = helper.make_graph(
        list(nodes),
        "small",
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))
            for name, shape in inputs.items()
        ],
        [helper.make_tensor_value_info(name, KINDS[kind], None) for name, kind in kinds.items()],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in (stored or {}).items()],
    )
    others = {each.domain for each in nodes} - {""}
    opsets = [helper.make_opsetid("", 20), *(helper.make_opsetid(domain, 1) for domain in sorted(others))]
    made = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    for value, inferred in zip(
        graph.output, onnx.shape_inference.infer_shapes(made).graph.output, strict=True
    ):
        made.graph.output[list(graph.output).index(value)].CopyFrom(inferred)
    return made


def operators(source: onnx.ModelProto) -> list[str]:
    """Return the operators of a model in order."""
    return [each.op_type for each in source.graph.node]


def stored_names(source: onnx.ModelProto) -> set[str]:
    """Return the names of the stored values."""
    return {tensor.name for tensor in source.graph.initializer}


def run_ort(source: onnx.ModelProto, inputs: Mapping[str, Array]) -> Sequence[Array]:
    """Run a model in ONNX Runtime with every optimization off."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    content = source.SerializeToString()
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"]).run(
        None, dict(inputs)
    )
