import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.explore.graph_boxes import boxes_of
from course_lib.export.graph_facts import read_graph
from tests.export.passes.small_graphs import model, node

WEIGHTS = {"w": np.ones((1, 1, 1, 1), np.float32), **{name: np.ones(1, np.float32) for name in "gbmv"}}


def blocks(times: int, skip: bool = False, last: str = "x") -> list:
    """Return conv → norm → relu [→ add], several times in a row."""
    nodes = []
    for index in range(times):
        nodes += [
            node("Conv", f"{last} w", f"c{index}"),
            node("BatchNormalization", f"c{index} g b m v", f"n{index}"),
            node("Relu", f"n{index}", f"r{index}"),
        ]
        if skip:
            nodes.append(node("Add", f"{last} r{index}", f"s{index}"))
        last = nodes[-1].output[0]
    return nodes


def facts_of(nodes: list, outputs: list[str], size: int = 4):
    return read_graph(model(nodes, {"x": [1, 1, size, size]}, outputs, WEIGHTS))


def test_the_worked_example() -> None:
    facts = facts_of(blocks(2), ["r1"])
    assert [len(box.nodes) for box in boxes_of(facts, stack=False, fold=False).boxes] == [
        0,
        1,
        1,
        1,
        1,
        1,
        1,
        0,
    ]
    assert [len(box.nodes) for box in boxes_of(facts, fold=False).boxes] == [0, 3, 3, 0]
    folded = boxes_of(facts_of(blocks(3), ["r2"]))
    assert [(len(box.nodes), box.count) for box in folded.boxes] == [(0, 1), (3, 3), (0, 1)]
    assert [(link.source, link.target) for link in folded.links] == [
        ("in:x", "node:node_c0"),
        ("node:node_c0", "out:r2"),
    ]


def test_residual_blocks_fold_too() -> None:
    graph = boxes_of(facts_of([node("Neg", "x", "first"), *blocks(4, skip=True, last="first")], ["s3"]))
    assert [box.count for box in graph.boxes] == [1, 1, 4, 4, 1]
    ends = {(link.source, link.target) for link in graph.links}
    assert ("node:node_c0", "node:node_s0") in ends
    assert ("node:node_s0", "out:s3") in ends


@pytest.mark.parametrize("outputs", [["r0", "r2"], ["r2", "n1"]])
def test_what_is_read_from_inside_is_not_hidden(outputs: list[str]) -> None:
    graph = boxes_of(facts_of(blocks(3), outputs))
    shown = [link.tensor.name for link in graph.links if link.target.startswith("out:")]
    assert sorted(shown) == sorted(outputs)
    makers = {link.source: link.tensor.name for link in graph.links if link.target.startswith("out:")}
    assert all(box.count == 1 for box in graph.boxes if makers.get(box.key) == outputs[0])


def test_groups_decide_what_is_stacked() -> None:
    facts = facts_of([node("Conv", "x w", "c"), node("Neg", "c", "n"), node("Relu", "n", "y")], ["y"])
    rows = [len(box.nodes) for box in boxes_of(facts, fold=False).boxes]
    assert rows == [0, 1, 2, 0]  # a Neg is no follower, a Relu is one
    together = {"node_c": "Conv + Neg#1", "node_n": "Conv + Neg#1"}
    assert [len(box.nodes) for box in boxes_of(facts, fold=False, groups=together).boxes] == [0, 2, 1, 0]


def test_other_groups_are_not_folded_together() -> None:
    facts = facts_of(blocks(4), ["r3"])
    alike = {f"node_{kind}{index}": f"all#{index}" for kind in "cnr" for index in range(4)}
    assert max(box.count for box in boxes_of(facts, groups=alike).boxes) == 4
    assert max(box.count for box in boxes_of(facts, groups=alike | {"node_c0": "one#9"}).boxes) == 3


@settings(max_examples=30, deadline=None)
@given(data=st.data(), stack=st.booleans(), fold=st.booleans())
def test_nothing_is_lost(data: st.DataObject, stack: bool, fold: bool) -> None:
    names, nodes = ["x"], []
    for index in range(data.draw(st.integers(1, 12))):
        operator = data.draw(st.sampled_from(["Relu", "Add", "Neg"]))
        reads = [data.draw(st.sampled_from(names[-3:])) for _ in range(1 + (operator == "Add"))]
        nodes.append(node(operator, " ".join(reads), f"t{index}"))
        names.append(f"t{index}")
    facts = facts_of(nodes, [names[-1]])
    graph = boxes_of(facts, stack=stack, fold=fold)
    assert sum(box.count * len(box.nodes) for box in graph.boxes) == len(facts.nodes)
    keys = [box.key for box in graph.boxes]
    assert len(set(keys)) == len(keys)
    for link in graph.links:
        assert keys.index(link.source) < keys.index(link.target)
    if not (stack or fold):
        read = [tensor.name for each in facts.nodes for tensor in each.inputs]
        assert len(graph.links) == len(read) + 1
