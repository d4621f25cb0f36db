"""Constant folding: what depends only on stored values is computed once, when the file is made.

A node whose inputs are all constants has a constant result, so it can be run now, and its output stored in
its place. Going through the nodes in order of execution, a folded result is there for the next one; whole
chains disappear. A Shape of a tensor with fixed axes is a constant as well, although the tensor is none: the
arithmetic on sizes that exporters write for `x.reshape(x.shape[0], -1)` goes this way.

Worked example: Transpose(weight) → MatMul. Transposing runs once here instead of at each inference, and the
MatMul reads the transposed weight.

Left alone: random operators; DequantizeLinear, whose integers would become floats of four times the size;
nodes with subgraphs; what only another package's operators could compute; results that are too large, as a
Expand of one value can fill the memory.
"""

import math
from typing import Any

import numpy as np
import onnx
from onnx import helper
from onnx.reference import ReferenceEvaluator
from onnxscript import ir

from course_lib.errors import SettingError
from course_lib.export.onnx_source import OnnxSource
from course_lib.export.passes.graph_model import drop_unread_weights, is_constant, to_graph, to_proto

RANDOM = {
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
    "Multinomial",
    "Bernoulli",
}
KEPT = {*RANDOM, "DequantizeLinear", "Dropout"}
STANDARD = ("", "ai.onnx")


def fold_constants(source: OnnxSource, *, largest_bytes: int = 1_000_000) -> onnx.ModelProto:
    """Return a new model in which every node with constant inputs is replaced by its result.

    Parameters
    ----------
    largest_bytes
        Results above this size are only stored where they are no larger than what they are made from.

    Raises
    ------
    ModelError
        If it is not an ONNX model, or its graph is inconsistent.
    SettingError
        If ``largest_bytes`` is negative.
    """
    if largest_bytes < 0:
        raise SettingError(f"largest_bytes is {largest_bytes}; pass 0 or more, such as 1_000_000.")
    model = to_graph(source, shapes=True)
    # A folded shape tells shape inference more, which may make the next round's results known in size.
    while _fold_once(model, largest_bytes):
        model = to_graph(to_proto(model), shapes=True)
    return to_proto(model)


def _fold_once(model: ir.Model, largest_bytes: int) -> int:
    """Replace, in place, each foldable node; return how many there were."""
    graph, folded = model.graph, 0
    for node in list(graph):
        if any(output.is_graph_output() or not output.name for output in node.outputs):
            continue  # an output of the model has to come out of a node
        results = _known_shape(node) or _run(node, model, largest_bytes)
        if results is None:
            continue
        for output, result in zip(node.outputs, results, strict=True):
            tensor, shape = ir.tensor(np.asarray(result), name=output.name), ir.Shape(np.shape(result))
            kind = ir.TensorType(tensor.dtype)
            stored = ir.Value(name=output.name, shape=shape, type=kind, const_value=tensor)
            output.replace_all_uses_with(stored)
            graph.register_initializer(stored)
        graph.remove(node, safe=True)
        folded += 1
    drop_unread_weights(graph)
    return folded


def _known_shape(node: ir.Node) -> list[Any] | None:
    """Return what a Shape gives where each length that it returns is fixed."""
    shape = node.inputs[0].shape if node.op_type == "Shape" and node.inputs[0] is not None else None
    if shape is None or node.domain not in STANDARD:
        return None
    start, end = (node.attributes.get(name) for name in ("start", "end"))
    axes = list(shape)[start.as_int() if start else None : end.as_int() if end else None]
    return [np.array(axes, np.int64)] if all(isinstance(axis, int) for axis in axes) else None


def _run(node: ir.Node, model: ir.Model, largest_bytes: int) -> list[Any] | None:
    """Run one node with ONNX's own evaluator, or return None where it must stay."""
    if node.domain not in STANDARD or node.op_type in KEPT:
        return None
    if any(
        attribute.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS)
        for attribute in node.attributes.values()
    ):
        return None
    given = [value for value in node.inputs if value is not None]
    if not all(is_constant(value) for value in given):
        return None
    sizes = [_size_bytes(output) for output in node.outputs]
    allowed = max(largest_bytes, sum(_size_bytes(value) for value in given))
    if sum(sizes) > allowed:
        return None
    names = [output.name for output in node.outputs]
    graph = helper.make_graph(
        [ir.to_proto(node)], "one_node", [], [onnx.ValueInfoProto(name=name) for name in names]
    )
    opset = helper.make_opsetid("", model.opset_imports.get("", 1))
    alone = helper.make_model(graph, opset_imports=[opset])
    try:
        feeds = {
            str(value.name): value.const_value.numpy() for value in given if value.const_value is not None
        }
        results: Any = ReferenceEvaluator(alone).run(None, feeds)
    except Exception:  # an operator or a type that the evaluator does not have: the runtime will do it
        return None
    return list(results) if all(isinstance(each, np.ndarray | np.generic) for each in results) else None


def _size_bytes(value: ir.Value) -> float:
    """Return the size of a value, infinite where its shape is not fixed."""
    if value.shape is None or value.dtype is None or not value.shape.is_static():
        return math.inf
    return math.ceil(math.prod(value.shape.numpy()) * value.dtype.itemsize)
