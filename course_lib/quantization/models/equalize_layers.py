"""Cross-layer equalization of a whole model: every pair of neighbouring layers, until nothing moves any
more."""

from collections.abc import Iterator

import torch
from torch import fx, nn
from torch.nn import functional as F

from course_lib.architectures.tracing import called_once, calls, layer_of
from course_lib.quantization.models.equalize import equalize_pair
from course_lib.quantization.models.graph import WeightLayer

SWEEPS = 10
BETWEEN = (nn.ReLU, F.relu, torch.relu, "relu", nn.Identity, nn.Dropout)
"""Steps that a positive factor passes through unchanged: ReLU(s · x) = s · ReLU(x). ReLU6 is not one of
them."""


def equalize_layers(graph: fx.GraphModule) -> fx.GraphModule:
    """Even out, in place, the ranges of all pairs of layers with at most a ReLU between them.

    The model computes the same function afterwards. Batch norms have to be folded before.

    Returns
    -------
    fx.GraphModule
        The same graph, for chaining.
    """
    pairs = list(neighbours(graph))
    for _ in range(SWEEPS):
        for first, second in pairs:
            makes, reads = graph.get_submodule(first), graph.get_submodule(second)
            assert isinstance(makes, WeightLayer)
            assert isinstance(reads, WeightLayer)
            for path, layer in zip((first, second), equalize_pair(makes, reads), strict=True):
                graph.set_submodule(path, layer)
    return graph


def neighbours(graph: fx.GraphModule) -> Iterator[tuple[str, str]]:
    """Yield the paths of each two layers of which the second is all that reads the first.

    A second layer that is grouped but not depthwise is left out.
    """
    for node in graph.graph.nodes:
        after = node
        while len(after.users) == 1 and (after is node or calls(after, *BETWEEN)):
            after = next(iter(after.users))
        first, second = layer_of(node), layer_of(after)
        if after is node or not (isinstance(first, WeightLayer) and isinstance(second, WeightLayer)):
            continue
        groups = getattr(second, "groups", 1)
        if type(first) is not type(second) or groups not in (1, first.weight.shape[0]):
            continue
        if called_once(node) and called_once(after):
            yield str(node.target), str(after.target)
