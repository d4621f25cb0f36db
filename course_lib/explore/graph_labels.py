"""Channels in an exported graph: which channel each number between two ONNX steps belongs to.

`course_lib.pruning.structure` finds in the PyTorch model which channels go together, and calls each such set
a class. Here the classes are followed through the ONNX graph of the same model: a convolution's output has
the classes of its weight's rows, and everything else passes on, moves or joins what it gets. So it is known
what size every tensor has without some of the classes.

Worked example: conv (weight rows of classes 1, 2, 3) → Reshape to (1, 12), four pixels a channel → Gemm.
Labels behind the convolution are 1, 2, 3 along axis 1, behind the Reshape 1 1 1 1 2 2 2 2 3 3 3 3. Without
class 2 the Reshape must give (1, 8).

Steps that are not known need all channels that reach them: these classes are called stuck.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import helper
from torch import Tensor

from course_lib.pruning.structure.labels import compact, spread, varying_axes, vector_along

AxisClasses: TypeAlias = dict[int, NDArray[np.int64]]
"""Axis of a weight → class of each position on it; axes that are not named keep everything."""

FIRST_INPUT = {
    *("BatchNormalization", "InstanceNormalization", "LayerNormalization"),
    *("PRelu", "Clip", "Dropout"),
}
"""Steps whose result has the shape of their first input, and whose others are parameters."""

SHAPED = {"Reshape", "Flatten", "Squeeze", "Unsqueeze"}
NO_CHANNELS = {"Shape", "Size", "Constant", "ConstantOfShape", "Range", "NonZero"}
JOINS = {
    *("Add", "Sub", "Mul", "Div", "Pow", "Max", "Min", "Sum", "Mean", "Where", "Mod"),
    *("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "And", "Or", "Xor"),
}


class GraphLabels:
    """The class of each number in an ONNX graph.

    Parameters
    ----------
    steps
        The graph's steps, each behind those whose results it reads.
    values
        Name of a tensor → what it is for one input: only shapes matter, and the numbers of integer tensors.
    weights
        Name of an initializer → its classes; those that are not named keep everything.
    fixed
        The class that nothing can be removed of.

    Attributes
    ----------
    of
        Name of a tensor → its labels, with stride 0 along axes where nothing changes.
    stuck
        Classes that a step needs which is not known here.
    """

    def __init__(
        self,
        steps: Iterable[onnx.NodeProto],
        values: Mapping[str, NDArray[Any]],
        weights: Mapping[str, AxisClasses],
        fixed: int,
    ) -> None:
        self.weights = dict(weights)
        self.stuck: set[int] = set()
        self.of: dict[str, Tensor] = {}
        self._values, self._fixed = values, fixed
        for step in steps:
            self._follow(step)

    def label(self, name: str) -> Tensor:
        """Return the labels of a tensor; those of a weight that changes along two axes are stuck."""
        if name in self.of:
            return self.of[name]
        shape = self._values[name].shape
        axes = self.weights.get(name, {})
        changing = [axis for axis, classes in axes.items() if (classes != self._fixed).any()]
        if len(changing) > 1:
            self._stick(*(torch.from_numpy(axes[axis]) for axis in changing))
        elif changing:
            return spread(torch.from_numpy(axes[changing[0]]), changing[0], shape)
        return self._all_fixed(shape)

    def _follow(self, step: onnx.NodeProto) -> None:
        first = step.input[0] if step.input else ""
        if step.op_type in ("Transpose", "Identity", "Cast") and first in self.weights:
            # Exporters keep a linear layer's weight as (outputs, inputs) and turn it on its way.
            axes = range(self._values[first].ndim)
            order = attribute(step, "perm", axes[::-1]) if step.op_type == "Transpose" else axes
            moved = {place: axis for axis, place in enumerate(order)}
            self.weights[step.output[0]] = {moved[a]: c for a, c in self.weights[first].items()}
            return
        rule = RULES.get(step.op_type)
        labels = rule(self, step) if rule else self._by_shape(step)
        for name, found in zip(filter(None, step.output), labels or [], strict=False):
            if tuple(found.shape) != self._values[name].shape:
                labels = None
            self.of[name] = found
        if labels is None:
            self._stick(*map(self.label, filter(None, step.input)))
            for name in filter(None, step.output):
                self.of[name] = self._all_fixed(self._values[name].shape)

    def _by_shape(self, step: onnx.NodeProto) -> list[Tensor] | None:
        """Steps that treat each channel by itself: a result of the input's shape, or with other pixels."""
        labels, out = self.label(step.input[0]), self._values[step.output[0]]
        if step.op_type not in FIRST_INPUT and any(map(self._moves, step.input[1:])):
            return None
        if labels.ndim != out.ndim:
            return None if self._moves(step.input[0]) else [self._all_fixed(out.shape)]
        for axis in varying_axes(labels):
            if labels.shape[axis] != out.shape[axis]:
                return None
        for axis in range(out.ndim):
            if labels.shape[axis] != out.shape[axis]:
                labels = labels.narrow(axis, 0, 1)
        return [labels.expand(out.shape)]

    def _join(self, labels: Iterable[Tensor], shape: tuple[int, ...]) -> list[Tensor] | None:
        """Tensors that meet number by number: what belongs to no channel takes the other's classes."""
        joined = torch.full((1,) * len(shape), self._fixed)
        for other in labels:
            padded = compact(other[(None,) * (len(shape) - other.ndim)])
            differ = (joined != padded) & (joined != self._fixed) & (padded != self._fixed)
            if bool(differ.any()):
                return None
            joined = torch.where(joined == self._fixed, padded, joined)
        return [joined.expand(shape)]

    def _moves(self, name: str) -> bool:
        return bool(name) and bool((compact(self.label(name)) != self._fixed).any())

    def _stick(self, *labels: Tensor) -> None:
        for each in labels:
            self.stuck |= set(compact(each).flatten().tolist()) - {self._fixed}

    def _all_fixed(self, shape: Iterable[int]) -> Tensor:
        return torch.tensor(self._fixed).expand(tuple(shape))

    def _made(self, step: onnx.NodeProto, axis: int, weight_axis: int) -> list[Tensor]:
        """The result of a layer: the classes of its weight's rows, on one axis."""
        shape = self._values[step.output[0]].shape
        classes = self.weights.get(step.input[1], {}).get(weight_axis)
        if classes is None:
            return [self._all_fixed(shape)]
        return [spread(torch.from_numpy(classes), axis % len(shape), shape)]


Rule: TypeAlias = Callable[[GraphLabels, onnx.NodeProto], list[Tensor] | None]
"""A step → the labels of its results; None where it needs all channels."""


def attribute(step: onnx.NodeProto, name: str, default: Any = None) -> Any:
    """Return the value of a step's attribute."""
    found = next((each for each in step.attribute if each.name == name), None)
    return default if found is None else helper.get_attribute_value(found)


def _conv(graph: GraphLabels, step: onnx.NodeProto) -> list[Tensor]:
    return graph._made(step, 1, 0)


def _conv_transpose(graph: GraphLabels, step: onnx.NodeProto) -> list[Tensor]:
    return graph._made(step, 1, 1)


def _gemm(graph: GraphLabels, step: onnx.NodeProto) -> list[Tensor] | None:
    return None if attribute(step, "transA", 0) else graph._made(step, 1, 1 - attribute(step, "transB", 0))


def _matmul(graph: GraphLabels, step: onnx.NodeProto) -> list[Tensor] | None:
    """Rows come from the left, columns from the right; what is summed over must be whole or gone on both."""
    shape = graph._values[step.output[0]].shape
    if any((graph.weights[step.input[1]][axis] != graph._fixed).any() for axis in _axes(graph, step)):
        return graph._made(step, -1, graph._values[step.input[1]].ndim - 1)
    if min(graph._values[name].ndim for name in step.input) < 2:
        return None
    left, right = (graph._all_fixed(graph._values[name].shape) for name in step.input)
    left, right = (
        side if name in graph.weights else graph.label(name)
        for side, name in zip((left, right), step.input, strict=True)
    )
    return graph._join((left[..., :1], right[..., :1, :]), shape)


def _axes(graph: GraphLabels, step: onnx.NodeProto) -> list[int]:
    return list(graph.weights.get(step.input[1], {}))


def _shaped(graph: GraphLabels, step: onnx.NodeProto) -> list[Tensor]:
    return [graph.label(step.input[0]).reshape(graph._values[step.output[0]].shape)]


def _transpose(graph: GraphLabels, step: onnx.NodeProto) -> list[Tensor]:
    labels = graph.label(step.input[0])
    return [labels.permute(*attribute(step, "perm", reversed(range(labels.ndim))))]


def _slice(graph: GraphLabels, step: onnx.NodeProto) -> list[Tensor] | None:
    labels = graph.label(step.input[0])
    for axis, start, stop, stride in slices(step, graph._values, labels.ndim):
        if stride < 1:
            return None
        part = slice(*slice(start, stop, stride).indices(labels.shape[axis]))
        labels = labels[(slice(None),) * axis + (part,)]
    return [labels]


def slices(
    step: onnx.NodeProto, values: Mapping[str, NDArray[Any]], ndim: int
) -> list[tuple[int, int, int, int]]:
    """Return (axis, start, stop, stride) for each axis that a Slice step cuts."""
    given = [values[name].tolist() if name else [] for name in step.input[1:]]
    starts, stops, axes, strides = [*given, [], []][:4]
    axes, strides = axes or range(len(starts)), strides or [1] * len(starts)
    return [(axis % ndim, *part) for axis, *part in zip(axes, starts, stops, strides, strict=True)]


def _split(graph: GraphLabels, step: onnx.NodeProto) -> list[Tensor]:
    labels, axis = graph.label(step.input[0]), attribute(step, "axis", 0)
    sizes = [graph._values[name].shape[axis] for name in step.output]
    return list(torch.split(labels, sizes, axis))


def _concat(graph: GraphLabels, step: onnx.NodeProto) -> list[Tensor]:
    axis = attribute(step, "axis")
    shape, parts = graph._values[step.output[0]].shape, [graph.label(name) for name in step.input]
    axis %= len(shape)
    if all(set(varying_axes(part)) <= {axis} for part in parts):
        return [spread(torch.cat([vector_along(part, axis) for part in parts]), axis, shape)]
    return [torch.cat(parts, axis)]


def _gather(graph: GraphLabels, step: onnx.NodeProto) -> list[Tensor] | None:
    labels, axis = graph.label(step.input[0]), attribute(step, "axis", 0)
    indices = graph._values[step.input[1]]
    if axis % labels.ndim in varying_axes(labels):
        return None
    if indices.ndim == 0:
        return [labels.select(axis, int(indices))]
    return [labels.index_select(axis, torch.as_tensor(indices))] if indices.ndim == 1 else None


def _expand(graph: GraphLabels, step: onnx.NodeProto) -> list[Tensor] | None:
    return graph._join([graph.label(step.input[0])], graph._values[step.output[0]].shape)


def _reduce(graph: GraphLabels, step: onnx.NodeProto) -> list[Tensor] | None:
    labels = graph.label(step.input[0])
    given = graph._values[step.input[1]].tolist() if len(step.input) > 1 else attribute(step, "axes")
    axes = sorted((axis % labels.ndim for axis in given or range(labels.ndim)), reverse=True)
    if set(axes) & set(varying_axes(labels)):
        return None
    for axis in axes:
        labels = labels.narrow(axis, 0, 1) if attribute(step, "keepdims", 1) else labels.select(axis, 0)
    return [labels]


def _joined(graph: GraphLabels, step: onnx.NodeProto) -> list[Tensor] | None:
    return graph._join(map(graph.label, step.input), graph._values[step.output[0]].shape)


def _without_channels(graph: GraphLabels, step: onnx.NodeProto) -> list[Tensor]:
    return [graph._all_fixed(graph._values[name].shape) for name in step.output]


RULES: dict[str, Rule] = {
    **dict.fromkeys(JOINS, _joined),
    **dict.fromkeys(NO_CHANNELS, _without_channels),
    **dict.fromkeys(SHAPED, _shaped),
    **dict.fromkeys([f"Reduce{kind}" for kind in ("Mean", "Sum", "Max", "Min", "L1", "L2", "Prod")], _reduce),
    "Concat": _concat,
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "Expand": _expand,
    "Gather": _gather,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "Slice": _slice,
    "Split": _split,
    "Transpose": _transpose,
}
"""Operator → its rule. The others keep each channel where it is, or their classes are stuck."""
