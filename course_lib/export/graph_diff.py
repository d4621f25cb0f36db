"""What an optimizer did to a graph: which of its nodes stand for which of the old ones.

Optimizers keep the names of the tensors at which two graphs can be compared: where a fusion puts one node in
the place of several, its output is still called what the last of them called it. So each new node is traced
back, in the old graph, from its outputs to the nearest tensors that the new graph still has. The old nodes on
the way are what it stands for:

    old   x → Conv → a → BatchNormalization → b → Relu → y        new   x → FusedConv → y
    y is still there, a and b are not: FusedConv stands for Conv + BatchNormalization + Relu

ONNX Runtime's blocked convolutions (NCHWc) write tensors with new names, but carry the old one in their own
name, and say in an attribute and an input which activation and addition they have taken in besides. Its
integer operators with channels last carry the name of the old node.

Old nodes that no new node stands for were folded (their result is a stored value now) or removed.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Literal

from course_lib.export.graph_facts import GraphFacts, NodeFacts
from course_lib.export.tensor_facts import TensorFacts

Change = Literal["kept", "exchanged", "fused"]

NEUTRAL = ("Identity", "Dropout")
"""Operators that do nothing in inference; where they go, they are removed, and not part of another node."""

RENAMED = "_nchwc"
"""What ONNX Runtime appends to the name of a tensor to get that of the node which makes it blocked."""

NUMBERED = re.compile(r"_token_\d+$")
"""What it appends to the name of a node whose place an integer operator takes, if the name is in use."""

INTEGER, ENDS = "QLinear", ("Relu", "Clip", "QuantizeLinear")
"""How names of integer operators begin, and what they take in behind the operator that they compute."""

LAYOUT = ("ReorderInput", "ReorderOutput", "Transpose")
"""Operators that an optimizer puts between two memory layouts."""


@dataclass(frozen=True)
class Match:
    """A new node and the old ones that it stands for, by name, in the order of the old graph."""

    node: str
    kind: str
    parts: tuple[str, ...]
    part_kinds: tuple[str, ...]

    @property
    def change(self) -> Change:
        """Whether it is one of the old nodes, another operator in the place of one, or one for several."""
        if len(self.parts) > 1:
            return "fused"
        return "kept" if self.part_kinds == (self.kind,) else "exchanged"

    @property
    def pattern(self) -> str:
        """The operators as text: Conv + Relu → FusedConv (microsoft), 2 Mul + MatMul → FusedMatMul."""
        runs = [(kind, len(list(same))) for kind, same in groupby(self.part_kinds)]
        parts = " + ".join(f"{count} {kind}" if count > 1 else kind for kind, count in runs)
        return f"{parts} → {self.kind}"


@dataclass(frozen=True)
class GraphDiff:
    """The difference of two versions of a graph.

    Attributes
    ----------
    after
        The new graph. Tensors without a known shape have that of the old tensor they stand for; the padding
        of a blocked layout is not counted in their bytes.
    matches
        New nodes that stand for old ones, in the order of the new graph.
    added
        New nodes that stand for none, such as changes of layout.
    folded
        Old nodes whose result is a stored value now.
    removed
        Old nodes that do nothing, or that no output depends on.
    """

    before: GraphFacts
    after: GraphFacts
    matches: tuple[Match, ...]
    added: tuple[str, ...]
    folded: tuple[str, ...]
    removed: tuple[str, ...]

    @property
    def fused(self) -> tuple[Match, ...]:
        """New nodes that stand for several old ones."""
        return tuple(match for match in self.matches if match.change == "fused")

    @property
    def patterns(self) -> dict[str, int]:
        """Pattern of a fusion or exchange → how often it occurs, the most frequent first."""
        changed = [match.pattern for match in self.matches if match.change != "kept"]
        return dict(Counter(changed).most_common())

    @property
    def operators(self) -> tuple[tuple[str, int, int], ...]:
        """(operator, nodes before, nodes after), the largest change first."""
        before, after = self.before.operator_counts, self.after.operator_counts
        rows = [(kind, before.get(kind, 0), after.get(kind, 0)) for kind in {**before, **after}]
        return tuple(sorted(rows, key=lambda row: (-abs(row[2] - row[1]), row[0])))

    def __str__(self) -> str:
        changes = Counter(match.change for match in self.matches)
        parts = [
            f"{len(self.before.nodes)} nodes became {len(self.after.nodes)}",
            f"{changes['fused']} fused from {sum(len(match.parts) for match in self.fused)}",
            f"{changes['exchanged']} exchanged",
            f"{changes['kept']} kept",
            f"{len(self.added)} added",
            f"{len(self.folded)} folded into stored values",
            f"{len(self.removed)} removed",
        ]
        return "; ".join(parts)


def diff_graphs(before: GraphFacts, after: GraphFacts) -> GraphDiff:
    """Compare two versions of one graph, as `read_graph` gives them."""
    old = _OldGraph(before)
    stands_for = _stands_for(old, after)
    stored = {tensor.name for node in after.nodes for tensor in node.weights}
    given = {tensor.name for tensor in before.inputs}
    kept = given | stored | {name for names in stands_for.values() for name in names}
    matches, covered = [], set[str]()
    for node in after.nodes:
        parts = old.between(stands_for.get(node.name, ()), kept)
        if parts:
            covered |= {part.name for part in parts}
            kinds = tuple(part.kind for part in parts)
            matches.append(Match(node.name, node.kind, tuple(part.name for part in parts), kinds))
    gone = [node for node in reversed(before.nodes) if node.name not in covered]
    folded: set[str] = set()
    for node in gone:
        readers = [reader.name for tensor in node.outputs for reader in old.readers.get(tensor.name, ())]
        if any(tensor.name in stored for tensor in node.outputs) or (readers and folded.issuperset(readers)):
            folded.add(node.name)
    matched = {match.node for match in matches}
    return GraphDiff(
        before=before,
        after=_with_shapes(after, stands_for, old),
        matches=tuple(matches),
        added=tuple(node.name for node in after.nodes if node.name not in matched),
        folded=tuple(node.name for node in before.nodes if node.name in folded),
        removed=tuple(node.name for node in reversed(gone) if node.name not in folded),
    )


class _OldGraph:
    """The links of the old graph: which node makes a tensor, and which read it."""

    def __init__(self, facts: GraphFacts) -> None:
        self.nodes = {node.name: node for node in facts.nodes}
        self.place = {node.name: place for place, node in enumerate(facts.nodes)}
        self.maker = {tensor.name: node for node in facts.nodes for tensor in node.outputs}
        self.tensors = {tensor.name: tensor for node in facts.nodes for tensor in node.outputs}
        self.readers: dict[str, list[NodeFacts]] = {}
        for node in facts.nodes:
            for tensor in node.inputs:
                self.readers.setdefault(tensor.name, []).append(node)

    def between(self, tensors: Iterable[str], kept: set[str]) -> list[NodeFacts]:
        """Return the nodes that compute tensors from others that are kept, without those that do nothing."""
        found: dict[str, NodeFacts] = {}
        waiting = [self.maker[name] for name in tensors]
        ends = {node.name for node in waiting}
        while waiting:
            node = waiting.pop()
            if node.name in found:
                continue
            found[node.name] = node
            waiting += [
                self.maker[tensor.name]
                for tensor in node.inputs
                if tensor.name not in kept and tensor.name in self.maker
            ]
        parts = [node for node in found.values() if node.operator not in NEUTRAL or node.name in ends]
        return sorted(parts, key=lambda node: self.place[node.name])

    def forward(self, tensor: str, node: NodeFacts) -> str:
        """Follow a tensor over what a node with a new output has taken in behind the operator of its name.

        For a blocked convolution that is an addition and an activation, as it says itself, for an integer
        operator everything up to the quantizer.
        """
        integer = node.operator.startswith(INTEGER)
        adds = node.operator in ("Conv", "FusedConv") and bool(node.domain) and len(node.inputs) > 1
        activation = node.attributes.get("activation")
        while len(readers := self.readers.get(tensor, [])) == 1:
            taken = readers[0].operator
            if integer and taken in ENDS:
                integer = taken != "QuantizeLinear"
            elif adds and taken == "Add":
                adds = False
            elif taken == activation and self.maker[tensor].operator != activation:
                activation = None
            else:
                break
            tensor = readers[0].outputs[0].name
        return tensor


def _stands_for(old: _OldGraph, after: GraphFacts) -> dict[str, Sequence[str]]:
    """Return new node → the old tensors that it computes."""
    found: dict[str, Sequence[str]] = {}
    for node in after.nodes:
        changes_layout = node.operator in LAYOUT and node.name not in old.nodes
        known = [tensor.name for tensor in node.outputs if tensor.name in old.maker]
        renamed, numbered = node.name.removesuffix(RENAMED), NUMBERED.sub("", node.name)
        if known and not changes_layout:
            found[node.name] = known
        elif numbered in old.nodes:
            found[node.name] = [old.forward(tensor.name, node) for tensor in old.nodes[numbered].outputs]
        elif renamed in old.maker:
            found[node.name] = [old.forward(renamed, node)]
    # What a change of layout writes under an old name is made by the node before it, if that has none.
    makers = {tensor.name: node for node in after.nodes for tensor in node.outputs}
    for node in after.nodes:
        known = [tensor.name for tensor in node.outputs if tensor.name in old.maker]
        source = makers.get(node.inputs[0].name) if known and node.inputs else None
        if node.name not in found and source is not None:
            found.setdefault(source.name, known)
    return found


def _with_shapes(after: GraphFacts, stands_for: dict[str, Sequence[str]], old: _OldGraph) -> GraphFacts:
    """Return the new graph with the shapes of old tensors where its own are not known."""
    known: dict[str, TensorFacts] = {}
    for node in after.nodes:
        names = stands_for.get(node.name, [tensor.name for tensor in node.outputs])
        for tensor, name in zip(node.outputs, names, strict=False):
            if tensor.size_bytes is None and name in old.tensors:
                known[tensor.name] = replace(old.tensors[name], name=tensor.name)

    def complete(tensors: Iterable[TensorFacts]) -> tuple[TensorFacts, ...]:
        return tuple(known.get(tensor.name, tensor) for tensor in tensors)

    nodes = tuple(
        replace(node, inputs=complete(node.inputs), outputs=complete(node.outputs)) for node in after.nodes
    )
    return replace(after, nodes=nodes)
