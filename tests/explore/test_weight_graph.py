import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from course_lib.errors import ModelError
from course_lib.explore.model_source import onnx_of
from course_lib.explore.weight_graph import WeightGraph
from course_lib.runtimes import get_runtime


def matrix_model(values: np.ndarray, op: str = "MatMul", **attributes: int) -> bytes:
    node = helper.make_node(op, ["x", "w"], ["y"], **attributes)
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", None])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", None])],
        [numpy_helper.from_array(values, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return model.SerializeToString()


def test_weights_are_those_of_the_module(small_net: nn.Module):
    graph = WeightGraph(onnx_of(small_net, (1, 8, 8)))
    state = small_net.state_dict()
    assert list(graph.weights) == ["conv.weight", "classifier.weight"]
    for name, weight in graph.weights.items():
        np.testing.assert_array_equal(weight.values, state[name].numpy())
    # 6 biases of the convolution, 4 · 6 of the norm, 3 of the classifier.
    assert graph.other_params == 6 + 24 + 3


def test_exchanged_weights_compute_like_the_changed_module(small_net: nn.Module):
    graph = WeightGraph(onnx_of(small_net, (1, 8, 8)))
    new = {name: np.round(weight.values, 1) for name, weight in graph.weights.items()}
    changed = type(small_net)().eval()
    state = small_net.state_dict() | {name: torch.from_numpy(values) for name, values in new.items()}
    changed.load_state_dict(state)
    x = np.random.default_rng(0).normal(size=(5, 1, 8, 8)).astype(np.float32)
    with torch.inference_mode():
        expected = changed(torch.from_numpy(x)).numpy()
    found = get_runtime("onnxruntime").load(graph.with_weights(new)).run(x)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_exchanging_leaves_the_graph_as_it_was(small_net: nn.Module):
    content = onnx_of(small_net, (1, 8, 8))
    graph = WeightGraph(content)
    graph.with_weights({"conv.weight": np.zeros((6, 1, 3, 3), np.float32)})
    assert onnx.load_model_from_string(graph.with_weights({})) == onnx.load_model_from_string(content)


@pytest.mark.parametrize(
    ("op", "attributes", "axis"), [("MatMul", {}, 1), ("Gemm", {"transB": 1}, 0), ("Gemm", {}, 1)]
)
def test_the_channel_axis_follows_the_operator(op: str, attributes: dict[str, int], axis: int):
    graph = WeightGraph(matrix_model(np.ones((4, 4), np.float32), op, **attributes))
    assert graph.weights["w"].channel_axis == axis


def test_a_weight_that_is_transposed_on_its_way_is_found():
    with torch.no_grad():
        model = nn.Sequential(nn.Linear(8, 5), nn.Flatten()).eval()
    graph = WeightGraph(onnx_of(model, (1, 8)))
    (weight,) = graph.weights.values()
    assert weight.values.shape == (5, 8)
    assert weight.channel_axis == 0


def test_nan_weights_are_refused():
    with pytest.raises(ModelError, match="The weight w holds NaN or infinite values"):
        WeightGraph(matrix_model(np.array([[1.0, np.nan]], np.float32).T))


def test_a_model_without_weights_is_refused():
    integers = np.ones((2, 2), np.int32)
    with pytest.raises(ModelError, match="no floating-point weights of convolutions or matrix products"):
        WeightGraph(matrix_model(integers))


def test_bytes_that_are_no_onnx_are_refused():
    with pytest.raises(ModelError, match="This is not an ONNX file"):
        WeightGraph(b"not a model at all")
