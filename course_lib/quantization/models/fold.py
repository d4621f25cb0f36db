"""Batch norms folded into the layers before them, which is how every runtime executes them.

In evaluation mode a batch norm is a fixed line for each channel, y = γ · (x − μ) / √(σ² + ε) + β. Behind a
convolution or linear layer x = W·a + b it can be written into the layer (Jacob et al. 2018, eq. 14):

    W' = W · γ / √(σ² + ε)        b' = β + (b − μ) · γ / √(σ² + ε)

Quantizing W before folding would quantize a weight that never runs.

Worked example: W = 2, b = 1, γ = 3, β = 4, μ = 5, σ² + ε = 4: the factor is 3 / 2, so W' = 3 and
b' = 4 + (1 − 5) · 1.5 = −2. For a = 1 the layer gives 3, the norm 3 · (3 − 5) / 2 + 4 = 1, and 3 · 1 − 2 = 1
as well.
"""

import torch
from torch import fx, nn

from course_lib.architectures.tracing import called_once, layer_of
from course_lib.quantization.models.graph import WeightLayer


def fold_batch_norms(graph: fx.GraphModule) -> fx.GraphModule:
    """Fold, in place, each batch norm whose input is a convolution or linear layer that nothing else reads.

    Other batch norms stay as they are.

    Returns
    -------
    fx.GraphModule
        The same graph, for chaining.
    """
    for node in list(graph.graph.nodes):
        norm, before = layer_of(node), node.args[0] if node.args else None
        if not isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d) or not isinstance(before, fx.Node):
            continue
        layer = layer_of(before)
        if not isinstance(layer, WeightLayer) or len(before.users) > 1 or not called_once(before):
            continue
        if norm.running_mean is None or isinstance(layer, nn.Linear) != isinstance(norm, nn.BatchNorm1d):
            continue
        _fold(layer, norm)
        node.replace_all_uses_with(before)
        graph.graph.erase_node(node)
    graph.delete_all_unused_submodules()
    graph.recompile()
    return graph


@torch.no_grad()
def _fold(layer: WeightLayer, norm: nn.BatchNorm1d | nn.BatchNorm2d) -> None:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    gamma = torch.ones_like(norm.running_var) if norm.weight is None else norm.weight
    beta = torch.zeros_like(norm.running_mean) if norm.bias is None else norm.bias
    bias = torch.zeros_like(norm.running_mean) if layer.bias is None else layer.bias
    factor = gamma / torch.sqrt(norm.running_var + norm.eps)
    layer.weight = nn.Parameter(layer.weight * factor.reshape(-1, *[1] * (layer.weight.ndim - 1)))
    layer.bias = nn.Parameter(beta + (bias - norm.running_mean) * factor)
