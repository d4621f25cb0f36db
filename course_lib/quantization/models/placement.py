"""Where activations are quantized: on the way into every integer kernel, and out of it.

A runtime computes in integers where all inputs of an operator, and its output, lie on grids. So a tensor
gets a quantizer when

- a convolution or linear layer reads it,
- a convolution makes it, unless it is the result of the model,
- an addition of two tensors on grids reads or makes it (the shortcut of a residual block), or
- an average pooling of a tensor on a grid makes it.

A ReLU belongs to the step before it: the quantizer stands behind the ReLU, where half of the range is gone.
Max pooling, reshaping and transposing move values without changing them, so their result is on the grid
already. Everything else (layer norms, softmax, GELU, the residual sums between them) stays in floating point.
"""

from collections.abc import Callable, Collection, Iterable

import torch
from torch import fx, nn
from torch.nn import functional as F

from course_lib.architectures.tracing import calls, is_addition, is_relu, layer_of
from course_lib.quantization.models.graph import WeightLayer

MOVES = (
    *(nn.MaxPool2d, F.max_pool2d, torch.max_pool2d, nn.Flatten, torch.flatten, "flatten"),
    *(nn.Identity, nn.Dropout, nn.Dropout2d, F.dropout, "contiguous", torch.reshape, "reshape", "view"),
    *(torch.transpose, "transpose", torch.permute, "permute", nn.Unflatten, "unflatten"),
)
POOLS = (nn.AdaptiveAvgPool2d, F.adaptive_avg_pool2d, nn.AvgPool2d, F.avg_pool2d)


def quantized_tensors(graph: fx.GraphModule, kept_in_float: Collection[str] = ()) -> list[fx.Node]:
    """Return the steps whose results get a quantizer, in order of execution.

    Parameters
    ----------
    kept_in_float
        Paths of layers that are not quantized, and so need no quantizers around them.
    """
    chosen: set[fx.Node] = set()
    for node in graph.graph.nodes:
        inputs = [_origin(each) for each in node.all_input_nodes]
        if isinstance(layer_of(node), WeightLayer):
            if node.target in kept_in_float:
                continue
            chosen.add(inputs[0])
            if isinstance(layer_of(node), nn.Conv2d):
                chosen.add(_with_relu(node))
        elif is_addition(node) and all(each in chosen for each in inputs):
            chosen.update((*inputs, _with_relu(node)))
        elif calls(node, *POOLS) and inputs[0] in chosen:
            chosen.add(_with_relu(node))
    results = {_origin(node) for node in graph.graph.output_node().all_input_nodes}
    return [node for node in graph.graph.nodes if node in chosen and node not in results]


def layer_input_tensors(graph: fx.GraphModule, kept_in_float: Collection[str] = ()) -> list[fx.Node]:
    """Return the steps whose results convolutions and linear layers read, in order of execution."""
    readers = [node for node in graph.graph.nodes if isinstance(layer_of(node), WeightLayer)]
    read = {_origin(node.all_input_nodes[0]) for node in readers if node.target not in kept_in_float}
    return [node for node in graph.graph.nodes if node in read]


def insert_after(
    graph: fx.GraphModule, nodes: Iterable[fx.Node], make: Callable[[fx.Node], nn.Module]
) -> dict[str, nn.Module]:
    """Put a new module behind each of these steps, in place; all later steps read its result instead.

    Returns
    -------
    dict
        Path → new module; the path is the step's name with ``_quantizer`` behind it.
    """
    inserted = {}
    for node in nodes:
        path = f"{node.name}_quantizer"
        inserted[path] = make(node)
        graph.add_submodule(path, inserted[path])
        with graph.graph.inserting_after(node):
            quantizer = graph.graph.call_module(path, (node,))
        node.replace_all_uses_with(quantizer)
        quantizer.update_arg(0, node)  # its own input was replaced as well
    graph.recompile()
    return inserted


def _origin(node: fx.Node) -> fx.Node:
    """Go back over steps that only move values, to the one that made them; a ReLU counts as a maker."""
    while calls(node, *MOVES):
        node = node.all_input_nodes[0]
    return node


def _with_relu(node: fx.Node) -> fx.Node:
    """Return the ReLU behind a step if that is all that reads it, otherwise the step itself."""
    readers = list(node.users)
    return readers[0] if len(readers) == 1 and is_relu(readers[0]) else node
