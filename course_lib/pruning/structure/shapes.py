"""The shape of everything between the steps, found without computing any of it.

The steps run on torch's meta device, whose tensors have a shape and a type but no numbers. The commonest
steps are not even called, for what they return is known: a tensor of the shape that came, or for convolutions

    size_out = ⌊(size + 2·padding − dilation·(kernel − 1) − 1) / stride⌋ + 1    for each axis of the kernel

Worked example: 112 pixels, kernel 7, padding 3 and stride 2 give ⌊(112 + 6 − 6 − 1) / 2⌋ + 1 = 56.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn

from course_lib.errors import ModelError
from course_lib.pruning.structure.rules import ELEMENTWISE
from course_lib.pruning.structure.step import name_of, tensors_in

CONVS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
SAME_SHAPE: tuple[type[nn.Module], ...] = (
    *(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.LayerNorm, nn.GroupNorm),
    *(nn.ReLU, nn.ReLU6, nn.GELU, nn.SiLU, nn.Sigmoid, nn.Tanh, nn.Hardswish, nn.Hardsigmoid, nn.Hardtanh),
    *(nn.LeakyReLU, nn.ELU, nn.PReLU, nn.Dropout, nn.Dropout2d, nn.Identity),
)


class ShapeRun(fx.Interpreter):
    """Runs a traced model on the meta device and keeps every step's result.

    Attributes
    ----------
    values
        Step → its result: meta tensors, or what else a step returns, such as a size.
    """

    def __init__(self, graph: fx.GraphModule) -> None:
        super().__init__(graph, garbage_collect_values=False)
        self.values: dict[fx.Node, Any] = {}

    def run_node(self, n: fx.Node) -> Any:
        if n.op in ("call_function", "call_method") and name_of(n) in ELEMENTWISE:
            self.values[n] = self._elementwise(n)
        else:
            self.values[n] = super().run_node(n)
        return self.values[n]

    def _elementwise(self, node: fx.Node) -> Any:
        tensors = list(tensors_in(self.fetch_args_kwargs_from_env(node)))
        if not tensors:  # arithmetic with sizes
            return super().run_node(node)
        shape = np.broadcast_shapes(*(tuple(tensor.shape) for tensor in tensors))
        return torch.empty(shape, dtype=tensors[-1].dtype, device="meta")

    def call_module(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        layer = self.fetch_attr(target)
        if isinstance(layer, SAME_SHAPE) and args:
            return args[0]
        if type(layer) in CONVS and args:
            return _convolved(layer, args[0])
        tensors = {name: on_meta(t) for name, t in [*layer.named_parameters(), *layer.named_buffers()]}
        return torch.func.functional_call(layer, tensors, args, kwargs)

    def get_attr(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        value = self.fetch_attr(target)
        return on_meta(value) if isinstance(value, Tensor) else value


def _convolved(layer: Any, x: Tensor) -> Tensor:
    """Return a tensor of the shape that a convolution returns."""
    dimensions = layer.weight.ndim - 2
    if x.shape[-dimensions - 1] != layer.in_channels or x.ndim - dimensions not in (1, 2):
        raise ValueError(f"a layer for {layer.in_channels} channels got a tensor of shape {tuple(x.shape)}")
    sizes = list(x.shape[-dimensions:])
    if layer.padding != "same":
        padding = (0,) * dimensions if layer.padding == "valid" else layer.padding
        parts = zip(sizes, layer.kernel_size, layer.stride, padding, layer.dilation, strict=True)
        sizes = [
            (size + 2 * pad - step * (kernel - 1) - 1) // stride + 1
            for size, kernel, stride, pad, step in parts
        ]
    return torch.empty(
        (*x.shape[: -dimensions - 1], layer.out_channels, *sizes), dtype=x.dtype, device="meta"
    )


def shapes_of(graph: fx.GraphModule, inputs: tuple[Tensor, ...]) -> Mapping[fx.Node, Any]:
    """Return step → what it returns for these inputs, with tensors on the meta device.

    Raises
    ------
    ModelError
        If a step fails; it is named.
    """
    run = ShapeRun(graph)
    try:
        with torch.no_grad():
            run.run(*map(on_meta, inputs))
    except Exception as error:
        steps = [node for node in graph.graph.nodes if node not in run.values]
        first_line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(
            f"{type(graph).__name__} could not run on the example inputs; it stopped at the step "
            f"{steps[0].name!r} ({first_line}): pass inputs for which model(*example_inputs) works."
        ) from error
    return run.values


def on_meta(tensor: Tensor) -> Tensor:
    """Return a tensor of the same shape and type without numbers."""
    return torch.empty(tensor.shape, dtype=tensor.dtype, device="meta")
