import numpy as np
import pytest
from onnx import helper

from course_lib.errors import ModelError, SettingError
from course_lib.runtimes.onnx_insight import operator_times, optimized_graph
from course_lib.runtimes.onnx_runtime import OnnxRuntime


@pytest.fixture
def two_steps(build) -> bytes:
    """Identity, which every optimization removes, and a ReLU."""
    nodes = [
        helper.make_node("Identity", ["input"], ["copy"], name="copy"),
        helper.make_node("Relu", ["copy"], ["logits"], name="relu"),
    ]
    return build(nodes).SerializeToString()


def operators(source: bytes, runtime: OnnxRuntime) -> list[str]:
    return [node.op_type for node in optimized_graph(source, runtime).graph.node]


def test_the_graph_is_the_one_of_the_optimization_level(two_steps):
    assert operators(two_steps, OnnxRuntime("off")) == ["Identity", "Relu"]
    assert operators(two_steps, OnnxRuntime("basic")) == ["Relu"]


def test_the_optimized_graph_computes_the_same(matmul):
    batch = np.array([[1, 1, 5]], np.float32)
    again = optimized_graph(matmul).SerializeToString()
    assert OnnxRuntime("off").load(again).run(batch).tolist() == [[3.0, 7.0]]


@pytest.mark.parametrize("as_path", [True, False])
def test_each_operator_is_timed_in_every_run(two_steps, tmp_path, as_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(two_steps)
    source = path if as_path else two_steps
    times = operator_times(source, np.ones((2, 3), np.float32), runs=7, runtime=OnnxRuntime("off"))
    assert [(each.name, each.operator) for each in times] == [("copy", "Identity"), ("relu", "Relu")]
    for each in times:
        assert len(each.samples_us) == 7
        assert each.p50_us == np.median(each.samples_us) >= 0
        assert (each.input_types, each.input_shapes, each.output_shape) == (("float",), ((2, 3),), (2, 3))
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["model.onnx"]


def test_bad_input_is_refused_in_one_sentence(two_steps):
    with pytest.raises(SettingError, match=r"^runs is 0; pass at least 1, such as 30\.$"):
        operator_times(two_steps, np.ones((2, 3), np.float32), runs=0)
    with pytest.raises(ModelError, match="The model takes float32 and the batch is float64"):
        operator_times(two_steps, np.ones((2, 3)))
    with pytest.raises(ModelError, match="is not an ONNX model or is cut short"):
        optimized_graph(b"hello")
