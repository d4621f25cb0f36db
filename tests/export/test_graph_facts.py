from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from course_lib.errors import ModelError, SettingError
from course_lib.export.graph_facts import read_graph
from tests.export.passes.small_graphs import model, node
from tests.export.passes.test_dead_code import if_model


def test_the_worked_example() -> None:
    made = model(
        [node("Conv", "x w", "y", pads=[1, 1, 1, 1])],
        {"x": [1, 1, 8, 8]},
        ["y"],
        {"w": np.zeros((8, 1, 3, 3), np.float32)},
    )
    (conv,) = read_graph(made).nodes
    assert (conv.kind, conv.parameter_bytes, conv.activation_bytes) == ("Conv", 288, 2048)
    assert conv.outputs[0].shape_text == "1×8×8×8"
    assert conv.attributes == {}  # only those that matter; padding is not shown


def test_sizes_are_those_of_a_run(exported) -> None:
    from onnx.reference import ReferenceEvaluator

    facts = read_graph(exported.content)
    assert facts.lengths == {"batch": 1}
    source = onnx.load_from_string(exported.content)
    names = [tensor.name for each in facts.nodes for tensor in each.outputs]
    del source.graph.output[:]
    source.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    values = ReferenceEvaluator(source).run(names, {"image": np.zeros((1, 1, 9, 9), np.float32)})
    assert facts.unknown == ()
    assert facts.activation_bytes == sum(value.nbytes for value in values)
    for tensor, value in zip((t for each in facts.nodes for t in each.outputs), values, strict=True):
        assert (tensor.shape, tensor.dtype) == (value.shape, str(value.dtype))
    weights = {
        name: value for name, value in exported.module.state_dict().items() if "num_batches" not in name
    }
    assert facts.parameter_bytes >= sum(value.nbytes for value in weights.values())


def test_lengths_of_free_axes() -> None:
    made = model([node("Add", "x t", "y")], {"x": ["batch", "tokens"], "t": ["batch", 1]}, ["y"])
    facts = read_graph(made)
    assert facts.nodes[0].outputs[0].shape == (1, "tokens")
    assert facts.unknown == ("y",)
    assert facts.activation_bytes == 0
    facts = read_graph(made, axes={"tokens": 128, "batch": 2, "other": 3})
    assert facts.activation_bytes == 2 * 128 * 4
    assert facts.lengths == {"batch": 2, "tokens": 128}
    assert made.graph.input[0].type.tensor_type.shape.dim[1].dim_param == "tokens"  # untouched
    with pytest.raises(SettingError, match=r"The axes \{'tokens': 0\} have no length of at least 1"):
        read_graph(made, axes={"tokens": 0})


def test_several_inputs_and_outputs_shared_weights_and_names() -> None:
    made = model(
        [node("Mul", "x w", "a"), node("Mul", "z w", "b"), node("Split", "a", "c d", axis=0, num_outputs=2)],
        {"x": [2, 4], "z": [2, 4]},
        ["b", "c", "d"],
        {"w": np.ones(4, np.float32)},
    )
    made.graph.node[1].name = made.graph.node[0].name
    made.graph.node[2].name = ""
    facts = read_graph(made)
    assert [tensor.name for tensor in facts.inputs] == ["x", "z"]
    assert [tensor.name for tensor in facts.outputs] == ["b", "c", "d"]
    assert [each.name for each in facts.nodes] == ["node_a", "b", "c"]
    assert [each.parameter_bytes for each in facts.nodes] == [16, 16, 0]
    assert facts.parameter_bytes == 16
    assert [tensor.shape for tensor in facts.nodes[2].outputs] == [(1, 4), (1, 4)]
    assert facts.operator_counts == {"Mul": 2, "Split": 1}


def test_constant_nodes_are_stored_values() -> None:
    value = helper.make_tensor("", TensorProto.FLOAT, [3], [1, 2, 3])
    nodes = [node("Constant", "", "c", value=value), node("Constant", "", "i", value_ints=[3, 1])]
    made = model([*nodes, node("Add", "x c", "s"), node("Reshape", "s i", "y")], {"x": [3]}, ["y"])
    facts = read_graph(made)
    assert [each.operator for each in facts.nodes] == ["Add", "Reshape"]
    assert [each.parameter_bytes for each in facts.nodes] == [12, 16]


def test_a_branch_is_one_node_with_what_it_reads_and_stores() -> None:
    made = if_model()
    for attribute in made.graph.node[-1].attribute:
        attribute.g.initializer.append(
            helper.make_tensor(f"w_{attribute.name}", TensorProto.FLOAT, [5], [0.0] * 5)
        )
    facts = read_graph(made)
    branch = facts.nodes[-1]
    assert (branch.operator, branch.inner_nodes, branch.parameter_bytes) == ("If", 3, 40)
    assert {tensor.name for tensor in branch.inputs} == {"condition", "used", "unused", "x"}
    assert facts.parameter_bytes == 40


@pytest.mark.parametrize("written_for", [20, 18])
def test_functions_are_expanded_or_called(written_for: int) -> None:
    opset = [helper.make_opsetid("", written_for), helper.make_opsetid("own", 1)]
    body = [node("Neg", "a", "t"), node("Relu", "t", "b")]
    made = model([node("Neg", "x", "y")], {"x": [2, 2]}, ["y"])
    made.graph.node[0].CopyFrom(helper.make_node("Twice", ["x"], ["y"], domain="own", name="call"))
    made.opset_import.append(opset[1])
    made.functions.append(helper.make_function("own", "Twice", ["a"], ["b"], body, opset))
    assert list(read_graph(made).operator_counts) == ["Neg", "Relu"]
    assert read_graph(made).activation_bytes == 32
    (call,) = read_graph(made, expand=False).nodes
    assert call.kind == "Twice (own)"
    assert made.graph.node[0].op_type == "Twice"


def test_operators_that_onnx_does_not_know_have_the_shapes_of_the_file() -> None:
    made = model([node("Neg", "x", "t"), node("Relu", "t", "y")], {"x": [2, 2]}, ["y"])
    made.graph.node[0].domain = "com.microsoft.nchwc"
    made.opset_import.append(helper.make_opsetid("com.microsoft.nchwc", 1))
    facts = read_graph(made)
    assert facts.nodes[0].kind == "Neg (nchwc)"
    assert facts.unknown == ("t",)
    made.graph.value_info.append(helper.make_tensor_value_info("t", TensorProto.FLOAT, [2, 2]))
    assert read_graph(made).unknown == ()


def test_weights_in_a_second_file_are_not_needed(conv_net, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    whole = read_graph(conv_net.content)
    source = onnx.load_from_string(conv_net.content)
    onnx.save(source, path, save_as_external_data=True, location="net.data", size_threshold=1000)
    (tmp_path / "net.data").unlink()
    assert read_graph(path).parameter_bytes == whole.parameter_bytes


def test_what_is_not_onnx_is_refused() -> None:
    with pytest.raises(ModelError, match="is not an ONNX model or is cut short"):
        read_graph(b"hello")
