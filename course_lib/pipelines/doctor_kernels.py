"""The kernels that ONNX Runtime executes for a model: in integers, in floating point, or only converting.

A kernel counts as an integer kernel when the first tensor that it reads holds integers. What quantizes,
dequantizes or changes the layout for the kernels around it computes nothing of the model and counts apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Literal

import onnx

from course_lib.runtimes.onnx_insight import OperatorTime, operator_times, optimized_graph
from course_lib.runtimes.protocol import Array

Kind = Literal["integer", "float", "conversion"]

WEIGHT_INPUT = {
    **{"Conv": 1, "FusedConv": 1, "ConvInteger": 1, "QLinearConv": 3},
    **{"Gemm": 1, "FusedGemm": 1, "QGemm": 3, "MatMul": 1, "FusedMatMul": 1, "QLinearMatMul": 3},
    **{"MatMulInteger": 1, "MatMulIntegerToFloat": 1, "DynamicQuantizeMatMul": 1},
}
"""Operator that multiplies → position of the tensor that it multiplies its first input with."""

CONVOLUTIONS = ("Conv", "FusedConv", "ConvInteger", "QLinearConv")
CONVERSIONS = ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "ReorderInput", "ReorderOutput")
FUSED_INTO_CONV = ("BatchNormalization", "Relu", "Clip")
INTEGER_TYPES = ("uint8", "int8", "uint16", "int16", "int4", "uint4")


@dataclass(frozen=True)
class Kernel:
    """One kernel as it ran.

    ``layer`` is the path of the layer whose weight it reads, where the file's names tell it, otherwise the
    operator's name; ``macs`` are those of the whole batch, 0 for what does not multiply.
    """

    layer: str
    operator: str
    kind: Kind
    macs: int
    p50_us: float


def list_kernels(
    source: Path | str | bytes, batch: Array, *, runs: int, threads: int = 1
) -> tuple[Kernel, ...]:
    """Return the kernels of an ONNX model in order of execution, timed; see `operator_times`."""
    graph = optimized_graph(source).graph
    nodes = {node.name: node for node in graph.node}
    written = onnx.load_model_from_string(source) if isinstance(source, bytes) else onnx.load(source)
    tensors = (*written.graph.initializer, *graph.initializer)
    shapes = {tensor.name: tuple(tensor.dims) for tensor in tensors}
    makers = {output: node for node in written.graph.node for output in node.output}
    timed = operator_times(source, batch, runs=runs, threads=threads)
    return tuple(_kernel(each, nodes.get(each.name), shapes, makers) for each in timed)


def share_of_macs(kernels: Sequence[Kernel], kind: Kind) -> float:
    """Return which part of all MACs kernels of this kind compute, 0 to 1; NaN where nothing multiplies."""
    total = sum(kernel.macs for kernel in kernels)
    part = sum(kernel.macs for kernel in kernels if kernel.kind == kind)
    return part / total if total else float("nan")


def share_of_time(kernels: Sequence[Kernel], chosen: Sequence[Kernel]) -> float:
    """Return which part of all kernels' time the chosen ones take, 0 to 1; 0 below the timer's resolution."""
    total = sum(kernel.p50_us for kernel in kernels)
    return sum(kernel.p50_us for kernel in chosen) / total if total else 0.0


def _kernel(
    timed: OperatorTime,
    node: onnx.NodeProto | None,
    shapes: dict[str, tuple[int, ...]],
    makers: dict[str, onnx.NodeProto],
) -> Kernel:
    position = WEIGHT_INPUT.get(timed.operator)
    weight = node.input[position] if node is not None and position is not None else ""
    # A blocked convolution reads a rearranged weight; its name is that of its output in the file.
    original = weight if ".weight" in weight else _weight_behind(timed.name.removesuffix("_nchwc"), makers)
    return Kernel(
        layer=original.split(".weight")[0] if position is not None and original else timed.name,
        operator=timed.operator,
        kind=_kind(timed),
        macs=0 if position is None else _macs(timed, shapes.get(original or weight)),
        p50_us=timed.p50_us,
    )


def _weight_behind(output: str, makers: dict[str, onnx.NodeProto]) -> str:
    """Return the name of the weight of the convolution that an output comes from, or an empty text."""
    node = makers.get(output)
    while node is not None and node.op_type in FUSED_INTO_CONV:
        node = makers.get(node.input[0])
    name = node.input[1] if node is not None and node.op_type == "Conv" else ""
    return name if ".weight" in name else ""


def _kind(timed: OperatorTime) -> Kind:
    integers = bool(timed.input_types) and timed.input_types[0] in INTEGER_TYPES
    if timed.operator in CONVERSIONS or (timed.operator == "Transpose" and integers):
        return "conversion"
    return "integer" if integers else "float"


def _macs(timed: OperatorTime, weight_shape: tuple[int, ...] | None) -> int:
    """Return outputs × products for each output."""
    if timed.operator in CONVOLUTIONS:
        if weight_shape is None:
            return 0
        # Blocked layouts fill the channels up, so their true number is the weight's.
        blocked = timed.name.endswith("_nchwc")
        outputs = prod(timed.output_shape)
        outputs = outputs // timed.output_shape[1] * weight_shape[0] if blocked else outputs
        return outputs * prod(weight_shape[1:])
    return prod(timed.output_shape) * timed.input_shapes[0][-1] if timed.input_shapes[0] else 0
