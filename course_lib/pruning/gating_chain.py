"""Gates for a network that is one chain of convolutions: from the trained model to a `GatedNet`.

The first convolution stays dense: it reads the image itself, whose mean brightness tells its gate nothing.
Every later one with its norm and its ReLU gets a gate. A model with branches (residual networks) is refused:
there a closed channel of one branch is still open in the other.
"""

from copy import deepcopy

import torch
from torch import Tensor, fx, nn

from course_lib.architectures.tracing import calls, is_relu, layer_of, trace_steps
from course_lib.errors import ModelError
from course_lib.pruning.gating import GatedConv, GatedNet

BY_CHANNEL = (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.Dropout, nn.Identity)
"""Layers that treat every channel by itself and leave zeros zero."""


def insert_gates(model: nn.Module, keep_ratio: float, *, seed: int = 0) -> GatedNet:
    """Return a trainable copy of the model with a gate on every convolution but the first.

    Parameters
    ----------
    model
        Convolutions, each with a ReLU behind it and perhaps a batch norm between, pooling, a flatten and one
        linear layer, in a chain; left as it is.
    keep_ratio
        Fraction of each gated layer's channels to compute for an image, in (0, 1].
    seed
        Draws the predictors.

    Raises
    ------
    ModelError
        If the model cannot be traced or is not such a chain; the message names the step.
    SettingError
        If ``keep_ratio`` is outside (0, 1].
    """
    graph = trace_steps(model)
    nodes = _chain(graph)
    steps: list[nn.Module] = []
    convs = 0
    while nodes and not _is_flatten(nodes[0]):
        node = nodes.pop(0)
        layer = layer_of(node)
        if isinstance(layer, nn.Conv2d):
            norm = layer_of(nodes.pop(0)) if nodes and calls(nodes[0], nn.BatchNorm2d) else None
            assert norm is None or isinstance(norm, nn.BatchNorm2d)
            if not nodes or not is_relu(nodes.pop(0)):
                raise _refused(model, node, "has no ReLU behind it")
            dense = [layer, *([norm] if norm else []), nn.ReLU()]
            gate = convs > 0
            steps += [GatedConv(layer, norm, keep_ratio, seed=seed + convs)] if gate else dense
            convs += 1
        elif isinstance(layer, BY_CHANNEL):
            steps.append(layer)
        else:
            raise _refused(model, node, "is none of the steps that gates know")
    head = layer_of(nodes[1]) if len(nodes) == 2 else None
    if convs < 2 or not isinstance(head, nn.Linear):
        raise ModelError(
            f"{type(model).__name__} does not end in a flatten and one linear layer behind two convolutions "
            "or more; gates need such a chain, as the zoo's plain_conv is."
        )
    net = deepcopy(GatedNet(nn.Sequential(*steps), head))
    return net.train(model.training)


def _chain(graph: fx.GraphModule) -> list[fx.Node]:
    """Return the steps between input and output, each of which reads nothing but the one before."""
    first, *nodes, last = graph.graph.nodes
    for before, node in zip([first, *nodes], [*nodes, last], strict=True):
        if node.all_input_nodes != [before] or len(before.users) != 1:
            raise _refused(graph, node, "does not read just the step before it")
    return nodes


def _is_flatten(node: fx.Node) -> bool:
    layer = layer_of(node)
    if isinstance(layer, nn.Flatten):
        return layer.start_dim == 1
    return calls(node, torch.flatten, "flatten") and node.args[1:2] == (1,)


def _refused(model: nn.Module, node: fx.Node, why: str) -> ModelError:
    return ModelError(
        f"{type(model).__name__} cannot be gated: its step {str(node.target)!r} {why}; gates need a chain of "
        "convolutions, each with a ReLU, as the zoo's plain_conv is."
    )


def opened_channels(net: GatedNet, images: Tensor) -> dict[int, Tensor]:
    """Return step → boolean (N, channels) of each gated convolution: which channels are open for an image."""
    opened: dict[int, Tensor] = {}
    x = images
    with torch.inference_mode():
        for index, step in enumerate(deepcopy(net).eval().steps):
            if isinstance(step, GatedConv):
                kept = step.saliency(x.abs().mean(dim=(2, 3))).topk(step.keep, dim=1).indices
                opened[index] = torch.zeros(len(x), step.conv.out_channels, dtype=torch.bool).scatter(
                    1, kept, True
                )
            x = step(x)
    return opened
