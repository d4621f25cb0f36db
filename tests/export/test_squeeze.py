import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from course_lib.architectures import load_pretrained
from course_lib.export.qdq import build_qdq
from course_lib.export.squeeze import squeeze_pooled
from course_lib.quantization.models.ptq import quantize_model
from course_lib.runtimes.onnx_runtime import OnnxRuntime


def pooled(flatten: onnx.NodeProto, pool: str = "GlobalAveragePool") -> onnx.ModelProto:
    """Return pooling → quantize → dequantize → a step that leaves two axes."""
    make = helper.make_node
    nodes = [
        make(pool, ["input"], ["pooled"]),
        make("QuantizeLinear", ["pooled", "scale", "zero"], ["q"]),
        make("DequantizeLinear", ["q", "scale", "zero"], ["dq"]),
        flatten,
    ]
    constants = {
        "scale": np.float32(0.1),
        "zero": np.uint8(3),
        "shape": np.array([-1, 3]),
        "one_row": np.array([1, -1]),
    }
    graph = helper.make_graph(
        nodes,
        "pooled",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 3, 4, 4])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["rows", "columns"])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


RESHAPE = helper.make_node("Reshape", ["dq", "shape"], ["logits"])
FLATTEN = helper.make_node("Flatten", ["dq"], ["logits"])


def test_one_image_by_hand() -> None:
    model = pooled(RESHAPE)
    squeeze_pooled(model)
    image = np.full((1, 3, 4, 4), 0.5, np.float32)
    image[:, 1] = 0.0
    assert ReferenceEvaluator(model).run(None, {"input": image})[0].tolist() == [[0.5, 0.0, 0.5]]


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), flatten=st.sampled_from([RESHAPE, FLATTEN]))
def test_no_bit_changes(seed: int, flatten: onnx.NodeProto) -> None:
    model = pooled(flatten)
    batch = np.random.default_rng(seed).normal(size=(2, 3, 4, 4)).astype(np.float32)
    before = ReferenceEvaluator(model).run(None, {"input": batch})[0]
    squeeze_pooled(model)
    onnx.checker.check_model(model, full_check=True)
    assert [node.op_type for node in model.graph.node][-1] == "Squeeze"
    assert {tensor.name for tensor in model.graph.initializer} == {"scale", "zero", "spatial_axes"}
    np.testing.assert_array_equal(ReferenceEvaluator(model).run(None, {"input": batch})[0], before)


@pytest.mark.parametrize(
    ("flatten", "pool"),
    [
        (helper.make_node("Reshape", ["dq", "one_row"], ["logits"]), "GlobalAveragePool"),
        (helper.make_node("Flatten", ["dq"], ["logits"], axis=2), "GlobalAveragePool"),
        (RESHAPE, "Relu"),
    ],
)
def test_other_steps_stay(flatten: onnx.NodeProto, pool: str) -> None:
    model = pooled(flatten, pool)
    before = [node.op_type for node in model.graph.node]
    squeeze_pooled(model)
    assert [node.op_type for node in model.graph.node] == before


def test_onnx_runtime_runs_no_transposition_behind_the_pooling(tmp_path) -> None:
    model = load_pretrained("tiny").eval()
    quantized = quantize_model(model, [torch.rand(8, 1, 28, 28)])
    options = OnnxRuntime().session_options()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    OnnxRuntime().create_session(build_qdq(quantized, torch.zeros(1, 1, 28, 28)), options)
    steps = [node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node]
    behind = steps[steps.index("QLinearGlobalAveragePool") :]
    assert "Squeeze" in behind
    assert not {"Transpose", "Reshape"} & set(behind)
