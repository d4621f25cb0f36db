"""Functions in ONNX files: equal to NumPy and torch, run by plain ONNX Runtime, and what is refused."""

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper
from onnx.reference import ReferenceEvaluator

from course_lib.errors import CourseError, SettingError
from course_lib.runtimes.custom_functions import FakeQuantize, HardSwish4
from course_lib.runtimes.custom_operators import use_function
from course_lib.runtimes.onnx_insight import optimized_graph
from course_lib.runtimes.onnx_runtime import OnnxRuntime
from tests.runtimes.conftest import build_model


def relu(**options) -> bytes:
    node = helper.make_node("Relu", ["input"], ["logits"], name="act")
    return build_model([node], **options).SerializeToString()


def refused(*arguments) -> str:
    with pytest.raises(CourseError) as caught:
        use_function(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_by_hand() -> None:
    batch = np.array([[-3.0, -1.0, 1.0]], np.float32)
    # x · clip(x + 2, 0, 4) / 4: 0, −1 · 1/4, 1 · 3/4
    assert OnnxRuntime().load(use_function(relu(), "Relu", HardSwish4)).run(batch).tolist() == [
        [0.0, -0.25, 0.75]
    ]
    content = use_function(relu(), "Relu", FakeQuantize, {"scale": 0.5, "quant_max": 1.0})
    assert OnnxRuntime().load(content).run(batch).tolist() == [[-3.0, -1.0, 0.5]]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), scale=st.floats(0.01, 3.0))
def test_fake_quantize_equals_torch(seed, scale) -> None:
    scale = float(np.float32(scale))
    batch = np.random.default_rng(seed).normal(size=(4, 3)).astype(np.float32)
    steps = batch / np.float32(scale)
    batch = batch[np.all(np.abs(steps - np.floor(steps) - 0.5) > 1e-3, axis=1)]  # torch multiplies by 1/scale
    content = use_function(relu(), "Relu", FakeQuantize, {"scale": scale})
    expected = torch.fake_quantize_per_tensor_affine(torch.from_numpy(batch), scale, 0, -128, 127)
    np.testing.assert_allclose(OnnxRuntime().load(content).run(batch), expected.numpy(), rtol=1e-6)


@pytest.mark.parametrize("opset", [18, 20, 23])
def test_onnx_itself_computes_the_same(opset) -> None:
    batch = np.linspace(-4, 4, 12, dtype=np.float32).reshape(4, 3)
    content = use_function(relu(opset=opset), "Relu", HardSwish4)
    (expected,) = ReferenceEvaluator(onnx.load_model_from_string(content)).run(None, {"input": batch})
    np.testing.assert_allclose(OnnxRuntime().load(content).run(batch), expected, atol=1e-6)
    np.testing.assert_allclose(HardSwish4(batch), expected, atol=1e-6)


def test_the_body_is_put_in_place_of_the_call() -> None:
    content = use_function(relu(), "Relu", FakeQuantize)
    assert [node.op_type for node in onnx.load_model_from_string(content).graph.node] == ["FakeQuantize"]
    assert [node.op_type for node in optimized_graph(content).graph.node] == ["Div", "Round", "Clip", "Mul"]


def test_every_node_is_replaced_and_the_function_stored_once(tmp_path) -> None:
    nodes = [helper.make_node("Relu", ["input"], ["a"]), helper.make_node("Relu", ["a"], ["logits"])]
    path = tmp_path / "model.onnx"
    path.write_bytes(build_model(nodes).SerializeToString())
    again = use_function(path, "Relu", HardSwish4.to_function_proto())
    model = onnx.load_model_from_string(again)
    assert [node.op_type for node in model.graph.node] == ["HardSwish4", "HardSwish4"]
    assert len(model.functions) == 1


def test_the_given_model_stays_as_it_is(tmp_path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(relu())
    use_function(path, "Relu", HardSwish4)
    assert path.read_bytes() == relu()


def test_bad_input(tmp_path) -> None:
    assert refused(relu(), "Relo", HardSwish4) == (
        "There is no operator in this model called 'Relo'; the known ones are Relu. Did you mean 'Relu'?"
    )
    assert "There is no attribute of FakeQuantize called 'step'; the known ones are quant_max" in refused(
        relu(), "Relu", FakeQuantize, {"step": 1.0}
    )
    assert refused(relu(opset=17), "Relu", HardSwish4) == (
        "HardSwish4 is written for opset 18 and the model in opset 17; "
        "export the model with opset_version=18 or higher."
    )
    assert refused(build_model().SerializeToString(), "MatMul", HardSwish4) == (
        "HardSwish4 takes 1 input and gives one output, and the MatMul node 'logits' has 2 and 1; "
        "replace an operator of the same form."
    )
    assert refused(b"hello", "Relu", HardSwish4) == (
        "The content (5 bytes) is not an ONNX model; write it with export_onnx."
    )
    assert "none.onnx is not an ONNX model" in refused(tmp_path / "none.onnx", "Relu", HardSwish4)


def test_an_attribute_without_a_default_is_needed() -> None:
    definition = helper.make_function(
        "course.edge",
        "Scaled",
        ["x"],
        ["y"],
        [helper.make_node("Relu", ["x"], ["y"])],
        [helper.make_opsetid("", 18)],
        attributes=["factor"],
    )
    with pytest.raises(SettingError, match="Scaled needs its attribute 'factor'; pass it in"):
        use_function(relu(), "Relu", definition)
