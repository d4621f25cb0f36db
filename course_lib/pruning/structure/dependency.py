"""The dependency graph of a network: which channels must be removed together (Fang et al. 2023).

Removing a filter of a convolution takes an entry of the batch norm behind it and a column of each layer that
reads its output; where two outputs are added, the same filter of both must go. Fang et al. (DepGraph) write
down for each pair of layers how they depend on each other. Here the model's own steps run on labels instead
of numbers (`labels`): what ends up with equal labels belongs together.

Worked example: conv1 (3 filters) → batch norm → conv2 (3 filters), its output added to conv1's, → linear
layer. One group of 3 channels, whose channel 1 is filter 1 of both convolutions, entry 1 of the norm, and
column 1 of conv2 and of the linear layer.

Left out: channels whose removal would change what is computed for the others (the width that a layer norm
normalizes), and everything that is not a traced step of torch. Such channels are fixed, with a reason.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor, fx, nn

from course_lib.architectures.tracing import trace_steps
from course_lib.errors import ModelError
from course_lib.pruning.structure.attention import split_attention
from course_lib.pruning.structure.explain import Explainer
from course_lib.pruning.structure.group import Group, Slices
from course_lib.pruning.structure.grouping import Classes
from course_lib.pruning.structure.labels import fixed
from course_lib.pruning.structure.layer_rules import LAYER_RULES
from course_lib.pruning.structure.rules import ELEMENTWISE, RULES, fixed_like, unknown
from course_lib.pruning.structure.shapes import shapes_of
from course_lib.pruning.structure.step import Ledger, Step, name_of, tensors_in

KEEPS_PARAMETERS = {*ELEMENTWISE, "cat", "concat", "expand", "flatten", "getattr", "unsqueeze"}
"""Steps in which a parameter's entries can belong to channels."""


class DependencyGraph:
    """Which channels of a model must be removed together.

    Parameters
    ----------
    model
        Any module that can be traced; it stays as it is.
    example_inputs
        An input, or one tensor for each argument. Only shapes and types matter; what is found holds for other
        batch and picture sizes as well, if the model takes them.

    Attributes
    ----------
    graph
        The model's steps in evaluation mode, with each `nn.MultiheadAttention` split into linear layers. Its
        tensors use the model's memory: read them, do not change them.
    groups
        The groups whose channels can be removed, in the order of the steps.
    inputs
        The example inputs.

    Raises
    ------
    ModelError
        If the model cannot be traced, or cannot run on the example inputs.
    """

    def __init__(self, model: nn.Module, example_inputs: Tensor | Sequence[Tensor]) -> None:
        self.inputs = (example_inputs,) if isinstance(example_inputs, Tensor) else tuple(example_inputs)
        self.graph = trace_steps(model, share_tensors=True)
        split_attention(self.graph)
        shapes = shapes_of(self.graph, self.inputs)
        ledger = Ledger()
        self.labels = _label_steps(self.graph, shapes, ledger)
        self.classes = Classes(ledger)
        self.groups: tuple[Group, ...] = self.classes.groups
        self._explainer = Explainer(self.labels, ledger, self.classes)

    def group_of(self, path: str) -> Group:
        """Return the group of a layer's output channels; the largest if there are several.

        Raises
        ------
        ModelError
            If the path is no layer with channels, or its channels cannot be removed; the reason is given.
        """
        found = [group for group in self.groups if any(_holds(part, path) for part in group.slices)]
        if not found:
            raise ModelError(self._explainer.why_not(path))
        return max(found, key=lambda group: group.channels)

    def explain(self, path: str) -> str:
        """Return in lines which layers lose channels together with this one, and which steps tie them.

        For a layer whose output channels cannot be removed, the text says why.

        Raises
        ------
        ModelError
            If the path is no layer with channels.
        """
        found = [group for group in self.groups if any(_holds(part, path) for part in group.slices)]
        if not found:
            return self._explainer.why_not(path)
        return "\n".join(line for group in found for line in self._explainer.lines(group))


def _holds(part: Slices, path: str) -> bool:
    return part.path == path and part.role != "in"


def _label_steps(graph: fx.GraphModule, shapes: Mapping[fx.Node, Any], ledger: Ledger) -> dict[fx.Node, Any]:
    """Return step → labels of its result; what is not a tensor stays."""
    shared = _shared_tensors(graph)
    labels: dict[fx.Node, Any] = {}
    for node in graph.graph.nodes:
        out = shapes[node]
        args, kwargs = (fx.node.map_arg(part, labels.__getitem__) for part in (node.args, node.kwargs))
        step = Step(node, args, kwargs, out, ledger)
        if node.op == "output":
            for result in step.inputs:
                step.fix(result, "returns it as a result of the model")
        labels[node] = _label(step, shared) if any(True for _ in tensors_in(out)) else out
        for result in tensors_in(labels[node]):
            if not any(result is labels_in for labels_in in step.inputs):
                ledger.book.watch(result, node.name)
    return labels


def _label(step: Step, shared: Mapping[str, str]) -> Any:
    node = step.node
    if node.op in ("placeholder", "output"):
        return fixed_like(step.out)
    if node.op == "get_attr":
        return _label_parameter(step, shared)
    if node.op == "call_module":
        layer = step.layer
        rule, what = LAYER_RULES.get(type(layer)), f"{step.path} ({type(layer).__name__})"
        if step.path in shared:
            return unknown(step, what, f"shares a tensor with {shared[step.path]}")
        if layer._forward_hooks or layer._forward_pre_hooks:
            return unknown(step, what, "has hooks")
    else:
        rule, what = RULES.get(step.name), step.name or str(getattr(node.target, "__name__", node.target))
    try:
        labels = rule(step) if rule is not None and step.inputs else None
    except (TypeError, ValueError, RuntimeError, IndexError, AttributeError):
        labels = None  # arguments in a spelling that the rule does not know; ties that it made do no harm
    return unknown(step, what) if labels is None or not _fits(labels, step.out) else labels


def _label_parameter(step: Step, shared: Mapping[str, str]) -> Tensor:
    users = {name_of(user) for user in step.node.users}
    if not users <= KEEPS_PARAMETERS | {"layer_norm"} or step.path in shared:
        return fixed(step.out.shape)
    labels = step.ledger.book.fresh(step.out.numel()).view(step.out.shape)
    return step.record("pass", labels)


def _fits(labels: Any, out: Any) -> bool:
    """Return whether labels have the shapes of what a step returns."""
    shapes = [tuple(value.shape) for value in tensors_in(labels)]
    return shapes == [tuple(value.shape) for value in tensors_in(out)]


def _shared_tensors(graph: fx.GraphModule) -> dict[str, str]:
    """Return layer or parameter → another one that uses the same tensor."""
    owners: dict[int, list[str]] = {}
    owning = (node for node in graph.graph.nodes if node.op in ("call_module", "get_attr"))
    for path in dict.fromkeys(str(node.target) for node in owning):
        for tensor in _tensors_of(attribute(graph, path)):
            owners.setdefault(id(tensor), []).append(path)
    return {
        path: next(other for other in paths if other != path)
        for paths in owners.values()
        if len(paths) > 1
        for path in paths
    }


def attribute(graph: fx.GraphModule, path: str) -> Any:
    """Return the layer, parameter or buffer at a path."""
    owner, _, name = path.rpartition(".")
    return getattr(graph.get_submodule(owner), name)


def _tensors_of(owner: Any) -> Iterator[Tensor]:
    """Yield a layer's parameters and buffers, or the tensor itself."""
    if isinstance(owner, nn.Module):
        yield from owner.parameters()
        yield from owner.buffers()
    elif isinstance(owner, Tensor):
        yield owner
