"""Batch norms for training only: put behind convolutions, and folded into their grids at the end.

While weights jump from one grid point to the next, the mean and the spread of every channel behind them jump
too, and the layers after it would have to follow. A batch norm holds both still. So each convolution, its
own norm folded already, gets a new one that changes nothing at first: with the channel's mean μ and variance
σ² as the float model has them, γ = √(σ² + ε) and β = μ. Once weights are rounded, the statistics are taken
again from the rounded model (Nagel et al. 2022): every channel is back at the float model's μ and σ².

At the end y = f · (W·x − μ) + β with f = γ / √(σ² + ε) goes into the layer, and no weight needs rounding
again: W = S · (q − Z) lies on a grid with a scale for each channel, so f · W lies on the grid with the scale
|f| · S; where f is negative, with the codes and the zero point mirrored.

Worked example: S = 0.5, q = [−3, 2], Z = 0, so W = [−1.5, 1]; γ = 3, σ² + ε = 4, μ = 2, β = 1: f = 1.5, the
new scale is 0.75, the weight [−2.25, 1.5] with the same codes, and the bias 1 − 1.5 · 2 = −2.
"""

from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, fx, nn

from course_lib.architectures.tracing import called_once, layer_of
from course_lib.quantization.affine import QParams, dequantize, quantize
from course_lib.quantization.granularity import PerChannel
from course_lib.quantization.models.config import QuantizationConfig

SMALLEST_SCALE = torch.finfo(torch.float32).smallest_normal
BATCH, MOMENTUM = 128, 0.1


class TrainingNorm(nn.BatchNorm2d):
    """A batch norm that `fold_norms` will fold."""


@torch.no_grad()
def insert_norms(graph: fx.GraphModule, config: QuantizationConfig, inputs: Tensor) -> None:
    """Put a norm that changes nothing behind each quantized convolution, in place; it takes over the bias.

    Convolutions that are called several times are left out, and so are all where channels share a scale, for
    nothing could be folded into that.

    Parameters
    ----------
    graph
        In evaluation mode, weights in floating point.
    inputs
        Real inputs, (N, …), to measure means and variances with.
    """
    norms: dict[fx.Node, TrainingNorm] = {}
    for node in graph.graph.nodes:
        layer = layer_of(node)
        if isinstance(layer, nn.Conv2d) and called_once(node) and node.target not in config.kept_in_float:
            norms[node] = TrainingNorm(layer.out_channels)
    if config.weights.granularity != PerChannel(0) or not norms:
        return
    hooks = [_layer(node).register_forward_hook(partial(_watch, norm)) for node, norm in norms.items()]
    _measure(graph, list(norms.values()), inputs)
    for hook in hooks:
        hook.remove()
    for node, norm in norms.items():
        assert norm.running_mean is not None
        assert norm.running_var is not None
        norm.weight.copy_(torch.sqrt(norm.running_var + norm.eps))
        norm.bias.copy_(norm.running_mean)
        layer = _layer(node)
        if layer.bias is not None:
            norm.running_mean.sub_(layer.bias)
            layer.bias = None
        path = f"{node.name}_norm"
        graph.add_submodule(path, norm)
        with graph.graph.inserting_after(node):
            called = graph.graph.call_module(path, (node,))
        node.replace_all_uses_with(called)
        called.update_arg(0, node)  # its own input was replaced as well
    graph.recompile()


def measure_norms(graph: fx.GraphModule, inputs: Tensor) -> None:
    """Set the statistics of the graph's norms, in place, to what these inputs give: the mean over batches."""
    _measure(graph, [module for module in graph.modules() if isinstance(module, TrainingNorm)], inputs)


@torch.no_grad()
def fold_norms(graph: fx.GraphModule, qparams: dict[str, QParams[Tensor]]) -> None:
    """Write the norms into the layers before them and into the grids of their weights, both in place.

    Parameters
    ----------
    graph
        With weights on their grids.
    qparams
        Path of a layer → the grid of its weight; the grids of folded layers are replaced.
    """
    for node in list(graph.graph.nodes):
        norm = layer_of(node)
        if not isinstance(norm, TrainingNorm):
            continue
        before = node.all_input_nodes[0]
        layer, path = _layer(before), str(before.target)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        factor = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        layer.bias = nn.Parameter(norm.bias - factor * norm.running_mean)
        codes = quantize(layer.weight, qparams[path])
        codes, qparams[path] = _scaled(codes, qparams[path], factor.reshape(-1, 1, 1, 1))
        layer.weight = nn.Parameter(dequantize(codes, qparams[path]))
        node.replace_all_uses_with(before)
        graph.graph.erase_node(node)
    graph.delete_all_unused_submodules()
    graph.recompile()


def _scaled(codes: Tensor, grid: QParams[Tensor], factor: Tensor) -> tuple[Tensor, QParams[Tensor]]:
    """Return the codes and the grid that stand for ``factor`` times the values; one factor a channel."""
    ends = grid.quant_min + grid.quant_max
    mirrored = factor < 0
    zero_point = torch.where(mirrored, ends - grid.zero_point, grid.zero_point)
    scale = (grid.scale * factor.abs()).clamp_min(SMALLEST_SCALE)
    return torch.where(mirrored, ends - codes, codes), replace(grid, scale=scale, zero_point=zero_point)


@torch.no_grad()
def _measure(graph: fx.GraphModule, norms: list[TrainingNorm], inputs: Tensor) -> None:
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean
        norm.train()
    for batch in torch.split(inputs, BATCH):
        graph(batch)
    for norm in norms:
        norm.momentum = MOMENTUM
        norm.eval()


def _watch(norm: TrainingNorm, layer: nn.Module, inputs: Any, output: Tensor) -> None:
    norm(output)


def _layer(node: fx.Node) -> nn.Conv2d:
    layer = layer_of(node)
    assert isinstance(layer, nn.Conv2d)
    return layer
