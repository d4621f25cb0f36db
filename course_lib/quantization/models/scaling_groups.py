"""Where a channel's scale can be changed: tensors whose channels have to be scaled together.

A channel may be divided by s > 0 where it is made and multiplied by s where it is read if every step in
between lets the factor through: ReLU(x / s) = ReLU(x) / s, and likewise pooling, dropout and flattening. An
addition lets it through when both summands carry it, so all layers that feed a chain of residual blocks, and
all that read it, share one factor a channel.

Worked example: y = second(ReLU(first(x)) + other(x)) has one group: first and other make it, second reads it.
"""

import builtins
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from course_lib.architectures.tracing import called_once, calls, is_addition, layer_of
from course_lib.quantization.models.graph import WeightLayer
from course_lib.quantization.models.layer_inputs import groups_of

PASSING = (
    *(nn.ReLU, F.relu, torch.relu, "relu", nn.Identity, nn.Dropout, nn.Dropout2d),
    *(nn.AdaptiveAvgPool2d, F.adaptive_avg_pool2d, nn.AvgPool2d, F.avg_pool2d, nn.MaxPool2d, F.max_pool2d),
)
"""Steps with f(s · x) = s · f(x) for s > 0 that work on each channel alone; ReLU6 is not one of them."""


@dataclass(frozen=True)
class ScalingGroup:
    """Layers between which each channel's scale is free.

    Parameters
    ----------
    makers
        Paths of the convolutions, linear layers and layer norms whose outputs the channels are.
    readers
        Paths of the convolutions and linear layers that read them.
    steps
        Names of the steps whose results hold the channels.
    """

    makers: tuple[str, ...]
    readers: tuple[str, ...]
    steps: tuple[str, ...]


def scaling_groups(graph: fx.GraphModule) -> Iterator[ScalingGroup]:
    """Yield the groups of a graph with folded batch norms, in order of execution.

    Left out are groups that anything else makes or reads (the result of the model, a product), that a layer
    which is called twice takes part in, or that a grouped but not depthwise convolution reads.
    """
    parents: dict[fx.Node, fx.Node] = {}

    def root(node: fx.Node) -> fx.Node:
        while node in parents:
            node = parents[node]
        return node

    for node in graph.graph.nodes:
        for before in node.all_input_nodes if _passes(node) else ():
            if root(before) is not root(node):
                parents[root(node)] = root(before)
    members: dict[fx.Node, list[fx.Node]] = {}
    for node in graph.graph.nodes:
        members.setdefault(root(node), []).append(node)
    for nodes in members.values():
        makers = [node for node in nodes if not _passes(node)]
        users = dict.fromkeys(user for node in nodes for user in node.users)
        readers = [user for user in users if user not in nodes and not _asks_shape(user)]
        if makers and readers and _fit(makers, readers):
            yield ScalingGroup(
                tuple(str(node.target) for node in makers),
                tuple(str(node.target) for node in readers),
                tuple(node.name for node in nodes),
            )


@torch.no_grad()
def scale_group(graph: fx.GraphModule, group: ScalingGroup, factor: Tensor) -> None:
    """Divide the channels of a group where they are made and multiply them where they are read, in place.

    Parameters
    ----------
    factor
        s > 0, (channels,).
    """
    for path in group.makers:
        maker = graph.get_submodule(path)
        for parameter in (maker.weight, maker.bias):
            if isinstance(parameter, Tensor):
                parameter /= factor.reshape(-1, *[1] * (parameter.ndim - 1))
    for path in group.readers:
        layer = graph.get_submodule(path)
        assert isinstance(layer, WeightLayer)
        axis = 0 if is_depthwise(layer) else 1
        layer.weight *= factor.reshape([-1 if each == axis else 1 for each in range(layer.weight.ndim)])


def is_depthwise(layer: nn.Module | None) -> bool:
    """Return whether a layer is a convolution with one filter for each channel."""
    return isinstance(layer, nn.Conv2d) and layer.groups == layer.in_channels == layer.out_channels > 1


def _fit(makers: list[fx.Node], readers: list[fx.Node]) -> bool:
    """Return whether all of these layers can be scaled, and count as many channels."""
    channels = set()
    for node in makers:
        layer = layer_of(node)
        if isinstance(layer, nn.LayerNorm):
            if not layer.elementwise_affine or len(layer.normalized_shape) > 1:
                return False
        elif not isinstance(layer, WeightLayer):
            return False
        channels.add(layer.weight.shape[0])
    for node in readers:
        layer = layer_of(node)
        if not isinstance(layer, WeightLayer) or (groups_of(layer) > 1 and not is_depthwise(layer)):
            return False
        channels.add(layer.weight.shape[0] if is_depthwise(layer) else layer.weight.shape[1])
    return len(channels) == 1 and all(called_once(node) for node in (*makers, *readers))


def _passes(node: fx.Node) -> bool:
    if calls(node, nn.Flatten):  # as many features as channels, or the group does not fit
        layer = layer_of(node)
        return isinstance(layer, nn.Flatten) and layer.start_dim == 1
    if calls(node, torch.flatten, "flatten"):
        return node.args[1:] == (1,) and not node.kwargs
    return calls(node, *PASSING) or is_addition(node)


def _asks_shape(node: fx.Node) -> bool:
    """Return whether a step reads the tensor's shape only."""
    return calls(node, "size", "dim") or (calls(node, builtins.getattr) and node.args[1] == "shape")
