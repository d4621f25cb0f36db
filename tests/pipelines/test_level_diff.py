import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from course_lib.errors import ModelError, SettingError, UnknownNameError
from course_lib.pipelines.level_diff import ALL_LEVELS, diff_levels


@pytest.fixture(scope="module")
def network() -> onnx.ModelProto:
    """Convolution, normalization, ReLU, a residual addition, and a dead-simple head."""
    rng = np.random.default_rng(0)
    make = helper.make_node
    nodes = [
        make("Conv", ["x", "w1"], ["a"], name="conv_1", pads=[1, 1, 1, 1]),
        make("BatchNormalization", ["a", "g", "b", "m", "v"], ["n"], name="norm"),
        make("Relu", ["n"], ["r"], name="relu_1"),
        make("Conv", ["r", "w2"], ["c"], name="conv_2", pads=[1, 1, 1, 1]),
        make("Add", ["c", "r"], ["s"], name="add"),
        make("Relu", ["s"], ["t"], name="relu_2"),
        make("Identity", ["t"], ["i"], name="identity"),
        make("GlobalAveragePool", ["i"], ["y"], name="pool"),
    ]
    stored = {
        "w1": rng.normal(size=(16, 3, 3, 3)),
        "w2": rng.normal(size=(16, 16, 3, 3)),
        **{name: rng.uniform(0.5, 1, 16) for name in "gbmv"},
    }
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 16, 1, 1])],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in stored.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def test_each_level_does_what_its_name_promises(network: onnx.ModelProto) -> None:
    content = network.SerializeToString()
    report = diff_levels(network)
    assert network.SerializeToString() == content
    assert [each.level for each in report.levels] == list(ALL_LEVELS)
    assert report.level("off").diff.patterns == {}
    assert len(report.level("off").facts.nodes) == 8
    basic = report.level("basic").diff
    assert basic.patterns == {"Conv + BatchNormalization → Conv": 1}
    assert basic.removed == ("identity",)
    extended = report.level("extended").facts.operator_counts
    assert extended["FusedConv (microsoft)"] >= 1
    nodes = [len(each.facts.nodes) for each in report.levels]
    assert nodes[0] > nodes[1] > nodes[2]


def test_blocked_convolutions_are_traced_back(network: onnx.ModelProto) -> None:
    """Which CPU has blocked kernels is up to the runtime; where it uses them, nothing of the file is lost."""
    diff = diff_levels(network, ("all",)).level("all").diff
    parts = [part for match in diff.matches for part in match.parts]
    assert sorted([*parts, *diff.removed]) == sorted(node.name for node in network.graph.node)
    assert diff.after.unknown == ()
    if any("nchwc" in node.domain for node in diff.after.nodes):
        assert diff.patterns["Conv + BatchNormalization + Relu → Conv (nchwc)"] == 1
        assert diff.patterns["Conv + Add + Relu → Conv (nchwc)"] == 1


def test_the_graphs_are_those_that_run(network: onnx.ModelProto) -> None:
    x = np.random.default_rng(1).normal(size=(2, 3, 8, 8)).astype(np.float32)
    outputs = []
    for each in diff_levels(network).levels:
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.log_severity_level = 4
        session = onnxruntime.InferenceSession(each.model.SerializeToString(), options)
        outputs.append(session.run(None, {"x": x})[0])
    for output in outputs[1:]:
        np.testing.assert_allclose(output, outputs[0], rtol=1e-4, atol=1e-4)


def test_the_table_counts_operators(network: onnx.ModelProto) -> None:
    report = diff_levels(network, ("off", "basic"))
    lines = report.table().splitlines()
    assert lines[0] == "| operator | file | off | basic |"
    assert "| BatchNormalization | 1 | 1 |  |" in lines
    assert lines[-1] == "| all nodes | 8 | 8 | 6 |"
    assert report.operator_counts["Conv"] == (2, 2, 2)


def test_errors(network: onnx.ModelProto) -> None:
    with pytest.raises(ModelError, match="is not an ONNX model or is cut short"):
        diff_levels(b"hello")
    with pytest.raises(SettingError, match=r"levels is 'all'; pass some of off, basic, extended, all"):
        diff_levels(network, "all")
    with pytest.raises(UnknownNameError, match="no optimization level called 'most'"):
        diff_levels(network, ("most",))
    with pytest.raises(UnknownNameError, match="no level in this report called 'all'"):
        diff_levels(network, ("off",)).level("all")
