"""Removing channels: a new model whose layers, norms, parameters and constant sizes are smaller.

Everything follows from the labels. A layer keeps the rows and columns whose class stays; a step that names
sizes (``view(1, 64, 49)``) gets the sizes of what is left; the rest of the model is copied. The proof that
the new model computes what the old one does without these channels is part of the removal (`proof`).

Worked example: channel 1 of 3 leaves "conv" (3 filters, then flatten of 2×2 pixels) and "linear" (12 → 5).
"conv" keeps rows 0 and 2; "linear" keeps columns 0 to 3 and 8 to 11, so its weight is 5×8.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx, nn

from course_lib.errors import SettingError, UnknownNameError
from course_lib.pruning.structure.dependency import DependencyGraph, attribute
from course_lib.pruning.structure.group import Role
from course_lib.pruning.structure.layer_rules import CONVS, TRANSPOSED, is_depthwise
from course_lib.pruning.structure.proof import require_proof
from course_lib.pruning.structure.rewrite import rewrite_sizes

Keep = NDArray[np.bool_]


def remove(
    graph: DependencyGraph,
    chosen: Mapping[str, Sequence[int]],
    *,
    inputs: Sequence[Tensor] = (),
    check: bool = True,
) -> fx.GraphModule:
    """Return a new, smaller model without the chosen channels, in evaluation mode.

    Parameters
    ----------
    chosen
        Group name → channels to remove, from 0; groups that are not named keep all.
    inputs
        A real input, one tensor for each argument, on which the proof is run as well as on a random one.
    check
        Whether the proof is run; it takes two passes of the model for each input.

    Raises
    ------
    UnknownNameError
        If there is no group of that name.
    SettingError
        If a channel does not exist, or no channel of a group would be left.
    ModelError
        If the smaller model does not compute the same as the model with these channels masked. No model is
        returned then.
    """
    removed = removed_classes(graph, chosen)
    steps = fx.Graph()
    copied: dict[fx.Node, fx.Node] = {}
    steps.output(steps.graph_copy(graph.graph.graph, copied))
    rewrite_sizes(graph, copied, ~removed)
    pruned = fx.GraphModule(_smaller_parts(graph, removed), steps, type(graph.graph).__name__).eval()
    if check:
        require_proof(graph, chosen, pruned, inputs)
    return pruned


def removed_classes(graph: DependencyGraph, chosen: Mapping[str, Sequence[int]]) -> Keep:
    """Return for each class of labels whether it is removed, after checking what was chosen."""
    groups = {group.name: group for group in graph.groups}
    removed = np.zeros(int(graph.classes.of.max()) + 1, bool)
    for name, channels in chosen.items():
        if name not in groups:
            raise UnknownNameError("group of channels", name, groups)
        count = groups[name].channels
        wrong = [channel for channel in channels if not 0 <= channel < count]
        if wrong:
            raise SettingError(
                f"The group {name!r} has no channel {wrong[0]}; expected channels from 0 to {count - 1}."
            )
        if len(set(channels)) == count:
            raise SettingError(
                f"All {count} channels of the group {name!r} would be removed; leave at least one, for "
                "example by a lower ratio."
            )
        removed[graph.classes.members[name][list(channels)]] = True
    return removed


def _smaller_parts(graph: DependencyGraph, removed: Keep) -> dict[str, Any]:
    """Return path → layer or parameter without the removed channels, copied from the traced model."""
    kept: dict[str, dict[Role, Tensor]] = {}
    axes: dict[str, int] = {}
    for record in graph.classes.records:
        gone = removed[graph.classes.entries(record)]
        if gone.any():
            kept.setdefault(record.path, {})[record.role] = torch.from_numpy(np.flatnonzero(~gone))
            axes[record.path] = graph.classes.axis(record)
    parts: dict[str, Any] = {}
    memo: dict[int, Any] = {}  # deepcopy takes smaller tensors from here
    for node in graph.graph.graph.nodes:
        path = str(node.target)
        if node.op not in ("call_module", "get_attr") or path in parts:
            continue
        source = attribute(graph.graph, path)
        if path in kept and isinstance(source, Tensor):
            memo[id(source)] = _selected(source, {axes[path]: kept[path]["pass"]})
        elif path in kept:
            memo |= _smaller_tensors(source, kept[path])
        parts[path] = deepcopy(source, memo)
        if path in kept and isinstance(source, nn.Module):
            _set_sizes(parts[path], source, kept[path])
    return parts


def _smaller_tensors(layer: nn.Module, kept: Mapping[Role, Tensor]) -> dict[int, Tensor]:
    """Return the id of each of a layer's tensors → what is left of it."""
    axis_of: dict[Role, int] = {"out": 0, "in": 1, "pass": 0}
    if isinstance(layer, TRANSPOSED):
        axis_of |= {"out": 1, "in": 0}
    smaller = {}
    for tensor in (*layer.parameters(recurse=False), *layer.buffers(recurse=False)):
        if tensor.ndim > 1:
            smaller[id(tensor)] = _selected(tensor, {axis_of[role]: index for role, index in kept.items()})
        elif tensor.ndim == 1:  # biases and statistics: one number for each output channel
            index = [index for role, index in kept.items() if role != "in"]
            smaller[id(tensor)] = _selected(tensor, dict(enumerate(index)))
    return smaller


def _selected(tensor: Tensor, kept: Mapping[int, Tensor]) -> Tensor:
    """Return a copy of a parameter or buffer with the kept positions on some axes."""
    smaller = tensor.detach()
    for axis, index in kept.items():
        smaller = smaller.index_select(axis, index.to(tensor.device))
    smaller = smaller if kept else smaller.clone()
    return nn.Parameter(smaller, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else smaller


def _set_sizes(layer: Any, source: nn.Module, kept: Mapping[Role, Tensor]) -> None:
    """Bring the numbers that a layer knows about itself in line with its tensors."""
    if isinstance(layer, nn.Linear):
        layer.out_features, layer.in_features = layer.weight.shape
    elif isinstance(layer, CONVS + TRANSPOSED):
        if is_depthwise(source):
            layer.groups = layer.groups * len(layer.weight) // layer.out_channels
        first, second = layer.weight.shape[:2]
        if isinstance(layer, TRANSPOSED):
            layer.in_channels, layer.out_channels = first, second
        else:
            layer.in_channels, layer.out_channels = second * layer.groups, first
    else:
        count = len(kept["pass"])
        if isinstance(layer, nn.GroupNorm):
            layer.num_groups = layer.num_groups * count // layer.num_channels
        name = {nn.GroupNorm: "num_channels", nn.PReLU: "num_parameters"}.get(type(layer), "num_features")
        setattr(layer, name, count)
