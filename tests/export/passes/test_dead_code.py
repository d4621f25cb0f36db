import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from onnxscript import ir

from course_lib.errors import ModelError
from course_lib.export.passes.dead_code import remove_dead_code
from course_lib.export.passes.equality import check_equal, run_reference
from tests.export.passes.small_graphs import model, node, operators, run_ort, stored_names


def test_a_chain_behind_the_output_by_hand() -> None:
    before = model(
        [node("Mul", "x a", "y"), node("Mul", "y b", "t"), node("Mul", "t c", "u")],
        {"x": [2], "unread": [3]},
        ["y"],
        {"a": np.float32(2), "b": np.float32(3), "c": np.float32(4)},
    )
    after = remove_dead_code(before)
    assert operators(after) == ["Mul"]
    assert stored_names(after) == {"a"}
    assert [value.name for value in after.graph.input] == ["x", "unread"]


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_random_graphs_against_onnx_ir(data: st.DataObject) -> None:
    names, nodes = ["x", "a"], []
    for index in range(data.draw(st.integers(1, 9))):
        reads = [data.draw(st.sampled_from(names)) for _ in range(2)]
        nodes.append(node("Add", " ".join(reads), f"t{index}"))
        names.append(f"t{index}")
    outputs = data.draw(st.lists(st.sampled_from(names[2:]), min_size=1, max_size=2, unique=True))
    before = model(nodes, {"x": [2]}, outputs, {"a": np.float32([1, 2])})
    after = remove_dead_code(before)
    for run in (run_reference, run_ort):
        check_equal(before, after, run=run)
    linked = ir.from_proto(before)
    ir.passes.common.RemoveUnusedNodesPass()(linked)
    expected = ir.to_proto(linked)
    assert [each.name for each in after.graph.node] == [each.name for each in expected.graph.node]
    assert stored_names(after) == stored_names(expected)


def if_model() -> onnx.ModelProto:
    """Return x → If: a branch reads ``used`` from outside, a dead node in it ``unused``."""

    def branch(nodes: list[onnx.NodeProto], output: str) -> onnx.GraphProto:
        made = helper.make_tensor_value_info(output, TensorProto.FLOAT, [2])
        return helper.make_graph(nodes, output, [], [made])

    yes = branch([node("Neg", "used", "yes"), node("Neg", "unused", "dead_inside")], "yes")
    no = branch([node("Identity", "x", "no")], "no")
    nodes = [
        node("Add", "x x", "used"),
        node("Mul", "x x", "unused"),
        node("ReduceSum", "x", "sum", keepdims=0),
        node("Cast", "sum", "condition", to=TensorProto.BOOL),
        node("If", "condition", "y", then_branch=yes, else_branch=no),
    ]
    return model(nodes, {"x": [2]}, ["y"])


def test_what_a_branch_reads_is_alive_and_what_its_dead_nodes_read_is_not() -> None:
    before = if_model()
    after = remove_dead_code(before)
    assert operators(after) == ["Add", "ReduceSum", "Cast", "If"]
    (yes,) = (each.g for each in after.graph.node[-1].attribute if each.name == "then_branch")
    assert [each.name for each in yes.node] == ["node_yes"]
    for run in (run_reference, run_ort):
        check_equal(before, after, run=run)


def test_functions_that_nobody_calls_go() -> None:
    opset = [helper.make_opsetid("", 20), helper.make_opsetid("own", 1)]
    inner = helper.make_function("own", "Inner", ["a"], ["b"], [node("Neg", "a", "b")], opset)
    call = helper.make_node("Inner", ["a"], ["b"], domain="own")
    outer = helper.make_function("own", "Outer", ["a"], ["b"], [call], opset)
    spare = helper.make_function("own", "Spare", ["a"], ["b"], [node("Neg", "a", "b")], opset)
    before = model([node("Neg", "x", "y")], {"x": [2]}, ["y"])
    before.graph.node[0].CopyFrom(helper.make_node("Outer", ["x"], ["y"], domain="own"))
    before.opset_import.append(opset[1])
    before.functions.extend([inner, outer, spare])
    after = remove_dead_code(before)
    assert sorted(function.name for function in after.functions) == ["Inner", "Outer"]
    check_equal(before, after)


def test_nothing_to_do(exported) -> None:
    before = onnx.load_from_string(exported.content)
    after = remove_dead_code(before)
    assert operators(after) == operators(before)
    assert before.SerializeToString(deterministic=True) == exported.content


def test_errors() -> None:
    with pytest.raises(ModelError, match="is not an ONNX model or is cut short"):
        remove_dead_code(b"hello")
    broken = model([node("Neg", "x", "y")], {"x": [2]}, ["y"])
    broken.graph.output[0].name = "nowhere"
    with pytest.raises(
        ModelError, match=r"is not sound \(no node makes the output 'nowhere'\); look .*check_model\."
    ):
        remove_dead_code(broken)
