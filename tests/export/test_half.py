"""float16 inside, float32 outside: values by hand, NumPy as oracle, a checked graph, one sentence."""

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from onnx import TensorProto, helper, numpy_helper

from course_lib.errors import ExportError
from course_lib.export.half import to_half
from course_lib.runtimes.onnx_runtime import OnnxRuntime


def product(weight: np.ndarray, nodes: list[onnx.NodeProto] | None = None) -> bytes:
    """Return a model that computes input @ weight, for (1, n) inputs."""
    graph = helper.make_graph(
        nodes or [helper.make_node("MatMul", ["input", "weight"], ["logits"])],
        "graph",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, (1, weight.shape[0]))],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, (1, weight.shape[1]))],
        [numpy_helper.from_array(weight, "weight")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return model.SerializeToString()


def weight_of(content: bytes) -> np.ndarray:
    (tensor,) = onnx.load_model_from_string(content).graph.initializer
    return numpy_helper.to_array(tensor)


def test_a_third_by_hand() -> None:
    half = to_half(product(np.array([[1 / 3]], np.float32)))
    assert weight_of(half).dtype == np.float16
    assert float(weight_of(half)[0, 0]) == 0.333251953125 == 1365 * 2**-12
    scores = OnnxRuntime().load(half).run(np.array([[2.0]], np.float32))
    assert scores.dtype == np.float32
    assert scores[0, 0] == 2 * 0.333251953125


@given(arrays(np.float32, (3, 2), elements=st.floats(-1000, 1000, width=32, allow_subnormal=False)))
def test_weights_are_rounded_as_numpy_rounds(weight: np.ndarray) -> None:
    rounded, expected = weight_of(to_half(product(weight))), weight.astype(np.float16)
    kept = np.abs(weight) >= 6e-8  # below, the converter keeps the sign rather than giving 0
    np.testing.assert_array_equal(rounded[kept], expected[kept])


def test_the_graph_is_in_order_with_float32_ends() -> None:
    nodes = [
        helper.make_node("MatMul", ["input", "weight"], ["product"]),
        helper.make_node("CumSum", ["product", "axis"], ["sums"]),  # ONNX has no float16 form of it
        helper.make_node("Relu", ["sums"], ["logits"]),
    ]
    model = onnx.load_model_from_string(product(np.eye(2, dtype=np.float32), nodes))
    model.graph.initializer.append(numpy_helper.from_array(np.array(1), "axis"))
    half = onnx.load_model_from_string(to_half(model.SerializeToString()))
    onnx.checker.check_model(half, full_check=True)
    ends = [*half.graph.input, *half.graph.output]
    assert {value.type.tensor_type.elem_type for value in ends} == {TensorProto.FLOAT}
    scores = OnnxRuntime("off").load(half.SerializeToString()).run(np.array([[1, 2]], np.float32))
    assert scores.tolist() == [[1, 3]]


def test_what_is_not_onnx_is_one_sentence() -> None:
    with pytest.raises(ExportError, match="These 5 bytes are not an ONNX model; write one with export_onnx"):
        to_half(b"hello")
