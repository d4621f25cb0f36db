"""Sizes that a model's steps name: brought in line with what is left of the tensors.

A step such as ``x.view(-1, 4, 16)`` holds numbers that fit the old model only. What its result must look like
without the removed channels follows from its labels; each named size that would give something else is
replaced, and all others stay as they are, so that sizes taken from ``x.shape`` keep working for any batch.

Worked example: ``x.view(n, 4, 16)`` splits 64 channels into 4 heads, and head 2 is removed: the result must
be (n, 3, 16), so the step becomes ``x.view(n, 3, 16)``.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx

from course_lib.pruning.structure.dependency import DependencyGraph
from course_lib.pruning.structure.labels import compact
from course_lib.pruning.structure.moving_rules import index_parts, indexed_axes
from course_lib.pruning.structure.step import name_of, tensors_in


def rewrite_sizes(graph: DependencyGraph, copied: Mapping[fx.Node, fx.Node], keep: NDArray[np.bool_]) -> None:
    """Change the sizes in copied steps to those of what is left.

    Parameters
    ----------
    copied
        Step of ``graph`` → its copy, which is changed.
    keep
        Class → whether it stays.
    """
    survivors = Survivors(keep[graph.classes.of])
    values: dict[fx.Node, Any] = {}
    for node, copy in copied.items():
        labels = graph.labels[node]
        if not any(True for _ in tensors_in(labels)):
            values[node] = _number(node, labels, values)
            continue
        values[node] = survivors.meta(labels)
        name = name_of(node) if node.op in ("call_function", "call_method") else ""
        if name in ("view", "reshape", "expand", "unflatten"):
            _set_sizes(node, copy, values)
        elif name in ("chunk", "split"):
            _set_parts(node, copy, values)
        elif name == "getitem":
            source, index = filled(node.args, graph.labels)
            if isinstance(source, Tensor):
                _set_slices(copy, source, index, survivors)


def filled(arguments: Any, values: Mapping[fx.Node, Any]) -> Any:
    """Return a step's arguments with the value of each step among them."""
    return fx.node.map_arg(arguments, values.__getitem__)


class Survivors:
    """What is left of label tensors; ``kept`` says for each label whether it stays."""

    def __init__(self, kept: NDArray[np.bool_]) -> None:
        self._kept = kept
        self._shapes: dict[int, tuple[int, ...]] = {}

    def along(self, labels: Tensor, axis: int) -> NDArray[np.bool_]:
        """Return for each index on an axis whether anything is left there, (size,) or (1,)."""
        kept = self._kept[compact(labels).numpy()]
        others = tuple(other for other in range(kept.ndim) if other != axis)
        left: NDArray[np.bool_] = kept.any(axis=others)
        return left

    def shape(self, labels: Tensor) -> tuple[int, ...]:
        """Return the shape that a tensor with these labels has without the removed channels."""
        if id(labels) not in self._shapes:
            shape = list(labels.shape)
            kept = self._kept[compact(labels).numpy()]
            if not kept.all():
                for axis, size in enumerate(kept.shape):
                    if size > 1:
                        shape[axis] = int(self.along(labels, axis).sum())
            self._shapes[id(labels)] = tuple(shape)
        return self._shapes[id(labels)]

    def meta(self, labels: Any) -> Any:
        """Return tensors without numbers in the shape of what is left."""
        if isinstance(labels, Tensor):
            return torch.empty(self.shape(labels), device="meta")
        return type(labels)(map(self.meta, labels)) if type(labels) in (tuple, list) else labels


def _number(node: fx.Node, old: Any, values: Mapping[fx.Node, Any]) -> Any:
    """Return what a step without tensors, such as ``x.shape[1] // 2``, gives in the smaller model."""
    takes_size = node.target is not getattr or node.args[1] == "shape"
    if not isinstance(old, (int, float, tuple)) or not takes_size:
        return old
    args, kwargs = filled(node.args, values), filled(node.kwargs, values)
    if node.op == "call_method":
        return getattr(args[0], str(node.target))(*args[1:], **kwargs)
    assert callable(node.target)
    return node.target(*args, **kwargs)


def _set_sizes(node: fx.Node, copy: fx.Node, values: Mapping[fx.Node, Any]) -> None:
    expected: Sequence[int] = values[node].shape
    first = 2 if name_of(node) == "unflatten" else 1
    if first == 2:
        expected = expected[filled(node.args[1], values) :]
    old, new = node.args[first:], copy.args[first:]
    as_one = len(new) == 1 and isinstance(new[0], (tuple, list))
    if as_one:
        old, new = old[0], new[0]  # type: ignore[assignment]
    given = filled(tuple(old), values)
    if not all(isinstance(size, int) for size in given):
        return  # the size of another tensor, taken as a whole
    right = tuple(
        part if size in (-1, wanted) else wanted
        for part, size, wanted in zip(new, given, expected, strict=False)
    )
    copy.args = (*copy.args[:first], *((right,) if as_one else right))


def _set_parts(node: fx.Node, copy: fx.Node, values: Mapping[fx.Node, Any]) -> None:
    args, kwargs = filled(node.args, values), filled(node.kwargs, values)
    axis = args[2] if len(args) > 2 else kwargs.get("dim", 0)
    wanted = [part.shape[axis] for part in values[node]]
    sizes = args[1] if len(args) > 1 else None
    if name_of(node) == "split" and sizes == wanted:
        return
    total, parts = sum(wanted), len(wanted)
    step = -(-total // parts) if name_of(node) == "chunk" else sizes
    if isinstance(step, int) and wanted == [min(step, total - start) for start in range(0, total, step)]:
        return
    copy.target = "split" if node.op == "call_method" else torch.split
    copy.args, copy.kwargs = (copy.args[0], wanted, axis), {}


def _set_slices(copy: fx.Node, labels: Tensor, index: Any, survivors: Survivors) -> None:
    """Change the bounds of slices on an axis that got shorter; ``index`` has the old bounds as numbers."""
    parts = index_parts(copy.args[1], labels.ndim)
    shorter = False
    for place, (axis, part) in enumerate(indexed_axes(index, labels.ndim) or []):
        if isinstance(part, slice) and axis is not None and part != slice(None):
            kept = survivors.along(labels, axis)
            if len(kept) == labels.shape[axis] and not kept.all():
                start, stop, _ = part.indices(len(kept))
                parts[place] = slice(int(kept[:start].sum()), int(kept[:stop].sum()))
                shorter = True
    if shorter:
        copy.args = (copy.args[0], tuple(parts))
