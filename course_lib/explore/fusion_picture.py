"""Where the two graphs of the fusion explorer lie: the file's nodes on the left, those that run on the right.

Both columns are in order of execution, one row a node and two for a node that stands for several. Each node
that runs lies as near as possible to the middle of those it stands for, without changing places with another:
an isotonic regression of the wanted places (R. E. Barlow, D. J. Bartholomew, J. M. Bremner, H. D. Brunk,
"Statistical inference under order restrictions", 1972).

Worked example: of Conv, BatchNormalization, Relu, Flatten in rows 0 to 3, the first three run as one node of
two rows, from 0.5 to 2.5; Flatten lies beside itself, from 3 to 4.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from course_lib.export.graph_diff import GraphDiff
from course_lib.export.graph_facts import GraphFacts, NodeFacts

FUSED_ROWS = 2
LANES = 4
"""Of the arcs for results that skip nodes; where more would be needed, they share the outermost."""


@dataclass(frozen=True)
class DrawnNode:
    """One box: ``change`` is "kept", "exchanged", "fused" or "added" on the right; on the left, what became
    of the node: one of the first three, "folded" or "removed". ``top`` and ``rows`` count rows."""

    name: str
    title: str
    detail: str
    change: str
    top: float
    rows: int


@dataclass(frozen=True)
class Arc:
    """A result that goes further than to the next node: from the place of one node to that of another."""

    start: int
    end: int
    lane: int


@dataclass(frozen=True)
class FusionPicture:
    """Both columns; ``links`` are pairs of places, left and right. ``steps`` are the places of the nodes
    that read the result of the node right before them."""

    before: tuple[DrawnNode, ...]
    after: tuple[DrawnNode, ...]
    links: tuple[tuple[int, int], ...]
    before_arcs: tuple[Arc, ...]
    after_arcs: tuple[Arc, ...]
    before_steps: tuple[int, ...]
    after_steps: tuple[int, ...]
    rows: float


def draw_fusion(diff: GraphDiff) -> FusionPicture:
    """Return the picture of a comparison."""
    left = {node.name: place for place, node in enumerate(diff.before.nodes)}
    matches = {match.node: match for match in diff.matches}
    fate = dict.fromkeys(diff.folded, "folded") | dict.fromkeys(diff.removed, "removed")
    for match in diff.matches:
        for part in match.parts:
            # A node that is computed twice, as part of two others, is fused with both.
            fate[part] = match.change if part not in fate else "fused"
    before = tuple(
        DrawnNode(node.name, node.kind, _detail(node), fate.get(node.name, "removed"), place, 1)
        for place, node in enumerate(diff.before.nodes)
    )
    changes = [matches[node.name].change if node.name in matches else "added" for node in diff.after.nodes]
    rows = [FUSED_ROWS if change == "fused" else 1 for change in changes]
    places = [
        [left[part] for part in matches[node.name].parts] if node.name in matches else []
        for node in diff.after.nodes
    ]
    wanted = [float(np.mean(each)) + 0.5 if each else None for each in places]
    tops = _tops(wanted, rows)
    after = tuple(
        DrawnNode(node.name, node.kind, _detail(node), change, top, height)
        for node, change, top, height in zip(diff.after.nodes, changes, tops, rows, strict=True)
    )
    right = {node.name: place for place, node in enumerate(diff.after.nodes)}
    before_steps, before_arcs = _ways(diff.before)
    after_steps, after_arcs = _ways(diff.after)
    return FusionPicture(
        before=before,
        after=after,
        links=tuple((left[part], right[match.node]) for match in diff.matches for part in match.parts),
        before_arcs=before_arcs,
        after_arcs=after_arcs,
        before_steps=before_steps,
        after_steps=after_steps,
        rows=max([len(before), *(node.top + node.rows for node in after)]),
    )


def _tops(wanted: Sequence[float | None], rows: Sequence[int]) -> list[float]:
    """Return the top of each box: middles near the wanted ones, boxes in order and without overlap.

    A box without a wish wants to follow the one before it.
    """
    from scipy.optimize import isotonic_regression

    above = np.concatenate(([0], np.cumsum(rows)[:-1])) if rows else np.zeros(0)
    shifts: list[float] = []
    for middle, height, start in zip(wanted, rows, above, strict=True):
        last = shifts[-1] if shifts else 0.0
        shifts.append(last if middle is None else middle - height / 2 - float(start))
    if not shifts:
        return []
    fitted = np.maximum(isotonic_regression(shifts).x, 0)
    return [round(float(top), 3) for top in fitted + above]


def _ways(facts: GraphFacts) -> tuple[tuple[int, ...], tuple[Arc, ...]]:
    """Return which nodes read from the one right before them, and the arcs of all other results."""
    maker = {tensor.name: place for place, node in enumerate(facts.nodes) for tensor in node.outputs}
    ways = {
        (maker[tensor.name], place)
        for place, node in enumerate(facts.nodes)
        for tensor in node.inputs
        if tensor.name in maker
    }
    arcs: list[Arc] = []
    ends: list[list[tuple[int, int]]] = [[] for _ in range(LANES)]
    for start, end in sorted(ways, key=lambda way: (way[1] - way[0], way)):
        if end - start == 1:
            continue
        free = (
            lane
            for lane, taken in enumerate(ends)
            if all(end <= other_start or start >= other_end for other_start, other_end in taken)
        )
        lane = next(free, LANES - 1)
        ends[lane].append((start, end))
        arcs.append(Arc(start, end, lane))
    return tuple(sorted(end for start, end in ways if end - start == 1)), tuple(arcs)


def _detail(node: NodeFacts) -> str:
    """Return the kernel, stride and groups of a convolution or pooling, and the shape of what comes out."""
    kernel = node.attributes.get("kernel_shape", ())
    words = ["×".join(map(str, kernel))] if kernel else []
    strides = set(node.attributes.get("strides", ())) - {1}
    if strides:
        words.append(f"stride {max(strides)}")
    if node.attributes.get("group", 1) > 1:
        words.append(f"{node.attributes['group']} groups")
    shape = node.outputs[0].shape_text if node.outputs else ""
    return ", ".join(words) + (" → " if words and shape else "→ " if shape else "") + shape
