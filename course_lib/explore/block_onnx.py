"""The ONNX graph of a block, written step by step: a slider cannot wait for `torch.onnx.export`.

The exporter takes seconds even for one convolution. A traced block consists of few kinds of steps, and each
is one node of ONNX (SiLU is two), so the graph can be written down as it is read. Batch norms stay nodes of
their own, as in an export; the runtime folds them into the convolutions when it loads the file.

Worked example: Conv2d, BatchNorm2d, ReLU become Conv, BatchNormalization, Relu; ONNX Runtime runs them as
one kernel. `tests/explore/test_block_onnx.py` compares every block's graph with PyTorch's result, and the
kernels that are left of it with those of an export.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from course_lib.errors import ModelError
from course_lib.explore.block_trace import INPUT, BlockTrace, TraceStep

OUTPUT = "output"
OPSET = 20
IR_VERSION = 10


def block_onnx(trace: BlockTrace, weights: Mapping[str, Tensor]) -> bytes:
    """Return the ONNX content of a traced block.

    Parameters
    ----------
    trace
        From `trace_block`.
    weights
        The block's ``state_dict``, with numbers.

    Raises
    ------
    ModelError
        If a step has no form here, such as a kind of layer that no block of the catalogue has.

    Examples
    --------
    >>> shape = BlockShape(8, 16, resolution=10)  # doctest: +SKIP
    >>> module = BLOCKS["separable"].build(shape)  # doctest: +SKIP
    >>> block_onnx(trace_block("separable", shape), module.state_dict())  # doctest: +SKIP
    """
    writer = _Writer(weights)
    for step in trace.steps:
        if step.kind not in WRITERS:
            raise ModelError(
                f"A step of the kind {step.kind} has no form in block_onnx, which knows "
                f"{', '.join(sorted(WRITERS))}; use build_onnx from course_lib.export.onnx_export."
            )
        WRITERS[step.kind](writer, step)
    writer.node("Identity", [trace.output], [OUTPUT])
    graph = helper.make_graph(
        writer.nodes,
        "block",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, trace.input_shape)],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, trace.output_shape)],
        writer.initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


class _Writer:
    """Collects nodes and the numbers that they need."""

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        self.weights = weights
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def node(self, kind: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any) -> None:
        self.nodes.append(helper.make_node(kind, inputs, outputs, name=outputs[0], **attributes))

    def constant(self, name: str, values: NDArray[Any]) -> str:
        self.initializers.append(numpy_helper.from_array(values, name))
        return name

    def weight(self, name: str) -> str:
        return self.constant(name, self.weights[name].detach().numpy())

    def integers(self, step: TraceStep, what: str, values: Sequence[int]) -> str:
        return self.constant(f"{step.outputs[0]}.{what}", np.array(values, np.int64))


def _conv(writer: _Writer, step: TraceStep) -> None:
    layer = _layer(step, nn.Conv2d)
    inputs = [step.inputs[0], writer.weight(f"{step.path}.weight")]
    if layer.bias is not None:
        inputs.append(writer.weight(f"{step.path}.bias"))
    writer.node(
        "Conv",
        inputs,
        step.outputs,
        kernel_shape=list(layer.kernel_size),
        strides=list(layer.stride),
        pads=[*layer.padding, *layer.padding],
        dilations=list(layer.dilation),
        group=layer.groups,
    )


def _norm(writer: _Writer, step: TraceStep) -> None:
    layer = _layer(step, nn.BatchNorm2d)
    names = ("weight", "bias", "running_mean", "running_var")
    inputs = [step.inputs[0], *(writer.weight(f"{step.path}.{name}") for name in names)]
    writer.node("BatchNormalization", inputs, step.outputs, epsilon=layer.eps)


def _relu6(writer: _Writer, step: TraceStep) -> None:
    limits = [
        writer.constant(f"{step.outputs[0]}.{name}", np.array(value, np.float32))
        for name, value in (("low", 0), ("high", 6))
    ]
    writer.node("Clip", [step.inputs[0], *limits], step.outputs)


def _silu(writer: _Writer, step: TraceStep) -> None:
    gate = f"{step.outputs[0]}.gate"
    writer.node("Sigmoid", step.inputs, [gate])
    writer.node("Mul", [step.inputs[0], gate], step.outputs)


def _mean(writer: _Writer, step: TraceStep) -> None:
    if _layer(step, nn.AdaptiveAvgPool2d).output_size not in (1, (1, 1)):
        raise ModelError("block_onnx knows AdaptiveAvgPool2d with one output pixel only; pool to 1.")
    # The exporter writes a mean over the pixels, so the runtime runs that one.
    pixels = writer.integers(step, "pixels", (-2, -1))
    writer.node("ReduceMean", [*step.inputs, pixels], step.outputs, keepdims=1)


def _average(writer: _Writer, step: TraceStep) -> None:
    layer = _layer(step, nn.AvgPool2d)
    kernel, stride, padding = (_pair(size) for size in (layer.kernel_size, layer.stride, layer.padding))
    writer.node(
        "AveragePool",
        step.inputs,
        step.outputs,
        kernel_shape=kernel,
        strides=stride,
        pads=[*padding, *padding],
        count_include_pad=int(layer.count_include_pad),
    )


def _concatenate(writer: _Writer, step: TraceStep) -> None:
    writer.node("Concat", step.inputs, step.outputs, axis=step.arguments[1])


def _split(writer: _Writer, step: TraceStep) -> None:
    _, parts, axis = step.arguments
    writer.node("Split", step.inputs, step.outputs, axis=axis, num_outputs=parts)


def _slice(writer: _Writer, step: TraceStep) -> None:
    # A whole axis is slice(None), so only what is cut needs a number.
    cuts = [(axis, cut) for axis, cut in enumerate(step.arguments[1]) if cut != slice(None)]
    numbers = {
        "from": [cut.start or 0 for _, cut in cuts],
        "to": [cut.stop for _, cut in cuts],
        "axes": [axis for axis, _ in cuts],
    }
    inputs = [writer.integers(step, what, values) for what, values in numbers.items()]
    writer.node("Slice", [*step.inputs, *inputs], step.outputs)


def _reshape(writer: _Writer, step: TraceStep) -> None:
    writer.node("Reshape", [*step.inputs, writer.integers(step, "shape", step.shapes[0])], step.outputs)


def _transpose(writer: _Writer, step: TraceStep) -> None:
    order = list(range(len(step.shapes[0])))
    first, second = step.arguments[1:]
    order[first], order[second] = order[second], order[first]
    writer.node("Transpose", step.inputs, step.outputs, perm=order)


def _simple(kind: str, **attributes: Any) -> Callable[[_Writer, TraceStep], None]:
    """Return a writer of a step that is one node without weights."""
    return lambda writer, step: writer.node(kind, step.inputs, step.outputs, **attributes)


def _layer(step: TraceStep, kind: type[Any]) -> Any:
    assert isinstance(step.layer, kind)  # its class is what chose the writer
    return step.layer


def _pair(size: int | tuple[int, int]) -> list[int]:
    return [size, size] if isinstance(size, int) else list(size)


WRITERS: dict[str, Callable[[_Writer, TraceStep], None]] = {
    "Conv2d": _conv,
    "BatchNorm2d": _norm,
    "ReLU": _simple("Relu"),
    "ReLU6": _relu6,
    "Hardswish": _simple("HardSwish"),
    "Hardsigmoid": _simple("HardSigmoid", alpha=1 / 6, beta=0.5),
    "Sigmoid": _simple("Sigmoid"),
    "SiLU": _silu,
    "AdaptiveAvgPool2d": _mean,
    "AvgPool2d": _average,
    "add": _simple("Add"),
    "mul": _simple("Mul"),
    "cat": _concatenate,
    "chunk": _split,
    "getitem": _slice,
    "view": _reshape,
    "reshape": _reshape,
    "transpose": _transpose,
}
"""Kind of step → what writes it."""
