"""How much does a channel matter? Functions that return an importance: group → one score a channel.

Higher means keep. A channel is more than one filter: all layers that a group's channels touch count, added
up.

- norms of weights: the filters that make the channel ("out"), the weights that read it ("in") and depthwise
  filters on its way ("pass"). Biases, norms' scales and bare parameters do not count, for their sizes mean
  something else. ``roles=("out",)`` is the published filter norm (Li et al. 2017, section 3.1).
- scales of batch norms: all those that the channel passes (Liu et al. 2017).
- mean activation and Taylor: what the layers read that use the channel, after its activation function.
- gradients: of the same weights as the norms.

Scores of two groups compare only after they are brought to one scale, which `select_channels` does.

Worked example: a channel that is made by the filter [1, −2], passes the scale 0.5 and is read by the weights
[3, 0] has L1 1 + 2 + 3 = 6, L2 √(1 + 4 + 9) ≈ 3.74, and scale 0.5.

Left out: second-order importances, and distances between filters.
"""

import hashlib
from collections.abc import Callable, Collection, Iterable
from copy import deepcopy
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from course_lib.errors import DataError, ModelError
from course_lib.pruning.channel_scores import (
    by_channel,
    by_position,
    has_kernel,
    input_by_position,
    layers_of,
    readers_of,
    weight_of,
)
from course_lib.pruning.structure.dependency import DependencyGraph
from course_lib.pruning.structure.group import Group, Role
from course_lib.reproducibility import torch_generator
from course_lib.training.fit import Loss, cross_entropy

Importance: TypeAlias = Callable[[Group], Tensor]
"""Group → score of each channel, (channels,), higher = keep."""

LabelledBatches: TypeAlias = Iterable[tuple[Tensor, Tensor]]
"""Batches of inputs (N, …) and labels (N,)."""

ALL_ROLES: tuple[Role, ...] = ("out", "in", "pass")


def l1_norm(graph: DependencyGraph, roles: Collection[Role] = ALL_ROLES) -> Importance:
    """Return the importance Σ |w| over the weights of a channel (Li et al. 2017)."""
    return lambda group: _summed_weights(graph.graph, group, roles, lambda layer: weight_of(layer).abs())


def l2_norm(graph: DependencyGraph, roles: Collection[Role] = ALL_ROLES) -> Importance:
    """Return the importance √(Σ w²) over the weights of a channel."""
    return lambda group: (
        _summed_weights(graph.graph, group, roles, lambda layer: weight_of(layer) ** 2) ** 0.5
    )


def bn_scale(graph: DependencyGraph) -> Importance:
    """Return the importance Σ |γ| over the batch norms that a channel passes (Liu et al. 2017).

    The importance raises `ModelError` for a group without a batch norm that has a scale.
    """

    def importance(group: Group) -> Tensor:
        scores = [
            by_channel(layer.weight.detach().abs(), part.indices)
            for part, layer in layers_of(graph.graph, group.slices)
            if part.role == "pass" and isinstance(layer, _BatchNorm) and layer.affine
        ]
        if not scores:
            raise ModelError(
                f"The channels of {group.name!r} pass no batch norm with a scale; rank them by another "
                "importance, such as l1_norm(graph)."
            )
        return torch.stack(scores).sum(0)

    return importance


def mean_activation(graph: DependencyGraph, inputs: Iterable[Tensor]) -> Importance:
    """Return the importance mean |a| over inputs and pixels (Molchanov et al. 2017, section 2.2).

    a is what the layers that use the channel read, as a rule the output of its activation function. Several
    readers and several entries of a flattened channel are added up.

    Parameters
    ----------
    inputs
        Batches of real inputs, (N, …) each.

    Raises
    ------
    DataError
        If there are no inputs.
    """
    model, count = deepcopy(graph.graph).requires_grad_(False), 0
    captured: dict[str, Tensor] = {}
    readers = _all_readers(model, graph)
    for batch in inputs:
        for path, value in _inputs_of(model, readers, batch)[1].items():
            pixels = value.numel() // (len(value) * _positions(value, readers[path]))
            total = input_by_position(value.abs(), readers[path]).sum(0) / pixels
            captured[path] = captured.get(path, 0) + total
        count += len(batch)
    _require_inputs(count)

    def importance(group: Group) -> Tensor:
        parts = readers_of(graph.graph, group.slices)
        return torch.stack([by_channel(captured[p.path] / count, p.indices) for p, _ in parts]).sum(0)

    return importance


def taylor(graph: DependencyGraph, batches: LabelledBatches, loss: Loss = cross_entropy) -> Importance:
    """Return the mean over examples of |∂L/∂z|, first-order Taylor (Molchanov et al. 2017, section 2.2).

    z = 1 scales the channel wherever it is read. To first order, setting z to 0 changes the loss L of one
    example by −∂L/∂z = −Σ a·∂L/∂a, over all pixels of the channel in all layers that read it. Taken for each
    example by itself, rises and falls do not cancel.

    Parameters
    ----------
    batches
        Batches of real inputs and their labels.
    loss
        Scores, labels and inputs → mean loss of the batch, as for `fit`.

    Raises
    ------
    DataError
        If there are no batches.
    """
    model = deepcopy(graph.graph).requires_grad_(True)
    readers = _all_readers(model, graph)
    collected: dict[str, list[Tensor]] = {path: [] for path in readers}
    for inputs, labels in batches:
        scores, values = _inputs_of(model, readers, inputs)
        paths = list(values)
        gradients = torch.autograd.grad(
            loss(scores, labels, inputs), [values[path] for path in paths], allow_unused=True
        )
        for path, gradient in zip(paths, gradients, strict=True):
            value = values[path].detach()
            # The loss is the batch's mean, so one example's own gradient is N times as large.
            product = torch.zeros_like(value) if gradient is None else value * gradient * len(value)
            collected[path].append(input_by_position(product, readers[path]))
    _require_inputs(max(map(len, collected.values()), default=0))
    derivatives = {path: torch.cat(parts) for path, parts in collected.items()}

    def importance(group: Group) -> Tensor:
        parts = readers_of(graph.graph, group.slices)
        each = torch.stack([by_channel(derivatives[part.path], part.indices) for part, _ in parts])
        return each.sum(0).abs().mean(0)

    return importance


def accumulated_gradient(
    graph: DependencyGraph,
    batches: LabelledBatches,
    loss: Loss = cross_entropy,
    roles: Collection[Role] = ALL_ROLES,
) -> Importance:
    """Return the importance Σ_batches Σ |∂L/∂w| over the weights of a channel: how much training moves it.

    Parameters and exceptions as for `taylor` and `l1_norm`.
    """
    model, count = deepcopy(graph.graph).requires_grad_(True), 0
    layers = {path: layer for path, layer in model.named_modules() if has_kernel(layer)}
    sums = {path: torch.zeros_like(weight_of(layer)) for path, layer in layers.items()}
    for inputs, labels in batches:
        weights = [weight_of(layer) for layer in layers.values()]
        gradients = torch.autograd.grad(loss(model(inputs), labels, inputs), weights, allow_unused=True)
        for path, gradient in zip(layers, gradients, strict=True):
            sums[path] += 0 if gradient is None else gradient.abs()
        count += len(inputs)
    _require_inputs(count)
    paths = {layer: path for path, layer in graph.graph.named_modules()}
    return lambda group: _summed_weights(graph.graph, group, roles, lambda layer: sums[paths[layer]])


def random_importance(graph: DependencyGraph, seed: int) -> Importance:
    """Return uniform random scores in [0, 1), the control; they depend on seed and group name alone."""

    def importance(group: Group) -> Tensor:
        digest = hashlib.sha256(f"{seed} {group.name}".encode()).digest()
        generator = torch_generator(int.from_bytes(digest[:7], "big"))
        return torch.rand(group.channels, generator=generator)

    return importance


def _summed_weights(
    model: nn.Module, group: Group, roles: Collection[Role], values: Callable[[nn.Module], Tensor]
) -> Tensor:
    """Return the sum of each channel's weights' values, over all linear layers and convolutions."""
    scores = torch.zeros(group.channels)
    for part, layer in layers_of(model, group.slices):
        if has_kernel(layer) and part.role in roles:
            scores += by_channel(by_position(values(layer).detach(), layer, part.role), part.indices)
    return scores


def _all_readers(model: nn.Module, graph: DependencyGraph) -> dict[str, nn.Module]:
    slices = [part for group in graph.groups for part in group.slices if part.role == "in"]
    return {part.path: layer for part, layer in layers_of(model, slices) if has_kernel(layer)}


def _inputs_of(
    model: nn.Module, readers: dict[str, nn.Module], batch: Tensor
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the model's scores of a batch, and what each of the layers read for it."""
    values: dict[str, Tensor] = {}

    def keep(path: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        return lambda layer, inputs: values.__setitem__(path, inputs[0])

    hooks = [layer.register_forward_pre_hook(keep(path)) for path, layer in readers.items()]
    try:
        return model(batch), values
    finally:
        for hook in hooks:
            hook.remove()


def _positions(value: Tensor, layer: nn.Module) -> int:
    return value.shape[-1] if isinstance(layer, nn.Linear) else value.shape[1]


def _require_inputs(count: int) -> None:
    if count == 0:
        raise DataError("There are no inputs to score the channels by; pass at least one batch.")
