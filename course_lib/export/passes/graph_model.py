"""Into the form in which a pass works, and back.

A protobuf model names tensors by strings; whoever wants the readers of a tensor must search for them. The
onnx-ir package links them instead: ``value.producer()``, ``value.uses()``, ``node.inputs``. That is all a
pass needs.
"""

import onnx
from onnxscript import ir

from course_lib.errors import ModelError
from course_lib.export.onnx_graph import first_line
from course_lib.export.onnx_source import OnnxSource, read_onnx


def to_graph(source: OnnxSource, *, shapes: bool = False) -> ir.Model:
    """Return a model as linked nodes and values; the one given is not touched by changes to it.

    Parameters
    ----------
    shapes
        Whether ONNX's shape inference is run first.

    Raises
    ------
    ModelError
        If it is not an ONNX model, or its graph is inconsistent.
    """
    model = read_onnx(source)
    try:
        if shapes:
            model = onnx.shape_inference.infer_shapes(model, data_prop=True)
        linked = ir.from_proto(model)
    except Exception as error:  # whatever the reader trips over in a file from elsewhere
        raise _unsound(first_line(error)) from error
    for value in linked.graph.outputs:
        if value.producer() is None and not value.is_graph_input() and not value.is_initializer():
            raise _unsound(f"no node makes the output {value.name!r}")
    return linked


def _unsound(why: str) -> ModelError:
    return ModelError(
        f"The graph of this ONNX model is not sound ({why}); "
        "look for the fault with onnx.checker.check_model."
    )


def to_proto(model: ir.Model) -> onnx.ModelProto:
    """Return a linked model in protobuf form."""
    return ir.to_proto(model)


def is_constant(value: ir.Value | None) -> bool:
    """Return whether a value is stored in the file and no caller can replace it."""
    return value is not None and value.const_value is not None and not value.is_graph_input()


def drop_unread_weights(graph: ir.Graph) -> None:
    """Remove, in place, the initializers that no node reads and that are no input or output."""
    for name, value in list(graph.initializers.items()):
        if not (value.uses() or value.is_graph_output() or value.is_graph_input()):
            del graph.initializers[name]
