"""What steps that only move numbers (view, permute, cat, chunk) do to labels: they are run on the labels.

Worked example: labels 1, 2, 3, 4 along axis 1. ``x.view(n, 2, 2).transpose(1, 2).flatten(1)``, the shuffle of
channels in 2 groups, gives 1, 3, 2, 4. So that the view still has two equal parts without some of the
channels, the label book ties 1–3 and 2–4.
"""

from typing import Any

import torch
from torch import Tensor

from course_lib.pruning.structure.labels import spread, varying_axes, vector_along
from course_lib.pruning.structure.step import Labels, Step

PICKS = "takes channels by their position"


def same_operation(step: Step) -> Labels | None:
    """A step that only moves numbers is run on the labels."""
    if not isinstance(step.args[0], Tensor) or any(isinstance(part, torch.dtype) for part in step.args):
        return None
    if step.node.op == "call_method":
        # a view of the labels is not always possible where the tensor itself has one
        name = "reshape" if step.node.target == "view" else str(step.node.target)
        return getattr(step.args[0], name)(*step.args[1:], **step.kwargs)
    assert callable(step.node.target)
    return step.node.target(*step.args, **step.kwargs)


def pick(step: Step) -> Labels | None:
    """``select`` and ``unbind``: positions along an axis are taken by their number, so none may go."""
    axis = step.argument(1, "dim", 0)
    step.tie_along(step.inputs[0], [axis % step.inputs[0].ndim], PICKS)
    return same_operation(step)


def getitem(step: Step) -> Labels | None:
    """``x[index]`` of a tensor, or the part of a tuple."""
    source, index = step.args
    if not isinstance(source, Tensor):
        return source[index]
    parts = indexed_axes(index, source.ndim)
    if parts is None:
        return None
    for axis, part in parts:
        if axis is not None and (isinstance(part, int) or part.step not in (None, 1)):
            step.tie_along(source, [axis], PICKS)
    return source[index]


def indexed_axes(index: Any, ndim: int) -> list[tuple[int | None, Any]] | None:
    """Return (axis, number or slice) for each part of an index, (None, None) for a new axis.

    None is returned for an index with anything else, such as a tensor.
    """
    parts = index_parts(index, ndim)
    if any(isinstance(part, bool) or not isinstance(part, (int, slice, type(None))) for part in parts):
        return None
    axes = iter(range(ndim))
    return [(None if part is None else next(axes), part) for part in parts]


def index_parts(index: Any, ndim: int) -> list[Any]:
    """Return the parts of an index, with a ``:`` for each axis that ``...`` stands for."""
    parts = list(index) if isinstance(index, (tuple, list)) else [index]
    for place, part in enumerate(parts):
        if part is ...:
            named = sum(other is not None for other in parts) - 1
            return [*parts[:place], *[slice(None)] * (ndim - named), *parts[place + 1 :]]
    return parts


def cat(step: Step) -> Labels:
    """Concatenation: channels stand behind each other, or, along another axis, must match."""
    tensors, out = step.inputs, step.out
    axis = step.argument(1, "dim", step.kwargs.get("axis", 0)) % out.ndim
    across = {other for labels in tensors for other in varying_axes(labels)} - {axis}
    if not across:
        return spread(torch.cat([vector_along(labels, axis) for labels in tensors]), axis, out.shape)
    if any(axis in varying_axes(labels) for labels in tensors):
        return torch.cat(tensors, axis)
    leader = tensors[0].narrow(axis, 0, 1)
    for labels in tensors[1:]:
        step.tie(leader, labels, "puts tensors behind each other along another axis")
    return leader.expand(out.shape)


def stack(step: Step) -> Labels:
    """Tensors beside each other on a new axis: the same channels of each."""
    leader, *others = step.inputs
    for labels in others:
        step.tie(leader, labels, "stacks tensors")
    axis = step.argument(1, "dim", 0) % step.out.ndim
    return leader.unsqueeze(axis).expand(step.out.shape)
