"""ONNX models written by hand, so that the runtimes are tested without PyTorch's exporter."""

from collections.abc import Callable, Sequence

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

Build = Callable[..., onnx.ModelProto]

WEIGHT = np.array([[1.0, 3.0], [2.0, 4.0], [0.0, 0.0]], np.float32)


def build_model(
    nodes: Sequence[onnx.NodeProto] | None = None,
    *,
    shape: Sequence[int | str] | None = ("batch", 3),
    dtype: int = TensorProto.FLOAT,
    outputs: Sequence[str] = ("logits",),
    opset: int = 20,
    ir_version: int = 10,
    domains: Sequence[str] = (),
) -> onnx.ModelProto:
    """Return a graph that computes input @ WEIGHT, or the given nodes."""
    graph = helper.make_graph(
        nodes or [helper.make_node("MatMul", ["input", "weight"], ["logits"])],
        "graph",
        [helper.make_tensor_value_info("input", dtype, shape)],
        [helper.make_tensor_value_info(name, dtype, None) for name in outputs],
        [] if nodes else [numpy_helper.from_array(WEIGHT, "weight")],
    )
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=ir_version)


@pytest.fixture
def build() -> Build:
    return build_model


@pytest.fixture
def matmul() -> bytes:
    """input @ [[1, 3], [2, 4], [0, 0]] for any batch size."""
    return build_model().SerializeToString()
