"""A traced model and the layers in it whose weights are quantized.

Batch norms can be folded and quantizers put between two steps of the graph without a change to the model's
source.
"""

from typing import TypeAlias

from torch import fx, nn
from torch.nn import functional as F

from course_lib.architectures.tracing import layer_of, trace_steps
from course_lib.errors import ModelError

WeightLayer: TypeAlias = nn.Conv2d | nn.Linear
"""The layers whose weights are quantized."""

FUNCTIONS_WITH_WEIGHTS = (F.linear, F.conv1d, F.conv2d, F.conv3d, F.conv_transpose2d, F.bilinear)
KEPT_IN_FLOAT = (nn.Embedding, nn.LayerNorm, nn.GroupNorm, nn.PReLU, nn.RMSNorm)
"""Layers whose weights may have two dimensions and stay as they are."""


def trace(model: nn.Module) -> fx.GraphModule:
    """Return a copy of the model, in evaluation mode, as a graph of its steps.

    Raises
    ------
    ModelError
        If ``forward`` cannot be traced, or calls a layer with weights that cannot be quantized (recurrent
        layers, ``nn.MultiheadAttention``, transposed and 1-D convolutions); its path is named.
    """
    name = type(model).__name__
    graph = trace_steps(nn.Sequential(model) if isinstance(model, WeightLayer) else model)
    for node in graph.graph.nodes:
        _check(node, graph, name)
    return graph


def weight_layers(graph: nn.Module) -> dict[str, WeightLayer]:
    """Return path → layer of each convolution and linear layer, in order of execution.

    A layer that is called twice appears once, at its first place. A model that is not a graph is traced.
    """
    if not isinstance(graph, fx.GraphModule):
        graph = trace(graph)
    layers: dict[str, WeightLayer] = {}
    for node in graph.graph.nodes:
        layer = layer_of(node)
        if isinstance(layer, WeightLayer):
            layers.setdefault(str(node.target), layer)
    return layers


def _check(node: fx.Node, graph: fx.GraphModule, name: str) -> None:
    if node.op == "call_function" and node.target in FUNCTIONS_WITH_WEIGHTS:
        function = getattr(node.target, "__name__", str(node.target))
        raise ModelError(
            f"{name} calls torch.nn.functional.{function} with a weight of its own, which quantization "
            "cannot find; make it a layer, such as nn.Linear or nn.Conv2d, and call that."
        )
    layer = layer_of(node)
    if layer is None or isinstance(layer, (*KEPT_IN_FLOAT, nn.Conv2d, nn.Linear)):
        return
    if any(parameter.ndim > 1 for parameter in layer.parameters()):
        raise ModelError(
            f"The layer {node.target} of {name} is of the type {type(layer).__name__}, which cannot be "
            "quantized here; build it from nn.Linear and nn.Conv2d layers."
        )
