"""Which rows and columns of the initializers in an exported graph belong to which class of channels.

The dependency graph knows layers ("conv", role "out"); the exported file knows tensors ("conv.weight", axis
0). Names agree, but for `torch.nn.MultiheadAttention`: the dependency graph sees its query, key and value as
layers of their own, and the file holds them below each other in ``in_proj_weight``.

Worked example: a linear layer "a" (4 → 3) that makes classes 5, 6, 7 and reads class 0, which stays, gives
"a.weight": {0: [5, 6, 7], 1: [0, 0, 0, 0]} and "a.bias": {0: [5, 6, 7]}.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from course_lib.errors import ModelError
from course_lib.explore.graph_labels import AxisClasses
from course_lib.pruning.structure.attention import SplitAttention
from course_lib.pruning.structure.dependency import DependencyGraph, attribute
from course_lib.pruning.structure.labels import FIXED
from course_lib.pruning.structure.layer_rules import TRANSPOSED
from course_lib.pruning.structure.step import Record

Shapes = Mapping[str, tuple[int, ...]]
PARTS = ("query", "key", "value")


@dataclass
class WeightClasses:
    """The classes of a file's initializers.

    Attributes
    ----------
    of
        Initializer → axis → class of each position.
    reads
        Initializer → the axis along which it reads channels.
    missing
        Classes of tensors that are not in the file, or not as the model has them.
    """

    of: dict[str, AxisClasses] = field(default_factory=dict)
    reads: dict[str, int] = field(default_factory=dict)
    missing: set[int] = field(default_factory=set)


def weight_classes(graph: DependencyGraph, shapes: Shapes) -> WeightClasses:
    """Return the classes of the initializers of these shapes.

    Raises
    ------
    ModelError
        If an initializer has another shape than the model's tensor of that name.
    """
    found = WeightClasses()
    for record in graph.classes.records:
        classes = graph.classes.entries(record)
        for name, axis, size in _tensors(graph, record):
            if name in shapes:
                _put(found, name, axis, classes, record)
                _check(name, shapes[name], axis, size)
            else:
                found.missing |= set(classes.tolist())
    for path in {record.path.rpartition(".")[0] for record in graph.classes.records}:
        if isinstance(graph.graph.get_submodule(path), SplitAttention):
            _pack(found, graph, path, shapes)
    found.missing.discard(int(graph.classes.of[FIXED]))
    return found


def _tensors(graph: DependencyGraph, record: Record) -> Iterator[tuple[str, int, int]]:
    """Yield name, axis and length of that axis for each tensor that a record is about."""
    owner = attribute(graph.graph, record.path)
    if isinstance(owner, Tensor):
        axis = graph.classes.axis(record)
        yield record.path, axis, owner.shape[axis]
        return
    parent, _, part = record.path.rpartition(".")
    path = record.path
    if isinstance(graph.graph.get_submodule(parent), SplitAttention):
        if part in PARTS:
            return
        path = f"{parent}.out_proj"
    along = int((record.role == "in") != isinstance(owner, TRANSPOSED))
    for name, tensor in (*owner.named_parameters(recurse=False), *owner.named_buffers(recurse=False)):
        if tensor.ndim > 1:
            yield f"{path}.{name}", along, tensor.shape[along]
        elif tensor.ndim == 1 and record.role != "in":
            yield f"{path}.{name}", 0, len(tensor)


def _put(found: WeightClasses, name: str, axis: int, classes: NDArray[np.int64], record: Record) -> None:
    found.of.setdefault(name, {})[axis] = classes
    if record.role == "in":
        found.reads[name] = axis


def _check(name: str, shape: tuple[int, ...], axis: int, size: int) -> None:
    if len(shape) <= axis or shape[axis] != size:
        raise ModelError(
            f"The file holds {name!r} in shape {shape}, where axis {axis} of the model's has {size} "
            "positions; pass the export of this model."
        )


def _pack(found: WeightClasses, graph: DependencyGraph, path: str, shapes: Shapes) -> None:
    """Put query, key and value of an attention layer below each other, as in its ``in_proj_weight``."""
    records = {(r.path, r.role): r for r in graph.classes.records}
    rows, columns = (
        [graph.classes.entries(records[f"{path}.{part}", role]) for part in PARTS] for role in ("out", "in")
    )
    packed, same_input = np.concatenate(rows), all(np.array_equal(columns[0], each) for each in columns)
    weight, bias = f"{path}.in_proj_weight", f"{path}.in_proj_bias"
    if not same_input or shapes.get(weight) != (len(packed), len(columns[0])):
        found.missing |= set(np.concatenate([packed, *columns]).tolist())
        return
    found.of[weight] = {0: packed, 1: columns[0]}
    found.reads[weight] = 1
    if bias in shapes:
        found.of[bias] = {0: packed}
