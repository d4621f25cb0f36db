"""A fixed batch: shapes by hand, the same scores as before, and every other free axis refused by name."""

from collections.abc import Sequence

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from course_lib.errors import ExportError, SettingError
from course_lib.export.static_batch import fix_batch, parse_onnx
from course_lib.runtimes.onnx_runtime import OnnxRuntime


def relu(shape: Sequence[int | str | None] | None, weight_as_input: bool = False) -> bytes:
    """Return a model of one ReLU and one addition."""
    weight = numpy_helper.from_array(np.ones(1, np.float32), "weight")
    inputs = [helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)]
    if weight_as_input:
        inputs.append(helper.make_tensor_value_info("weight", TensorProto.FLOAT, ["any"]))
    nodes = [
        helper.make_node("Relu", ["input"], ["positive"]),
        helper.make_node("Add", ["positive", "weight"], ["logits"]),
    ]
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, shape)]
    graph = helper.make_graph(nodes, "graph", inputs, outputs, [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return model.SerializeToString()


def shapes(content: bytes) -> list[list[int | str]]:
    graph = onnx.load_model_from_string(content).graph
    values = [graph.input[0], graph.output[0]]
    return [[axis.dim_param or axis.dim_value for axis in v.type.tensor_type.shape.dim] for v in values]


@pytest.mark.parametrize("axis", ["batch", None, -1])
def test_the_batch_becomes_a_number(axis: str | int | None) -> None:
    fixed = fix_batch(relu([axis, 3, 4]), 2)
    assert shapes(fixed) == [[2, 3, 4], [2, 3, 4]]
    onnx.checker.check_model(onnx.load_model_from_string(fixed), full_check=True)


@given(st.integers(1, 5))
def test_scores_stay_the_same(batch: int) -> None:
    content = relu(["batch", 3])
    inputs = np.random.default_rng(batch).standard_normal((batch, 3), np.float32)
    runs = [OnnxRuntime("off").load(each).run(inputs) for each in (content, fix_batch(content, batch))]
    np.testing.assert_array_equal(*runs)


def test_an_operator_that_onnx_does_not_know_is_no_obstacle() -> None:
    model = onnx.load_model_from_string(relu(["batch", 3]))
    model.graph.node[0].op_type = "Unheard"
    assert shapes(fix_batch(model.SerializeToString(), 2)) == [[2, 3], [2, 3]]


def test_a_batch_that_is_fixed_already_stays() -> None:
    content = relu([2, 3])
    assert fix_batch(content, 2) is content


def test_a_weight_among_the_inputs_is_no_input() -> None:
    assert shapes(fix_batch(relu(["batch", 3], weight_as_input=True)))[0] == [1, 3]


@pytest.mark.parametrize(
    ("shape", "sentence"),
    [
        (
            ["batch", 3, "height", None],
            r"'input' has free axes besides the batch, axis 2 \('height'\), axis 3,",
        ),
        ([4, 3], r"is fixed to a batch of 4 and not 1; compile it for a batch of 4, or export it again"),
        (None, r"'input' declares no shape, so it has no batch axis to fix"),
    ],
)
def test_what_cannot_be_fixed_is_one_sentence(shape: list | None, sentence: str) -> None:
    with pytest.raises(ExportError, match=sentence):
        fix_batch(relu(shape))


@pytest.mark.parametrize("batch", [0, -1, 1.5, True])
def test_a_batch_that_is_no_number_is_refused(batch: int) -> None:
    with pytest.raises(SettingError, match="batch must be a whole number of at least 1"):
        fix_batch(relu(["batch", 3]), batch)


def test_a_model_that_works_for_one_batch_only_is_one_sentence() -> None:
    nodes = [helper.make_node("MatMul", ["input", "weight"], ["logits"])]
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch"])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.ones((3, 2), np.float32), "weight")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    with pytest.raises(ExportError, match=r"The model does not work for a batch of 5 \("):
        fix_batch(model.SerializeToString(), 5)


@pytest.mark.parametrize(
    ("content", "sentence"), [(b"text", "These 4 bytes are not an ONNX model"), (b"", "has no operators")]
)
def test_what_is_not_onnx_is_one_sentence(content: bytes, sentence: str) -> None:
    with pytest.raises(ExportError, match=sentence):
        parse_onnx(content)
