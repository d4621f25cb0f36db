"""One step of a traced model, as the rules see it: labels in, labels out, and the book they write into."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from torch import Tensor, fx, nn

from course_lib.architectures.tracing import layer_of
from course_lib.pruning.structure.group import Role
from course_lib.pruning.structure.labels import LabelBook, first_along, fixed, varying_axes, vector_along


@dataclass(frozen=True)
class Record:
    """What a layer or parameter has to do with channels: the label of each of its rows, columns or entries.

    ``labels`` is a vector; for a parameter it has the parameter's shape.
    """

    path: str
    role: Role
    labels: Tensor


@dataclass
class Ledger:
    """What the rules write into: the labels and their ties, and the records of the layers in order.

    ``refused`` holds layer → why it is left alone.
    """

    book: LabelBook = field(default_factory=LabelBook)
    records: dict[tuple[str, Role], Record] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)

    def record(self, path: str, role: Role, labels: Tensor, step: str) -> Tensor:
        """Write down labels, or tie them to those of the layer's earlier call; return the earlier ones."""
        known = self.records.setdefault((path, role), Record(path, role, labels))
        self.book.tie(known.labels, labels, step, "calls the same layer again")
        return known.labels


@dataclass(frozen=True)
class Step:
    """A step with the labels of its inputs.

    Attributes
    ----------
    args, kwargs
        The step's arguments, in which each tensor is replaced by its labels.
    out
        What the step returns, with tensors on the meta device.
    """

    node: fx.Node
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    out: Any
    ledger: Ledger

    @property
    def name(self) -> str:
        """The name of the function or tensor method; see `name_of`."""
        return name_of(self.node)

    @property
    def path(self) -> str:
        """The path of the layer or parameter."""
        return str(self.node.target)

    @property
    def layer(self) -> nn.Module:
        """The layer that is called."""
        layer = layer_of(self.node)
        assert layer is not None
        return layer

    @property
    def inputs(self) -> list[Tensor]:
        """The labels of all tensors that go in."""
        return list(tensors_in((self.args, self.kwargs)))

    def argument(self, position: int, name: str, default: Any = None) -> Any:
        """Return an argument that may be given by position or by name."""
        return self.args[position] if len(self.args) > position else self.kwargs.get(name, default)

    def tie(self, labels: Tensor, others: Tensor, reason: str) -> None:
        """Tie two label tensors element by element."""
        self.ledger.book.tie(labels, others, self.node.name, reason)

    def tie_along(self, labels: Tensor, axes: Iterable[int], reason: str) -> None:
        """Tie labels that differ only by their position on these axes."""
        self.ledger.book.tie_along(labels, axes, self.node.name, reason)

    def fix(self, labels: Tensor, reason: str) -> None:
        """Tie labels to 0."""
        self.ledger.book.fix(labels, self.node.name, reason)

    def record(self, role: Role, labels: Tensor) -> Tensor:
        """Write down a layer's labels; return those of its first call."""
        return self.ledger.record(self.path, role, labels, self.node.name)

    def needs_all(self, labels: Tensor, axes: Iterable[int], reason: str) -> Tensor:
        """Return the labels for a step that needs everything along some axes.

        Labels that change along these axes only are fixed, for nothing of them may go. Those that change
        along others too (heads of several numbers) go together for each place there.
        """
        axes = [axis % labels.ndim for axis in axes]
        moving = set(varying_axes(labels))
        if moving and moving <= set(axes):
            self.fix(labels, reason)
            return fixed(labels.shape)
        self.tie_along(labels, axes, reason)
        return first_along(labels, axes)

    def channels(self, labels: Tensor, axis: int) -> Tensor:
        """Return the labels along an axis, (size,), after `needs_all` on all others."""
        others = [other for other in range(labels.ndim) if other != axis % labels.ndim]
        kept = self.needs_all(labels, others, f"has its channels on axis {axis % labels.ndim} only")
        return vector_along(kept, axis)


Labels: TypeAlias = Any
"""Label tensors where a step returns tensors, in the same nesting of tuples."""

Rule: TypeAlias = Callable[[Step], Labels | None]
"""From a step to the labels of what it returns; None where the rule does not apply."""


def name_of(node: fx.Node) -> str:
    """Return the name of a torch function or tensor method, without the mark of in-place versions.

    Functions of other origin have none: what they do is not known from their name.
    """
    if node.op == "call_method":
        return str(node.target).rstrip("_")
    origin = str(getattr(node.target, "__module__", None) or "")
    known = node.target is getattr or origin.split(".")[0] in {"torch", "torchvision", "_operator"}
    return str(getattr(node.target, "__name__", "")).rstrip("_") if known else ""


def tensors_in(value: Any) -> Iterable[Tensor]:
    """Yield the tensors in nested tuples, lists and dicts."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (tuple, list)):
        for part in value:
            yield from tensors_in(part)
    elif isinstance(value, dict):
        yield from tensors_in(tuple(value.values()))
