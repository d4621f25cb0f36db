"""The numbers in an ONNX graph that name sizes, and the work that is done at these sizes.

Worked example: of 64 channels 16 go. A Reshape to (-1, 64, 49) becomes one to (-1, 48, 49), a depthwise
convolution with 64 groups gets 48, a Split into (32, 32) becomes one into what is left of each part.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from course_lib.explore.graph_labels import GraphLabels, attribute, slices
from course_lib.pruning.structure.rewrite import Survivors

NORMS = {"BatchNormalization", "InstanceNormalization"}


def edit_sizes(
    graph: onnx.GraphProto,
    labels: GraphLabels,
    values: Mapping[str, NDArray[Any]],
    keep: NDArray[np.bool_],
) -> None:
    """Change in place what a graph's steps say about sizes.

    Parameters
    ----------
    graph
        The steps, and the initializers after the cut.
    labels
        The classes of every tensor of the whole graph.
    values
        Every tensor of the whole graph for one input; see `GraphLabels`.
    keep
        Class → whether it stays.
    """
    survivors = Survivors(keep)
    constants = {tensor.name for tensor in graph.initializer}
    for step in graph.node:
        if step.op_type == "Conv":
            _set_groups(step, labels, keep)
            continue
        for place, numbers in _new_inputs(step, labels, values, survivors, constants).items():
            # Steps may share a constant, so each gets one of its own.
            name = f"{step.output[0]}.{step.op_type.lower()}.{place}"
            graph.initializer.append(numpy_helper.from_array(numbers, name))
            if place == len(step.input):
                _tell_parts(step, name)
            else:
                step.input[place] = name


def _tell_parts(step: onnx.NodeProto, sizes: str) -> None:
    """Give a Split into equal parts the sizes that they have from now on."""
    step.input.append(sizes)
    equal = [each for each in step.attribute if each.name == "num_outputs"]
    for each in equal:
        step.attribute.remove(each)


def count_macs(
    steps: Iterable[onnx.NodeProto],
    labels: GraphLabels,
    survivors: Survivors,
    sizes: Mapping[str, tuple[int, ...]],
) -> int:
    """Return the multiply-accumulates of all convolutions and matrix products for one input.

    Parameters
    ----------
    sizes
        Shape of each initializer after the cut.
    """
    total = 0
    for step in steps:
        if step.op_type in ("Conv", "ConvTranspose"):
            # A transposed convolution applies its weight at each pixel that it reads.
            read = step.op_type == "ConvTranspose"
            at = survivors.shape(labels.label(step.input[0] if read else step.output[0]))
            total += math.prod(at) * math.prod(sizes[step.input[1]][1:])
        elif step.op_type in ("Gemm", "MatMul"):
            made = survivors.shape(labels.label(step.output[0]))
            total += math.prod(made) * _summed_over(step, labels, survivors)
    return total


def _summed_over(step: onnx.NodeProto, labels: GraphLabels, survivors: Survivors) -> int:
    """Return the length of the axis that a matrix product adds up."""
    return survivors.shape(labels.label(step.input[0]))[-1]


def _set_groups(step: onnx.NodeProto, labels: GraphLabels, keep: NDArray[np.bool_]) -> None:
    """A depthwise convolution has as many groups as channels; others keep theirs."""
    groups = attribute(step, "group", 1)
    rows = labels.weights.get(step.input[1], {}).get(0)
    if rows is not None and groups > 1 and groups == labels.label(step.input[0]).shape[1]:
        next(each for each in step.attribute if each.name == "group").i = (
            groups * int(keep[rows].sum()) // len(rows)
        )


def _new_inputs(
    step: onnx.NodeProto,
    labels: GraphLabels,
    values: Mapping[str, NDArray[Any]],
    survivors: Survivors,
    constants: set[str],
) -> dict[int, NDArray[Any]]:
    """Return place of an input → the constant that must stand there now."""
    if step.op_type in ("Reshape", "Expand"):
        if step.input[1] not in constants:
            return {}  # computed from the sizes of other tensors
        old = values[step.input[1]]
        made = labels.label(step.output[0])
        before, after = made.shape, survivors.shape(made)
        new = [
            after[axis - len(old)] if after[axis - len(old)] != before[axis - len(old)] and size > 1 else size
            for axis, size in enumerate(old.tolist())
        ]
        return {1: np.array(new, np.int64)} if new != old.tolist() else {}
    if step.op_type == "Split":
        axis = attribute(step, "axis", 0)
        parts = [labels.label(name) for name in step.output]
        sizes = [survivors.shape(part)[axis] for part in parts]
        return {1: np.array(sizes, np.int64)} if sizes != [part.shape[axis] for part in parts] else {}
    if step.op_type == "Slice":
        return _new_bounds(step, labels, values, survivors)
    if step.op_type in NORMS:
        kept = survivors.along(labels.label(step.input[0]), 1)
        given = [place for place in range(1, len(step.input)) if step.input[place] not in labels.weights]
        return {place: values[step.input[place]][kept] for place in given if not kept.all()}
    return {}


def _new_bounds(
    step: onnx.NodeProto, labels: GraphLabels, values: Mapping[str, NDArray[Any]], survivors: Survivors
) -> dict[int, NDArray[Any]]:
    """Return the bounds of a Slice on axes that got shorter."""
    source = labels.label(step.input[0])
    starts, stops, changed = [], [], False
    for axis, start, stop, _ in slices(step, values, source.ndim):
        kept = survivors.along(source, axis)
        if len(kept) == source.shape[axis] and not kept.all():
            low, high, _ = slice(start, stop).indices(len(kept))
            start, stop, changed = int(kept[:low].sum()), int(kept[:high].sum()), True
        starts.append(start)
        stops.append(stop)
    return {1: np.array(starts, np.int64), 2: np.array(stops, np.int64)} if changed else {}
