"""What is drawn of an ONNX graph: boxes and the tensors between them, few enough to be read.

Two steps make a long graph short without hiding an operator:

stacking    what follows in a straight line (normalization, activation, quantizer) is a row of its box
folding     a stretch that comes several times in a row, with equal operators, shapes and links, is drawn
            once with the number of times

Worked example: Conv → BatchNormalization → Relu, twice with equal shapes, are six nodes: stacked two boxes of
three rows each, folded one box with "×2".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from course_lib.export.graph_facts import GraphFacts, NodeFacts
from course_lib.export.tensor_facts import TensorFacts

Role = Literal["input", "node", "output"]

FOLLOWERS = {
    *(
        "BatchNormalization",
        "Relu",
        "LeakyRelu",
        "Clip",
        "HardSwish",
        "HardSigmoid",
        "Sigmoid",
        "Gelu",
        "Tanh",
    ),
    *("Softmax", "QuantizeLinear", "DequantizeLinear", "Identity", "Dropout", "Cast", "Squeeze", "Flatten"),
}
"""Operators that may be a row of the box before them."""

LEAST_SAVED = 2
"""Boxes that folding a stretch must spare; with fewer the picture is clearer without."""


@dataclass(frozen=True)
class Box:
    """A box of the picture: an input or output of the graph, or nodes in a straight line, one a row.

    ``count`` is how often it comes in a row.
    """

    key: str
    role: Role
    nodes: tuple[NodeFacts, ...] = ()
    tensor: TensorFacts | None = None
    count: int = 1


@dataclass(frozen=True)
class Link:
    """A tensor on its way from one box to another, by their keys."""

    source: str
    target: str
    tensor: TensorFacts


@dataclass(frozen=True)
class BoxGraph:
    """Boxes in order of execution, and the links between them."""

    boxes: tuple[Box, ...]
    links: tuple[Link, ...]


def boxes_of(
    facts: GraphFacts, *, stack: bool = True, fold: bool = True, groups: Mapping[str, str] | None = None
) -> BoxGraph:
    """Return what is drawn of a graph.

    Parameters
    ----------
    groups
        Name of a node → its group. Nodes of one group that follow in a straight line are stacked; those of
        different groups never are, and stretches with different groups are not folded. A text after "#" tells
        groups apart that are alike, as "Conv + Relu#3".
    """
    named = groups or {}
    graph = _linked(facts, _rows(facts, named) if stack else [[node] for node in facts.nodes])
    return _fold(graph, named) if fold else graph


def _rows(facts: GraphFacts, groups: Mapping[str, str]) -> list[list[NodeFacts]]:
    """Return the nodes of each box."""
    readers: dict[str, int] = {tensor.name: 1 for tensor in facts.outputs}
    for node in facts.nodes:
        for tensor in node.inputs:
            readers[tensor.name] = readers.get(tensor.name, 0) + 1
    box_of: dict[str, list[NodeFacts]] = {}  # tensor → the box whose last row makes it
    boxes: list[list[NodeFacts]] = []
    for node in facts.nodes:
        box = box_of.get(node.inputs[0].name) if len(node.inputs) == 1 else None
        group = groups.get(node.name)
        if box is not None and readers[node.inputs[0].name] == 1 and groups.get(box[-1].name) == group:
            follows = group is not None or node.operator in FOLLOWERS
            box = box if follows and len(box[-1].outputs) == 1 else None
        else:
            box = None
        if box is None:
            box = []
            boxes.append(box)
        box.append(node)
        for tensor in node.outputs:
            box_of[tensor.name] = box
    return boxes


def _linked(facts: GraphFacts, rows: Sequence[Sequence[NodeFacts]]) -> BoxGraph:
    boxes = [Box(f"in:{tensor.name}", "input", tensor=tensor) for tensor in facts.inputs]
    boxes += [Box(f"node:{nodes[0].name}", "node", tuple(nodes)) for nodes in rows]
    boxes += [Box(f"out:{tensor.name}", "output", tensor=tensor) for tensor in facts.outputs]
    maker = {tensor.name: f"in:{tensor.name}" for tensor in facts.inputs}
    maker |= {
        tensor.name: box.key for box in boxes if box.nodes for node in box.nodes for tensor in node.outputs
    }
    links = []
    for box in boxes:
        reads = [tensor for node in box.nodes for tensor in node.inputs]
        if box.role == "output" and box.tensor is not None:
            reads = [box.tensor]
        links += [
            Link(maker[tensor.name], box.key, tensor)
            for tensor in reads
            if maker.get(tensor.name, box.key) != box.key
        ]
    # A node may come before the one that it reads in a file that is not sorted; the picture is drawn by rank.
    return BoxGraph(tuple(boxes), tuple(links))


def _fold(graph: BoxGraph, groups: Mapping[str, str]) -> BoxGraph:
    """Draw stretches that repeat once, those first that spare the most boxes."""
    boxes = graph.boxes
    place = {box.key: index for index, box in enumerate(boxes)}
    sources: list[list[int]] = [[] for _ in boxes]
    last_reader = list(range(len(boxes)))
    for link in graph.links:
        sources[place[link.target]].append(place[link.source])
        last_reader[place[link.source]] = max(last_reader[place[link.source]], place[link.target])
    looks = [_looks(box, groups) for box in boxes]
    count, kept_as = [1] * len(boxes), list(range(len(boxes)))
    free = [box.role == "node" for box in boxes]
    while (best := _longest(looks, sources, last_reader, free)) is not None:
        start, period, times = best
        for index in range(start, start + period * times):
            free[index] = False
            kept_as[index] = start + (index - start) % period
            count[index] = times
    links: dict[tuple[int, int, str], Link] = {}
    for link in graph.links:
        source, target = place[link.source], place[link.target]
        if kept_as[target] != target:
            continue  # a copy's own inputs
        ends = kept_as[source], target
        links.setdefault(
            (*ends, link.tensor.name), replace(link, source=boxes[ends[0]].key, target=boxes[ends[1]].key)
        )
    kept = [index for index in range(len(boxes)) if kept_as[index] == index]
    return BoxGraph(tuple(replace(boxes[i], count=count[i]) for i in kept), tuple(links.values()))


def _longest(
    looks: Sequence[Any], sources: Sequence[Sequence[int]], last_reader: Sequence[int], free: Sequence[bool]
) -> tuple[int, int, int] | None:
    """Return (start, period, times) of the free stretch that spares the most boxes, or None."""
    best, spared = None, LEAST_SAVED - 1
    for period in range(1, len(looks) // 2 + 1):
        run = 0
        for index in range(len(looks) - period - 1, -1, -1):
            run = run + 1 if _alike(index, period, looks, sources, free) else 0
            times = run // period + 1
            while times > 1 and _leaks(index, period, times, last_reader):
                times -= 1
            if period * (times - 1) > spared:
                best, spared = (index, period, times), period * (times - 1)
    return best


def _alike(
    index: int, period: int, looks: Sequence[Any], sources: Sequence[Sequence[int]], free: Sequence[bool]
) -> bool:
    """Return whether a box and the one a period later look alike and read alike."""
    later = index + period
    if looks[index] != looks[later] or not (free[index] and free[later]):
        return False
    return len(sources[index]) == len(sources[later]) and all(
        there == here + period or there == here
        for here, there in zip(sources[index], sources[later], strict=True)
    )


def _leaks(start: int, period: int, times: int, last_reader: Sequence[int]) -> bool:
    """Return whether a copy before the last is read later than by the copy after it."""
    return any(
        last_reader[start + copy * period + offset] >= start + (copy + 2) * period
        for copy in range(times - 1)
        for offset in range(period)
    )


def _looks(box: Box, groups: Mapping[str, str]) -> Any:
    """Return what two boxes must share to be drawn as one."""
    return [
        (
            node.kind,
            [(tensor.shape, tensor.dtype) for tensor in (*node.inputs, *node.outputs)],
            [(tensor.shape, tensor.dtype) for tensor in node.weights],
            dict(node.attributes),
            groups.get(node.name, "").split("#")[0],
        )
        for node in box.nodes
    ] or box.key
