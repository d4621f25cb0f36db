"""Q/DQ propagation: quantize earlier, dequantize later, so that what only moves values moves bytes.

An integer kernel needs its DequantizeLinear right before it and its QuantizeLinear right behind it. A Reshape
or MaxPool in between hides them, and is itself computed on floats of four times the size. Rounding to a grid
works on each value alone and keeps the order of values, so it may change places with operators that only
move values, or take a maximum, without changing one bit:

    dequantize later    DequantizeLinear → Move   becomes   Move → DequantizeLinear
    quantize earlier    Move → QuantizeLinear     becomes   QuantizeLinear → Move
    nothing in between  DequantizeLinear → QuantizeLinear with the same grid   becomes   nothing

The last is exact because q = rint((q − Z) · S / S) + Z for every integer q of up to 16 bits.

Worked example: DequantizeLinear → Flatten → Gemm becomes Flatten → DequantizeLinear → Gemm.

Left alone: grids with a scale for each channel or block (an axis may move), and values that somebody else
reads as floats before they are quantized.
"""

import onnx
from onnxscript import ir

from course_lib.export.onnx_source import OnnxSource
from course_lib.export.passes.dead_code import remove_dead_code
from course_lib.export.passes.graph_model import is_constant, to_graph, to_proto

STANDARD = ("", "ai.onnx")
MOVES = {"Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Identity", "MaxPool"}
BYTES = {ir.DataType.INT8, ir.DataType.UINT8}


def propagate_qdq(source: OnnxSource) -> onnx.ModelProto:
    """Return a new model in which operators that only move values move integers where they can.

    Raises
    ------
    ModelError
        If it is not an ONNX model, or its graph is inconsistent.
    """
    model = to_graph(source, shapes=True)
    # Each step brings a quantizer nearer to the inputs, a dequantizer nearer to the outputs, or removes both.
    while any(_dequantize_later(node) or _quantize_earlier(node) or _cancel(node) for node in model.graph):
        pass
    return remove_dead_code(to_proto(model))


def _dequantize_later(move: ir.Node) -> bool:
    """Turn DequantizeLinear → Move around, in place; others may go on reading the old DequantizeLinear."""
    grid = _maker(move)
    if grid is None or not _is_grid(grid, "DequantizeLinear") or not _moves(move, grid.inputs[0]):
        return False
    _swap(grid, move)
    return True


def _quantize_earlier(grid: ir.Node) -> bool:
    """Turn Move → QuantizeLinear around, in place, where nobody else reads what is moved."""
    move = _maker(grid)
    if move is None or not _is_grid(grid, "QuantizeLinear") or not _moves(move, grid.outputs[0]):
        return False
    moved = move.outputs[0]
    if len(moved.uses()) > 1 or moved.is_graph_output():
        return False
    _swap(move, grid)
    return True


def _cancel(quantize: ir.Node) -> bool:
    """Let the readers of a QuantizeLinear read the integers that its values came from, in place."""
    dequantize, output = _maker(quantize), quantize.outputs[0]
    if dequantize is None or not (
        _is_grid(quantize, "QuantizeLinear") and _is_grid(dequantize, "DequantizeLinear")
    ):
        return False
    codes = dequantize.inputs[0]
    if codes is None or codes.dtype != output.dtype or not output.uses() or output.is_graph_output():
        return False
    if _grid_values(quantize) != _grid_values(dequantize):
        return False
    output.replace_all_uses_with(codes)
    return True


def _swap(first: ir.Node, second: ir.Node) -> None:
    """Replace start → first → second → end by start → second → first → end, in place."""
    start, end, graph = first.inputs[0], second.outputs[0], second.graph
    assert start is not None
    assert isinstance(graph, ir.Graph)
    quantizes = second.op_type == "QuantizeLinear"
    between = ir.Value(
        name=f"{end.name}_swapped",
        shape=start.shape if quantizes else end.shape,
        type=end.type if quantizes else start.type,
    )
    after = ir.Value(name=end.name, shape=end.shape, type=end.type)
    copies = [_copy(second, start, between), _copy(first, between, after)]
    graph.insert_after(second, copies)
    end.replace_all_uses_with(after, replace_graph_outputs=True)
    graph.remove(second, safe=True)
    if first.outputs[0].uses() or first.outputs[0].is_graph_output():
        copies[1].name = f"{first.name}_of_{end.name}"
    else:
        graph.remove(first, safe=True)


def _copy(node: ir.Node, reads: ir.Value, writes: ir.Value) -> ir.Node:
    inputs, attributes = [reads, *node.inputs[1:]], list(node.attributes.values())
    return ir.Node(node.domain, node.op_type, inputs, attributes, outputs=[writes], name=node.name)


def _maker(node: ir.Node) -> ir.Node | None:
    """Return the node that makes the first input of a node."""
    return node.inputs[0].producer() if node.inputs and node.inputs[0] is not None else None


def _moves(node: ir.Node, codes: ir.Value | None) -> bool:
    """Return whether a node computes the same on these integers as on the values that they stand for."""
    if node.op_type not in MOVES or node.domain not in STANDARD or len(node.outputs) > 1 or codes is None:
        return False
    return node.op_type != "MaxPool" or codes.dtype in BYTES  # all that ONNX defines it for


def _is_grid(node: ir.Node, operator: str) -> bool:
    """Return whether a node quantizes or dequantizes with one constant scale for the whole tensor."""
    if node.op_type != operator or node.domain not in STANDARD or not all(map(is_constant, node.inputs[1:])):
        return False
    scale, _ = _grid_values(node)
    return len(scale) == 1 and scale[0] > 0


def _grid_values(node: ir.Node) -> tuple[list[float], list[int]]:
    """Return the scales and zero points of a quantizer or dequantizer."""
    values = [value.const_value.numpy() for value in node.inputs[1:] if value and value.const_value]
    scale = values[0].astype(float).reshape(-1).tolist()
    return scale, values[1].astype(int).reshape(-1).tolist() if len(values) > 1 else [0] * len(scale)
