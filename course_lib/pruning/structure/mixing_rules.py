"""What steps that compute with numbers do to labels: join channels, keep them apart, or need all of them.

Each rule takes a `Step` and returns the labels of its result, or None where it does not apply.

Worked example: x (1, 4, 7, 7) with labels 1, 2, 3, 4 along axis 1. ``x.mean((2, 3))`` keeps them apart and
returns labels of shape (1, 4); ``x.mean(1)`` adds channels up, so all four are tied to 0. ``x + y`` with
labels 5 to 8 in y ties 1–5, 2–6, 3–7 and 4–8.
"""

import re
from collections.abc import Sequence

from torch import Tensor

from course_lib.pruning.structure.labels import compact, fixed, varying_axes
from course_lib.pruning.structure.step import Labels, Step


def elementwise(step: Step) -> Labels:
    """One or several tensors, number by number: channels at the same place go together.

    A tensor that is spread over channels (size 1 where another one changes) cannot lose anything itself.
    """
    return join(step, step.inputs, step.out.shape, "joins tensors number by number")


def join(step: Step, tensors: Sequence[Tensor], shape: Sequence[int], reason: str) -> Tensor:
    """Tie tensors that are broadcast to a shape; return the labels of the result."""
    padded = [labels[(None,) * (len(shape) - labels.ndim)] for labels in tensors]
    moving = {axis for labels in padded for axis in varying_axes(labels)}
    together = []
    for labels in padded:
        if any(labels.shape[axis] == 1 and shape[axis] > 1 for axis in moving):
            step.fix(labels, "is spread over the channels of another tensor")
        else:
            together.append(labels)
    if not together:
        return fixed(shape)
    leader = min(together, key=lambda labels: compact(labels).numel())
    for labels in together:
        step.tie(leader, labels, reason)
    return leader.expand(tuple(shape))


def local(step: Step) -> Labels | None:
    """Pooling, interpolation: whatever happens on the last axes, each channel by itself."""
    digits = re.search(r"(\d)d", step.name)
    return over_last_axes(step, int(digits[1]) if digits else step.inputs[0].ndim - 2)


def over_last_axes(step: Step, count: int) -> Labels | None:
    """Return the labels for a step that mixes the last axes and may change their sizes."""
    labels = step.inputs[0]
    return resized(step, labels, range(labels.ndim - count, labels.ndim))


def resized(step: Step, labels: Tensor, axes: Sequence[int]) -> Labels | None:
    """Return the labels for a step that mixes numbers along these axes."""
    if not isinstance(step.out, Tensor) or step.out.ndim != labels.ndim:
        return None
    kept = step.needs_all(labels, axes, "mixes numbers along an axis of channels")
    for axis in axes:
        kept = kept.narrow(axis, 0, 1)
    return kept.expand(step.out.shape)


def pad(step: Step) -> Labels | None:
    """Padding: the padded axes must not be those of channels."""
    labels, sizes = step.inputs[0], step.argument(1, "pad")
    pairs = [sizes[2 * place : 2 * place + 2] for place in range(len(sizes) // 2)]
    return resized(step, labels, [labels.ndim - 1 - place for place, pair in enumerate(pairs) if any(pair)])


def reduce(step: Step) -> Labels | None:
    """Mean, sum, maximum over axes."""
    labels = step.inputs[0]
    dims = step.argument(1, "dim", step.kwargs.get("axis"))
    named = range(labels.ndim) if dims is None else (dims,) if isinstance(dims, int) else tuple(dims)
    axes = sorted(axis % labels.ndim for axis in named)
    if not isinstance(step.out, Tensor):
        return None
    kept = step.needs_all(labels, axes, "adds up channels")
    for axis in reversed(axes):
        kept = kept.narrow(axis, 0, 1) if step.out.ndim == labels.ndim else kept.select(axis, 0)
    return kept


def softmax(step: Step) -> Labels | None:
    """Softmax and the like: every number depends on all others along the axis."""
    axis = step.argument(1, "dim")
    return None if axis is None else normalized(step, step.inputs[0], [axis])


def layer_norm(step: Step) -> Labels:
    """Normalization over the last axes, with weights that have these axes."""
    for parameter in step.inputs[1:]:
        step.fix(parameter, "belongs to a layer norm")
    return normalized(step, step.inputs[0], range(-len(step.argument(1, "normalized_shape")), 0))


def normalized(step: Step, labels: Tensor, axes: Sequence[int]) -> Tensor:
    """Return the labels for a step that divides by something taken over these axes."""
    reason = "normalizes over the channels, so what it computes would change without some of them"
    return step.needs_all(labels, axes, reason)


def matmul(step: Step) -> Labels | None:
    """Products of matrices. Two tensors of labels: one unit for each matrix, such as an attention head.

    Channels that are summed over cannot be removed: without them the sum would be another one.
    """
    first, second = step.inputs if len(step.inputs) == 2 else (fixed(()), fixed(()))
    if min(first.ndim, second.ndim) < 2:
        return None
    if varying_axes(first) and varying_axes(second):
        return _heads(step, [first, second])
    axis, labels = (-1, first) if varying_axes(first) else (-2, second)
    return step.needs_all(labels, [axis], "adds up channels").narrow(axis, 0, 1).expand(step.out.shape)


def attention(step: Step) -> Labels | None:
    """Scaled dot-product attention: whole heads."""
    if step.kwargs.get("enable_gqa") or len(step.inputs) < 3:
        return None
    for mask in step.inputs[3:]:
        step.fix(mask, "is a mask")
    return _heads(step, step.inputs[:3])


def _heads(step: Step, tensors: Sequence[Tensor]) -> Tensor:
    """Tie everything within each matrix, and the matrices at the same place of all tensors."""
    for labels in tensors:
        step.tie_along(labels, [labels.ndim - 2, labels.ndim - 1], "works on whole heads")
    units = [labels[..., :1, :1] for labels in tensors]
    return join(step, units, (*step.out.shape[:-2], 1, 1), "works on whole heads").expand(step.out.shape)
