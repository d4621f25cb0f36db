"""A PyTorch model as a graph whose steps can be looked at and exchanged, made by torch.fx.

Tracing runs the model's own ``forward`` once with stand-ins for the tensors and writes down what it calls.
Each layer of torch.nn stays one step and keeps its path, such as ``blocks.0.conv1.0``; everything around the
layers becomes steps of its own. So steps can be exchanged without a change to the model's source.

Left out: models whose ``forward`` decides by the values of a tensor, which no fixed graph can hold.
"""

import operator
from collections.abc import Callable
from copy import deepcopy
from threading import RLock, get_ident
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional as F

from course_lib.errors import ModelError

ONE_TRACE = RLock()
"""Held by whatever traces: torch exchanges ``nn.Module.__call__`` for the whole process meanwhile."""


def symbolic_trace(model: nn.Module) -> fx.GraphModule:
    """Return what `torch.fx.symbolic_trace` does, while other threads may run models or trace as well.

    So an explorer can look at a network in the background of a notebook whose cells go on.
    """
    with ONE_TRACE:
        tracer = _OwnThreadTracer()
        graph = tracer.trace(model)
    return fx.GraphModule(tracer.root, graph, type(model).__name__)


class _OwnThreadTracer(fx.Tracer):
    """Writes down what the thread that made it calls; layers called by others are run as ever."""

    def __init__(self) -> None:
        super().__init__()
        self._thread = get_ident()

    def call_module(
        self, m: nn.Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        if get_ident() != self._thread:
            return forward(*args, **kwargs)
        return super().call_module(m, forward, args, kwargs)


def trace_steps(model: nn.Module, *, share_tensors: bool = False) -> fx.GraphModule:
    """Return a copy of the model, in evaluation mode, as a graph of its steps.

    Parameters
    ----------
    share_tensors
        Whether the copy's parameters and buffers use the model's memory, which is quick for large models;
        such a graph is for reading only. Gradients are separate in any case.

    Raises
    ------
    ModelError
        If ``forward`` cannot be traced.
    """
    copied = deepcopy(model, _aliases(model) if share_tensors else None).eval()
    try:
        graph = symbolic_trace(copied)
    except Exception as error:  # whatever the student's forward method raises
        raise ModelError(
            f"{type(model).__name__} cannot be traced ({_first_line(error)}); its forward method may not "
            "decide by the values in a tensor: use torch.where instead of if, and layers of torch.nn."
        ) from error
    graph.graph.eliminate_dead_code(is_impure_node=_has_effect)
    return graph


def layer_of(node: fx.Node) -> nn.Module | None:
    """Return the layer that a step calls, or None where it calls something else."""
    if node.op != "call_module":
        return None
    owner = node.graph.owning_module
    assert owner is not None  # a graph that was traced has its module
    return owner.get_submodule(str(node.target))


def calls(node: fx.Node, *kinds: type[nn.Module] | Callable[..., Any] | str) -> bool:
    """Return whether a step calls one of these: layer classes, functions, or names of tensor methods."""
    if node.op == "call_module":
        classes = tuple(kind for kind in kinds if isinstance(kind, type))
        return isinstance(layer_of(node), classes)
    if node.op == "call_function":
        return any(node.target is kind for kind in kinds)
    return node.op == "call_method" and node.target in kinds


def is_relu(node: fx.Node) -> bool:
    """Return whether a step is ReLU or ReLU6 in any of its spellings."""
    return calls(node, nn.ReLU, nn.ReLU6, F.relu, F.relu6, torch.relu, torch.relu_, "relu", "relu_")


def is_addition(node: fx.Node) -> bool:
    """Return whether a step adds two tensors."""
    spelled = calls(node, operator.add, operator.iadd, torch.add, "add", "add_")
    return spelled and len(node.all_input_nodes) == 2


def called_once(node: fx.Node) -> bool:
    """Return whether no other step calls the same layer."""
    callers = [step for step in node.graph.nodes if step.op == "call_module" and step.target == node.target]
    return len(callers) == 1


def _aliases(model: nn.Module) -> dict[int, Any]:
    """Return id → a tensor of its own on the same memory, which deepcopy takes instead of copying."""
    aliases: dict[int, Any] = {id(buffer): buffer.detach() for buffer in model.buffers()}
    for parameter in model.parameters():
        aliases[id(parameter)] = nn.Parameter(parameter.detach(), requires_grad=parameter.requires_grad)
    return aliases


def _has_effect(node: fx.Node) -> bool:
    """Return whether a step does something even if its result is not used, such as ``x.add_(1)``."""
    in_place = node.op == "call_method" and str(node.target).endswith("_")
    return in_place or bool(node.kwargs.get("inplace")) or node.is_impure()


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0].rstrip(".") or type(error).__name__
