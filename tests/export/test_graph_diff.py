from itertools import pairwise

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

from course_lib.export.graph_diff import GraphDiff, diff_graphs
from course_lib.export.graph_facts import read_graph
from course_lib.export.passes.constant_folding import fold_constants
from course_lib.export.passes.conv_bn import fold_batch_norm
from course_lib.export.passes.dead_code import remove_dead_code
from tests.export.passes.small_graphs import model, node


def diff(before: onnx.ModelProto, after: onnx.ModelProto) -> GraphDiff:
    return diff_graphs(read_graph(before), read_graph(after))


def foreign(nodes: list[onnx.NodeProto], *args: object, domain: str) -> onnx.ModelProto:
    """Return a model whose nodes with names that start with "own_" are of another domain."""
    for each in nodes:
        each.domain = domain if each.name.startswith("own_") else ""
    return model(nodes, *args)  # type: ignore[arg-type]


SHAPE = {"x": [1, 1, 4, 4]}
WEIGHTS = {"w": np.ones((1, 1, 1, 1), np.float32)}


def test_three_in_one_by_hand() -> None:
    before = model(
        [node("Conv", "x w", "a"), node("Neg", "a", "b"), node("Relu", "b", "c"), node("Exp", "c", "y")],
        SHAPE,
        ["y"],
        WEIGHTS,
    )
    fused = helper.make_node("FusedConv", ["x", "w"], ["c"], name="own_conv")
    after = foreign([fused, node("Exp", "c", "y")], SHAPE, ["y"], WEIGHTS, domain="com.microsoft")
    found = diff(before, after)
    assert [match.change for match in found.matches] == ["fused", "kept"]
    (match,) = found.fused
    assert match.parts == ("node_a", "node_b", "node_c")
    assert found.patterns == {"Conv + Neg + Relu → FusedConv (microsoft)": 1}
    assert found.operators == (
        ("Conv", 1, 0),
        ("FusedConv (microsoft)", 0, 1),
        ("Neg", 1, 0),
        ("Relu", 1, 0),
        ("Exp", 1, 1),
    )
    assert (found.added, found.folded, found.removed) == ((), (), ())
    assert str(found).startswith("4 nodes became 2; 1 fused from 3; 0 exchanged; 1 kept; 0 added;")


def test_the_fused_output_has_the_old_shape() -> None:
    before = model([node("Conv", "x w", "a"), node("Relu", "a", "y")], SHAPE, ["y"], WEIGHTS)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["token"], name="own_"),
        helper.make_node("ReorderOutput", ["token"], ["y"], name="own_reorder"),
    ]
    after = foreign(nodes, SHAPE, ["y"], WEIGHTS, domain="com.microsoft.nchwc")
    after.graph.node[0].name = "y_nchwc"
    found = diff(before, after)
    assert found.patterns == {"Conv + Relu → Conv (nchwc)": 1}
    assert found.added == ("own_reorder",)
    assert found.after.nodes[0].outputs[0].shape == found.after.nodes[1].inputs[0].shape == (1, 1, 4, 4)
    assert found.after.unknown == ()


def test_a_blocked_convolution_takes_in_a_sum_and_an_activation() -> None:
    before = model(
        [
            node("Conv", "x w", "a"),
            node("Conv", "a w", "b"),
            node("Add", "b x", "sum"),
            node("Relu", "sum", "r"),
            node("Conv", "r w", "y"),
        ],
        SHAPE,
        ["y"],
        WEIGHTS,
    )
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["t0"], name="own_0"),
        helper.make_node("Conv", ["t0", "w", "", "x"], ["t1"], name="own_1", activation="Relu"),
        helper.make_node("Conv", ["t1", "w"], ["t2"], name="own_2"),
        helper.make_node("ReorderOutput", ["t2"], ["y"], name="own_out"),
    ]
    after = foreign(nodes, SHAPE, ["y"], WEIGHTS, domain="com.microsoft.nchwc")
    for each, name in zip(after.graph.node, ("a_nchwc", "b_nchwc", "y_nchwc"), strict=False):
        each.name = name
    found = diff(before, after)
    assert [match.part_kinds for match in found.matches] == [("Conv",), ("Conv", "Add", "Relu"), ("Conv",)]
    assert found.removed == ()


def test_an_integer_operator_takes_in_everything_up_to_its_quantizer() -> None:
    stored = {**WEIGHTS, "s": np.float32(0.1), "z": np.uint8(0)}
    before = model(
        [
            node("QuantizeLinear", "x s z", "q"),
            node("DequantizeLinear", "q s z", "d"),
            node("Conv", "d w", "c"),
            node("Clip", "c", "clipped"),
            node("QuantizeLinear", "clipped s z", "q2"),
            node("DequantizeLinear", "q2 s z", "y"),
        ],
        SHAPE,
        ["y"],
        stored,
    )
    nodes = [
        node("QuantizeLinear", "x s z", "q"),
        helper.make_node("QLinearConv", ["q", "s", "z", "w"], ["c_codes"], name="own_"),
        node("DequantizeLinear", "c_codes s z", "y"),
    ]
    after = foreign(nodes, SHAPE, ["y"], stored, domain="com.microsoft")
    after.graph.node[1].name = "node_c_token_7"
    found = diff(before, after)
    assert [match.part_kinds for match in found.matches] == [
        ("QuantizeLinear",),
        ("DequantizeLinear", "Conv", "Clip", "QuantizeLinear"),
        ("DequantizeLinear",),
    ]
    assert found.after.nodes[1].outputs[0].dtype == "uint8"


def test_folded_removed_and_dead_nodes() -> None:
    before = model(
        [
            node("Transpose", "w", "wt"),
            node("Neg", "wt", "wn"),
            node("Identity", "x", "i"),
            node("MatMul", "i wn", "y"),
            node("Exp", "x", "dead"),
        ],
        {"x": [2, 2]},
        ["y"],
        {"w": np.ones((2, 2), np.float32)},
    )
    cleaned = remove_dead_code(fold_constants(before))
    found = diff(before, cleaned)
    assert found.folded == ("node_wt", "node_wn")
    assert found.removed == ("node_dead",)
    assert [match.change for match in found.matches] == ["kept", "kept"]
    cleaned.graph.node[1].input[0] = "x"
    del cleaned.graph.node[0]
    found = diff(before, cleaned)
    assert set(found.removed) == {"node_i", "node_dead"}
    assert [match.parts for match in found.matches] == [("node_y",)]


def test_our_own_folding_of_a_network(conv_net) -> None:
    before = onnx.load_from_string(conv_net.content)
    found = diff(before, fold_batch_norm(before))
    assert found.patterns == {"Conv + BatchNormalization → Conv": 2}


def test_a_model_is_like_itself(exported) -> None:
    facts = read_graph(exported.content)
    found = diff_graphs(facts, facts)
    assert {match.change for match in found.matches} == {"kept"}
    assert [match.parts for match in found.matches] == [(each.name,) for each in facts.nodes]
    assert found.after == facts
    assert (found.added, found.folded, found.removed, found.patterns) == ((), (), (), {})


@settings(max_examples=25, deadline=None)
@given(lengths=st.lists(st.integers(1, 4), min_size=1, max_size=5))
def test_chains_cut_into_pieces_of_any_length(lengths: list[int]) -> None:
    names = ["x", *(f"t{index}" for index in range(sum(lengths)))]
    before = model(
        [node("Neg", one, other) for one, other in pairwise(names)],
        {"x": [2]},
        [names[-1]],
    )
    ends = np.cumsum([0, *lengths])
    nodes = [
        helper.make_node("Piece", [names[one]], [names[other]], name=f"own_{other}")
        for one, other in pairwise(ends)
    ]
    found = diff(before, foreign(nodes, {"x": [2]}, [names[-1]], domain="own"))
    assert [len(match.parts) for match in found.matches] == lengths
    assert sum((match.parts for match in found.matches), ()) == tuple(
        each.name for each in found.before.nodes
    )


@pytest.mark.parametrize("readers", [1, 2])
def test_a_node_that_two_have_taken_in_is_part_of_both(readers: int) -> None:
    nodes = [node("Relu", "x", "r"), node("Neg", "r", "a"), node("Exp", "r", "b")][: 1 + readers]
    outputs = ["a", "b"][:readers]
    before = model(nodes, {"x": [2]}, outputs)
    pieces = [helper.make_node("Piece", ["x"], [name], name=f"own_{name}") for name in outputs]
    found = diff(before, foreign(pieces, {"x": [2]}, outputs, domain="own"))
    assert [match.parts[0] for match in found.matches] == ["node_r"] * readers
