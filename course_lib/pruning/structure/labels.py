"""Labels: which channel each number between two steps belongs to, and which channels must go together.

A label tensor has the shape of the tensor it describes, int64. Equal labels belong to the same channel;
label 0 (`FIXED`) marks what cannot be removed. An axis along which nothing changes has stride 0
(`torch.Tensor.expand`), so that the labels of 64 maps of 112×112 are 64 numbers.

A `LabelBook` hands out labels and collects ties: pairs of labels that must be removed together, with the step
that asks for it. Whatever is connected by ties is one class, a connected component of the graph of labels;
the class of label 0 stays.

A tensor without some of its channels must still be a rectangle. Where classes change along several axes (a
view of 8 channels as 2×4), the book ties the parts along all of these axes but the longest.

Worked example: labels 1 and 2 of a convolution, 3 and 4 of another one, added to each other: ties 1–3 and
2–4, classes {1, 3} and {2, 4}. If label 4 is also tied to 0, then 2 is fixed too.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

FIXED = 0


def compact(labels: Tensor) -> Tensor:
    """Return the labels with every axis of stride 0 cut to size 1."""
    for axis, (size, stride) in enumerate(zip(labels.shape, labels.stride(), strict=True)):
        if stride == 0 and size > 1:
            labels = labels.narrow(axis, 0, 1)
    return labels


def varying_axes(labels: Tensor) -> list[int]:
    """Return the axes along which the labels change."""
    small = compact(labels)
    return [
        axis
        for axis, size in enumerate(small.shape)
        if size > 1 and bool((small != small.narrow(axis, 0, 1)).any())
    ]


def first_along(labels: Tensor, axes: Iterable[int]) -> Tensor:
    """Return the labels of the first index on these axes, spread over the shape they had."""
    first = labels
    for axis in axes:
        first = first.narrow(axis, 0, 1)
    return first.expand(labels.shape)


def vector_along(labels: Tensor, axis: int) -> Tensor:
    """Return the labels along one axis, (size,), at the first index of all others."""
    return labels.movedim(axis, -1).reshape(-1, labels.shape[axis])[0] if labels.numel() else labels.flatten()


def spread(vector: Tensor, axis: int, shape: Sequence[int]) -> Tensor:
    """Return labels of a shape that change along one axis only."""
    sizes = [1] * len(shape)
    sizes[axis] = -1
    return vector.view(sizes).expand(tuple(shape))


def fixed(shape: Sequence[int]) -> Tensor:
    """Return labels of a shape, all 0."""
    return torch.zeros((), dtype=torch.int64).expand(tuple(shape))


@dataclass(frozen=True)
class Tie:
    """Pairs of different labels that must be removed together.

    Attributes
    ----------
    first, second
        The labels, (pairs,).
    step
        Name of the step in the traced graph.
    reason
        What the step does, as the end of a sentence about it.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    step: str
    reason: str


class LabelBook:
    """Hands out labels, collects ties, and finds the classes."""

    def __init__(self) -> None:
        self.count = FIXED + 1
        self.ties: list[Tie] = []
        self._watched: list[tuple[NDArray[np.int64], str]] = []

    def fresh(self, count: int) -> Tensor:
        """Return labels that nothing else has, (count,)."""
        self.count += count
        return torch.arange(self.count - count, self.count)

    def tie(self, labels: Tensor, others: Tensor, step: str, reason: str) -> None:
        """Tie two label tensors, whose shapes can be broadcast, element by element."""
        if labels is others:
            return
        first, second = compact(labels), compact(others)
        different = first != second
        if bool(different.any()):
            pairs = [labels.expand(different.shape)[different].numpy() for labels in (first, second)]
            self.ties.append(Tie(pairs[0], pairs[1], step, reason))

    def tie_along(self, labels: Tensor, axes: Iterable[int], step: str, reason: str) -> None:
        """Tie everything that differs only by its position on these axes."""
        self.tie(labels, first_along(labels, axes), step, reason)

    def fix(self, labels: Tensor, step: str, reason: str) -> None:
        """Tie labels to 0: the step needs all of these channels."""
        self.tie(labels, fixed(()), step, reason)

    def watch(self, labels: Tensor, step: str) -> None:
        """Remember a tensor that must stay a rectangle; those that change along one axis always do."""
        if len(varying_axes(labels)) > 1:
            self._watched.append((compact(labels).numpy(), step))

    def solve(self) -> NDArray[np.int64]:
        """Return the class of each label, (count,), after adding the ties that keep rectangles.

        Watched tensors are looked at in the order of the steps until no more ties are needed; each pass
        merges classes, so it ends.
        """
        while True:
            classes = self._components()
            before = len(self.ties)
            for labels, step in self._watched:
                self._keep_rectangle(labels, classes[labels], step)
                if len(self.ties) > before:
                    break  # what follows is judged by the new classes
            else:
                return classes

    def _keep_rectangle(self, labels: NDArray[np.int64], classes: NDArray[np.int64], step: str) -> None:
        axes = varying_axes(torch.from_numpy(classes))
        if len(axes) > 1:
            kept = max(axes, key=lambda axis: (classes.shape[axis], axis))
            others = [axis for axis in axes if axis != kept]
            reason = "cuts the channels into parts of equal size"
            self.tie_along(torch.from_numpy(labels), others, step, reason)

    def _components(self) -> NDArray[np.int64]:
        first = np.concatenate([np.empty(0, np.int64), *(tie.first for tie in self.ties)])
        second = np.concatenate([np.empty(0, np.int64), *(tie.second for tie in self.ties)])
        shape = (self.count, self.count)
        edges = coo_array((np.ones(len(first), np.int8), (first, second)), shape=shape)
        classes: NDArray[np.int64] = connected_components(edges, directed=False)[1].astype(np.int64)
        return classes
