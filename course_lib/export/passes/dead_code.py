"""Dead-code elimination: what no output depends on is removed.

Nodes are visited from the last to the first. One whose outputs nobody reads goes; with it go its reads, so
the nodes before it may become dead in turn, and are visited later. One walk is enough. At the end go weights
that nobody reads, and functions that nobody calls.

Worked example: of three layers a → b → c only a is an output. c is read by nobody and goes, then b, then
their weights.

The inputs of the model stay, even unread ones: whoever calls it passes them.
"""

import onnx
from onnxscript import ir

from course_lib.export.onnx_source import OnnxSource
from course_lib.export.passes.graph_model import drop_unread_weights, to_graph, to_proto


def remove_dead_code(source: OnnxSource) -> onnx.ModelProto:
    """Return a new model without nodes, weights and functions that no output depends on.

    Raises
    ------
    ModelError
        If it is not an ONNX model, or its graph is inconsistent.
    """
    model = to_graph(source)
    _clean(model.graph)
    _drop_uncalled(model)
    return to_proto(model)


def _clean(graph: ir.Graph) -> None:
    """Remove dead nodes and weights in place, in the branches of an If and the body of a Loop too."""
    for node in reversed(list(graph)):
        if any(output.uses() or output.is_graph_output() for output in node.outputs):
            for body in _subgraphs(node):
                _clean(body)  # first, as what is dead in there must not keep the nodes before this one
        else:
            graph.remove(node, safe=True)
    drop_unread_weights(graph)


def _subgraphs(node: ir.Node) -> list[ir.Graph]:
    found: list[ir.Graph] = []
    for attribute in node.attributes.values():
        if attribute.type == ir.AttributeType.GRAPH:
            found.append(attribute.as_graph())
        elif attribute.type == ir.AttributeType.GRAPHS:
            found.extend(attribute.as_graphs())
    return found


def _drop_uncalled(model: ir.Model) -> None:
    """Remove, in place, the functions that neither the graph nor a function in use calls."""
    called, waiting = set(), {node.op_identifier() for node in model.graph.all_nodes()}
    while waiting:
        name = waiting.pop()
        if name in model.functions and name not in called:
            called.add(name)
            waiting |= {node.op_identifier() for node in model.functions[name].all_nodes()}
    for name in set(model.functions) - called:
        del model.functions[name]
