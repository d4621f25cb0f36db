"""What a block does, step by step, with the shape of every tensor between the steps.

The block is built on PyTorch's "meta" device, where tensors have shapes and no numbers, traced, and run once
there. That takes some ten milliseconds for any size of block, and it serves two ends: the picture of the
block's layers, and an ONNX graph written without an exporter (`block_onnx`).

Worked example: a separable block from 8 to 16 channels on 10×10 pixels has the steps Conv2d (1, 8, 10, 10),
BatchNorm2d, ReLU, Conv2d (1, 16, 10, 10), BatchNorm2d, ReLU.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from course_lib.architectures.blocks.catalogue import BLOCKS, BlockShape
from course_lib.architectures.tracing import trace_steps
from course_lib.registry import look_up

INPUT = "input"


@dataclass(frozen=True)
class TraceStep:
    """One step that makes a tensor, or several.

    Parameters
    ----------
    kind
        The layer's class, such as "Conv2d", or the function's name, such as "cat".
    path
        Where the layer's parameters are in the module; empty for functions.
    layer
        The layer, without numbers; None for functions.
    inputs, outputs
        Names of the tensors that it reads and makes.
    shapes
        Of each of its outputs.
    arguments
        What it was called with; tensors by their names, everything computed from shapes as numbers.
    """

    kind: str
    path: str
    layer: nn.Module | None
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    arguments: tuple[Any, ...]


@dataclass(frozen=True)
class BlockTrace:
    """The steps of a block for one picture.

    Parameters
    ----------
    input_shape
        (1, C, H, W) of the tensor "input".
    steps
        In the order in which they run.
    output
        Name of the tensor that the block returns.
    """

    input_shape: tuple[int, ...]
    steps: tuple[TraceStep, ...]
    output: str

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name of each tensor → its shape."""
        made = {
            name: shape for step in self.steps for name, shape in zip(step.outputs, step.shapes, strict=True)
        }
        return {INPUT: self.input_shape, **made}

    @property
    def output_shape(self) -> tuple[int, ...]:
        """(1, C, H, W) of what the block returns."""
        return self.shapes[self.output]


def trace_block(name: str, shape: BlockShape) -> BlockTrace:
    """Return the steps of a block of the catalogue.

    Raises
    ------
    UnknownNameError
        If there is no such block.
    SettingError
        If the block cannot have this shape.

    Examples
    --------
    >>> trace_block("separable", BlockShape(8, 16, resolution=10)).output_shape
    (1, 16, 10, 10)
    """
    kind = look_up(BLOCKS, "block", name)
    with torch.device("meta"):
        module = kind.build(shape)
        x = torch.zeros(1, shape.in_channels, shape.resolution, shape.resolution)
    recorder = _Recorder(trace_steps(module, share_tensors=True))
    with torch.no_grad():
        output = recorder.run(x)
    return BlockTrace(tuple(x.shape), tuple(recorder.steps), recorder.names[id(output)])


class _Recorder(fx.Interpreter):
    """Runs a traced graph and writes down the steps that make tensors."""

    def __init__(self, graph: fx.GraphModule) -> None:
        super().__init__(graph)
        self.steps: list[TraceStep] = []
        self.names: dict[int, str] = {}
        self._kept: list[Tensor] = []  # while a tensor lives, no other one has its id

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        made = [result] if isinstance(result, Tensor) else list(_tensors(result))
        # An identity, or one of the tensors that a split returned, is known already.
        new = [tensor for tensor in made if id(tensor) not in self.names]
        if n.op == "placeholder":
            self._name(result, INPUT)
        elif new and n.op in ("call_module", "call_function", "call_method"):
            arguments, keywords = self.fetch_args_kwargs_from_env(n)
            given = (*arguments, *keywords.values())
            inputs = tuple(self.names[id(tensor)] for tensor in _tensors(given))
            outputs = tuple(n.name if len(new) == 1 else f"{n.name}_{index}" for index in range(len(new)))
            for tensor, name in zip(new, outputs, strict=True):
                self._name(tensor, name)
            layer = self.module.get_submodule(str(n.target)) if n.op == "call_module" else None
            called = n.target if n.op == "call_method" else getattr(n.target, "__name__", "")
            self.steps.append(
                TraceStep(
                    kind=type(layer).__name__ if layer else str(called),
                    path=str(n.target) if layer else "",
                    layer=layer,
                    inputs=inputs,
                    outputs=outputs,
                    shapes=tuple(tuple(tensor.shape) for tensor in new),
                    arguments=fx.node.map_aggregate(given, self._as_name),
                )
            )
        return result

    def _name(self, tensor: Tensor, name: str) -> None:
        self.names[id(tensor)] = name
        self._kept.append(tensor)

    def _as_name(self, value: Any) -> Any:
        return self.names[id(value)] if isinstance(value, Tensor) else value


def _tensors(value: Any) -> Iterator[Tensor]:
    """Yield the tensors in nested tuples and lists, in order."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, tuple | list):
        for part in value:
            yield from _tensors(part)
