"""Why channels go together, or cannot go at all, in readable lines."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order
from torch import Tensor, fx

from course_lib.architectures.tracing import layer_of
from course_lib.pruning.structure.group import Group
from course_lib.pruning.structure.grouping import Classes
from course_lib.pruning.structure.labels import FIXED, Tie
from course_lib.pruning.structure.step import Ledger

VERBS = {"out": "makes them", "in": "reads them", "pass": "has parameters for them"}


class Explainer:
    """Turns the ties of a ledger into text."""

    def __init__(self, labels: Mapping[fx.Node, Any], ledger: Ledger, classes: Classes) -> None:
        self._nodes = {node.name: node for node in labels}
        self._kinds = {str(node.target): type(layer_of(node)).__name__ for node in labels if layer_of(node)}
        self._labels, self._classes = labels, classes
        self._ties, self._records, self._refused = ledger.book.ties, ledger.records, ledger.refused

    def lines(self, group: Group) -> Iterator[str]:
        """Yield the layers of a group, with what each loses for a channel, and the steps that tie them."""
        yield f"{group.name}: {group.channels} channels, each of which is removed from"
        for part in group.slices:
            each = len(part.indices[0])
            what = {"out": "row", "in": "column", "pass": "entry"}[part.role]
            plural = {"row": "rows", "column": "columns", "entry": "entries"}[what]
            kind = self._kinds.get(part.path, "parameter")
            yield f"  {part.path} ({kind}), which {VERBS[part.role]}: {each} {what if each == 1 else plural}"
        members = self._classes.members[group.name]
        if tied := self._sentences(members):
            yield "because"
            yield from (f"  {sentence}" for sentence in tied)

    def why_not(self, path: str) -> str:
        """Return why the output channels of a layer cannot be removed, as one sentence."""
        if path in self._refused:
            return f"The output channels of {path!r} cannot be removed: {self._refused[path]}."
        record = self._records.get((path, "out")) or self._records.get((path, "pass"))
        if record is None:
            known = ", ".join(dict.fromkeys(name for name, role in self._records if role == "out")) or "none"
            return f"There is no layer {path!r} that makes channels in this model; those that do are {known}."
        classes = self._classes.entries(record)
        free = classes[classes != self._classes.of[FIXED]]
        start = f"The output channels of {path!r} cannot be removed:"
        if len(free) == 0:
            reasons = "; ".join(self._path_to_fixed(int(record.labels.flatten()[0])))
            return f"{start} {reasons}."
        if not self._read(free):
            return f"{start} no convolution or linear layer reads them."
        if len(set(free.tolist())) < 2:
            why = "all of them go together, and one must remain"
        else:
            why = (
                "no two that a layer reads are tied and read alike, and the only one of its kind must remain"
            )
        reasons = "; ".join((why, *self._sentences(free)))
        return f"{start} {reasons}."

    def _read(self, classes: NDArray[np.int64]) -> bool:
        """Return whether a layer reads channels of one of these classes."""
        return any(
            bool(np.isin(self._classes.entries(record), classes).any())
            for (_, role), record in self._records.items()
            if role == "in"
        )

    def _sentences(self, classes: NDArray[np.int64]) -> list[str]:
        """Return what ties channels of these classes, each step once."""
        ties = (tie for tie in self._ties if np.isin(self._classes.of[tie.first], classes).any())
        return list(dict.fromkeys(self._sentence(tie) for tie in ties))

    def _path_to_fixed(self, label: int) -> list[str]:
        """Return the sentences of the ties on the shortest way from a label to 0."""
        if label == FIXED:
            return ["they are the model's input"]
        first = np.concatenate([tie.first for tie in self._ties])
        second = np.concatenate([tie.second for tie in self._ties])
        owner = np.repeat(np.arange(len(self._ties)), [len(tie.first) for tie in self._ties])
        size = len(self._classes.of)
        edges = coo_array((np.ones(len(first), np.int8), (first, second)), shape=(size, size)).tocsr()
        before: NDArray[np.int32] = breadth_first_order(edges, FIXED, directed=False)[1]
        sentences = []
        while label != FIXED:
            towards = int(before[label])
            here = ((first == label) & (second == towards)) | ((first == towards) & (second == label))
            sentences.append(self._sentence(self._ties[int(owner[here][0])]))
            label = towards
        return list(dict.fromkeys(sentences))

    def _sentence(self, tie: Tie) -> str:
        node = self._nodes[tie.step]
        if node.op == "output":
            return f"the model {tie.reason}"
        sources = [
            _described(source) for source in node.all_input_nodes if isinstance(self._labels[source], Tensor)
        ]
        return f"the step {_described(node)} {tie.reason}" + (
            f" (of {', '.join(sources)})" if len(sources) > 1 else ""
        )


def _described(node: fx.Node) -> str:
    return str(node.target) if node.op == "call_module" else node.name
