"""Squeezing instead of reshaping behind a global pooling, where the axes that go have one value each.

Integer kernels of ONNX Runtime keep channels last, and a transposition brings them back to the front for
whatever follows. For the single pixel that a global pooling leaves nothing has to move, but the optimizer
does not see that in a Reshape to (batch, channels), and so a transposition and a reshaping are run:

    GlobalAveragePool → QuantizeLinear → DequantizeLinear → Reshape

Written with a transposition of its own, which cancels with the runtime's, one quick step is left:

    GlobalAveragePool → QuantizeLinear → DequantizeLinear → Transpose → Squeeze
"""

import numpy as np
import onnx
from onnx import helper, numpy_helper

AXES = "spatial_axes"


def squeeze_pooled(model: onnx.ModelProto) -> None:
    """Rewrite, in place, each reshaping to (batch, channels) of what a global average pooling made."""
    graph = model.graph
    makers = {output: node for node in graph.node for output in node.output}
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for step in list(graph.node):
        if not _keeps_channels(step, constants) or not _is_pooled(step.input[0], makers):
            continue
        last = f"{step.input[0]}_channels_last"
        transpose = helper.make_node("Transpose", [step.input[0]], [last], perm=[0, 2, 3, 1])
        squeeze = helper.make_node("Squeeze", [last, AXES], list(step.output), name=step.name)
        index = list(graph.node).index(step)
        graph.node.remove(step)
        graph.node.insert(index, squeeze)
        graph.node.insert(index, transpose)
        if AXES not in constants:
            constants[AXES] = numpy_helper.from_array(np.array([1, 2]), AXES)
            graph.initializer.append(constants[AXES])
    read = {name for node in graph.node for name in node.input}
    for tensor in [tensor for tensor in graph.initializer if tensor.name not in read]:
        graph.initializer.remove(tensor)


def _keeps_channels(step: onnx.NodeProto, constants: dict[str, onnx.TensorProto]) -> bool:
    """Return whether a step leaves the axes (batch, channels)."""
    if step.op_type == "Flatten":
        return all(attribute.i == 1 for attribute in step.attribute)  # the axis, which is 1 by default
    if step.op_type != "Reshape" or step.input[1] not in constants:
        return False
    shape = numpy_helper.to_array(constants[step.input[1]]).tolist()
    return len(shape) == 2 and shape[1] > 0


def _is_pooled(name: str, makers: dict[str, onnx.NodeProto]) -> bool:
    while name in makers and makers[name].op_type in ("QuantizeLinear", "DequantizeLinear"):
        name = makers[name].input[0]
    return name in makers and makers[name].op_type == "GlobalAveragePool"
