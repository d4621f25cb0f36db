import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from course_lib.export.pool_order import pool_before_quantizing


def chain(seed: int, *, extra_reader: bool = False, integer_weight: bool = False) -> onnx.ModelProto:
    """Return convolution → ReLU → quantize → dequantize → max pooling, drawn from a seed."""
    rng = np.random.default_rng(seed)
    constants = {
        "weight": rng.normal(size=(3, 1, 3, 3)).astype(np.float32),
        "codes": rng.integers(-9, 9, (3, 1, 3, 3)).astype(np.int8),
        "scale": np.float32(rng.uniform(0.01, 0.1)),
        "zero": np.uint8(rng.integers(0, 100)),
        "weight_zero": np.int8(0),
    }
    make = helper.make_node
    nodes = [
        make("DequantizeLinear", ["codes", "scale", "weight_zero"], ["integer_weight"]),
        make("Conv", ["input", "integer_weight" if integer_weight else "weight"], ["conv"], pads=[1] * 4),
        make("Relu", ["conv"], ["relu"]),
        make("QuantizeLinear", ["relu", "scale", "zero"], ["q"]),
        make("DequantizeLinear", ["q", "scale", "zero"], ["dq"]),
        make("MaxPool", ["dq"], ["logits"], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4),
        *([make("Neg", ["dq"], ["other"])] if extra_reader else []),
    ]
    names = ["logits", "other"] if extra_reader else ["logits"]
    graph = helper.make_graph(
        nodes,
        "chain",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 1, 8, 8])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 3, None, None]) for name in names],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def operators(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node][1:]


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_order_changes_no_bit(seed):
    model = chain(seed)
    batch = np.random.default_rng(seed).normal(size=(2, 1, 8, 8)).astype(np.float32)
    before = ReferenceEvaluator(model).run(None, {"input": batch})[0]
    pool_before_quantizing(model)
    onnx.checker.check_model(model, full_check=True)
    assert operators(model) == ["Conv", "MaxPool", "Relu", "QuantizeLinear", "DequantizeLinear"]
    np.testing.assert_array_equal(ReferenceEvaluator(model).run(None, {"input": batch})[0], before)


@pytest.mark.parametrize("option", ["extra_reader", "integer_weight"])
def test_other_chains_stay(option):
    model = chain(0, **{option: True})
    content = model.SerializeToString()
    pool_before_quantizing(model)
    assert model.SerializeToString() == content
