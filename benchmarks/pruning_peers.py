"""The same channels removed by torch-pruning (Fang et al. 2023), to compare layers, parameters and MACs."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from course_lib.benchmarking.macs import profile_layers
from course_lib.pruning.structure.dependency import DependencyGraph
from course_lib.pruning.structure.group import Group

HOW_TO_GET_IT = (
    'torch-pruning is not installed, so it is left out; install it with: pip install -e ".[peers]"'
)


def has_peer() -> bool:
    """Return whether torch-pruning is installed."""
    return find_spec("torch_pruning") is not None


def difference(
    model: nn.Module,
    example: Tensor,
    graph: DependencyGraph,
    chosen: Mapping[str, Sequence[int]],
    pruned: nn.Module,
) -> str:
    """Return how torch-pruning's result differs when it removes the same channels; "" where it does not.

    Compared are the layers of each group, and, after all groups, parameters and MACs.
    """
    theirs = deepcopy(model).eval()
    try:
        found = _remove_same(theirs, example, graph, chosen)
    except Exception as error:
        first_line = (str(error).strip().splitlines() or ["no message"])[0]
        return f"it stops with {type(error).__name__}: {first_line}"
    return found or _sizes_differ(theirs, pruned, example)


def _remove_same(
    theirs: nn.Module, example: Tensor, graph: DependencyGraph, chosen: Mapping[str, Sequence[int]]
) -> str:
    """Remove the channels from a model, in place; return where the layers of a group differ."""
    import torch_pruning

    names: dict[int, str] = {id(module): path for path, module in theirs.named_modules()}
    names |= {id(parameter): path for path, parameter in theirs.named_parameters()}
    parts: dict[str, Any] = dict(theirs.named_modules())
    peer = torch_pruning.DependencyGraph().build_dependency(theirs, example_inputs=example)
    left: dict[str, list[int]] = {}  # the rows that a layer still has, by their first numbers
    for group in graph.groups:
        rows = _rows(group, chosen[group.name])
        root, gone = next(iter(rows.items()))
        if root not in parts:
            return f"{root} is part of one layer there, whose attention heads are not removed alone"
        for path in rows:
            left.setdefault(path, list(range(_outputs(parts[path]))))
        convolution = isinstance(parts[root], nn.modules.conv._ConvNd)
        prune = (
            torch_pruning.prune_conv_out_channels if convolution else torch_pruning.prune_linear_out_channels
        )
        found = peer.get_pruning_group(parts[root], prune, idxs=[left[root].index(row) for row in gone])
        touched = {names[id(dep.target.module)] for dep, _ in found if id(dep.target.module) in names}
        wanted = {part.path for part in group.slices}
        if touched != wanted:
            more, fewer = sorted(touched - wanted), sorted(wanted - touched)
            return f"with {group.name} it also touches {more or 'nothing'} and not {fewer or 'nothing'}"
        found.prune()
        for path, numbers in rows.items():
            left[path] = [row for row in left[path] if row not in set(numbers)]
    return ""


def _sizes_differ(theirs: nn.Module, ours: nn.Module, example: Tensor) -> str:
    counts = [sum(tensor.numel() for tensor in model.parameters()) for model in (theirs, ours)]
    if counts[0] != counts[1]:
        return f"it keeps {counts[0]} parameters instead of {counts[1]}"
    try:
        macs = [profile_layers(model, example).macs for model in (theirs, ours)]
    except Exception:
        return "its pruned model does not run"
    return "" if macs[0] == macs[1] else f"its model needs {macs[0]} MACs instead of {macs[1]}"


def _rows(group: Group, channels: Sequence[int]) -> dict[str, list[int]]:
    """Return layer → the rows to remove, for all layers that make the channels, in their order."""
    return {
        part.path: [row for channel in channels for row in part.indices[channel]]
        for part in group.slices
        if part.role == "out"
    }


def _outputs(layer: Any) -> int:
    weight: torch.Tensor = layer.weight
    return weight.shape[0]


def remove_half(model: nn.Module, example: Tensor) -> None:
    """Remove the first half of the channels of every group, in place, as torch-pruning's guide does it."""
    import torch_pruning

    classifier = [layer for layer in model.modules() if isinstance(layer, nn.Linear)][-1]
    peer = torch_pruning.DependencyGraph().build_dependency(model, example_inputs=example)
    for group in peer.get_all_groups(ignored_layers=[classifier]):
        root, prune = group[0].dep.target.module, group[0].dep.handler
        half = list(range(_outputs(root) // 2))
        peer.get_pruning_group(root, prune, idxs=half).prune()
