"""One run of a model, and many runs that differ in one layer's weight, for less than half of the work.

What is computed before a layer does not depend on its weight, and neither does a shortcut that goes around
it. So one run keeps what later steps will read, and each other weight of a layer costs only the steps that
its output reaches: its branch. Every step is the very call that a whole run would make, with the same inputs,
so the results are the same to the last bit.

A value is kept until the last branch that reads it is done. What is held at once are the inputs of a few
layers for one batch: choose the batch, and the memory is bounded.

Worked example, y = W2·relu(W1·x) + W3·x: a branch of W1 runs four steps (W1, relu, W2, +), of W2 two, of W3
two; whole runs take five each.
"""

from collections.abc import Iterator, Mapping
from copy import copy
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from course_lib.architectures.tracing import calls, is_addition, layer_of
from course_lib.errors import ModelError
from course_lib.quantization.models.graph import WeightLayer, trace, weight_layers
from course_lib.registry import look_up

Values: TypeAlias = dict[fx.Node, Any]
FRESH = (nn.Conv2d, nn.Linear, nn.BatchNorm2d)
"""Layers whose output is new memory that nothing else looks into, also in evaluation mode."""


@dataclass(frozen=True, eq=False)
class Branch:
    """What is run again when a layer's weight changes.

    ``steps`` are those that the layer's output reaches, in order; ``reads`` the steps of the common run whose
    values they need, and ``start`` the number of steps to run in common before.
    """

    steps: tuple[fx.Node, ...]
    reads: frozenset[fx.Node]
    start: int


class BranchingModel:
    """A traced copy of a model that can run once and branch at any of its layers.

    Parameters
    ----------
    model
        Any module that `trace` takes; it is left as it is.

    Raises
    ------
    ModelError
        If the model cannot be traced, takes more than one input, or changes a value in place that it reads
        again later.
    """

    def __init__(self, model: nn.Module) -> None:
        self.graph = trace(model)
        self._changing = _undo_in_place(self.graph)
        self.layers: dict[str, WeightLayer] = weight_layers(self.graph)
        """Path → layer, in order of execution."""
        self._steps = list(self.graph.graph.nodes)
        inputs = [step for step in self._steps if step.op == "placeholder"]
        if len(inputs) != 1:
            raise ModelError(
                f"{type(model).__name__} takes {len(inputs)} inputs, but here a model has one, a batch; "
                "wrap it in a module whose forward takes one tensor."
            )
        self._place = {step: place for place, step in enumerate(self._steps)}
        self._last_read = {
            step: max((self._place[user] for user in step.users), default=-1) for step in self._steps
        }
        self._branches = {path: self._branch(path) for path in self.layers}

    def run(
        self, batch: Tensor, weights: Mapping[str, Mapping[int, Tensor]]
    ) -> Iterator[tuple[str, int, Any]]:
        """Yield (path, key, output) for each weight, layer by layer, and last ("", 0, the unchanged output).

        Parameters
        ----------
        batch
            The model's input, its first axis the images.
        weights
            Path of a layer → key (a bit width, say) → the weight it has in that branch.

        Raises
        ------
        UnknownNameError
            If the model has no such layer.
        """
        for path in weights:
            look_up(self.layers, "layer", path)
        values: Values = {}
        done = 0
        todo = [path for path in self.layers if path in weights]
        for number, path in enumerate(todo):
            branch = self._branches[path]
            for step in self._steps[done : branch.start]:
                values[step] = batch if step.op == "placeholder" else self._call(step, values)
            done = max(done, branch.start)
            kept = frozenset[fx.Node]().union(*(self._branches[later].reads for later in todo[number:]))
            values = {
                step: value for step, value in values.items() if step in kept or self._last_read[step] >= done
            }
            for key, weight in weights[path].items():
                yield path, key, self._run_branch(branch, values, path, weight)
        for step in self._steps[done:]:
            values[step] = batch if step.op == "placeholder" else self._call(step, values)
        yield "", 0, values[self._steps[-1]]

    def _branch(self, path: str) -> Branch:
        reached: dict[fx.Node, None] = {}
        for step in self._steps:
            is_the_layer = step.op == "call_module" and step.target == path
            if is_the_layer or any(source in reached for source in step.all_input_nodes):
                reached[step] = None
        reads = frozenset(
            source for step in reached for source in step.all_input_nodes if source not in reached
        )
        return Branch(tuple(reached), reads, 1 + max(self._place[source] for source in reads))

    def _run_branch(self, branch: Branch, common: Values, path: str, weight: Tensor) -> Any:
        values = {step: common[step] for step in branch.reads}
        exchanged = {path: _with_weight(self.layers[path], weight)}
        for step in branch.steps:
            source = step.all_input_nodes[0]
            if _may_overwrite(step) and source not in branch.reads:
                values[step] = torch.relu_(values[source])
            else:
                values[step] = self._call(step, values, exchanged)
            for source in step.all_input_nodes:
                if self._last_read[source] == self._place[step]:
                    del values[source]
        return values[branch.steps[-1]]

    def _call(self, step: fx.Node, values: Values, exchanged: Mapping[str, nn.Module] | None = None) -> Any:
        args: Any = fx.map_arg(step.args, values.__getitem__)
        kwargs: Any = fx.map_arg(step.kwargs, values.__getitem__)
        if step in self._changing:  # other branches read this value too
            args = (args[0].clone(), *args[1:])
        target = step.target
        if step.op == "call_module":
            layer = (exchanged or {}).get(str(target)) or self.graph.get_submodule(str(target))
            return layer(*args, **kwargs)
        if step.op == "call_method":
            return getattr(args[0], str(target))(*args[1:], **kwargs)
        if step.op == "call_function":
            return target(*args, **kwargs)  # type: ignore[operator]
        if step.op == "get_attr":
            owner, _, name = str(target).rpartition(".")
            return getattr(self.graph.get_submodule(owner), name)
        return args[0]  # the output


def _with_weight(layer: WeightLayer, weight: Tensor) -> WeightLayer:
    """Return the layer with another weight; all else is shared."""
    changed = copy(layer)
    changed._parameters = {**layer._parameters, "weight": nn.Parameter(weight, requires_grad=False)}
    return changed


def _may_overwrite(step: fx.Node) -> bool:
    """Return whether a step is a ReLU that may write over its input: new memory that nothing else reads."""
    if not calls(step, nn.ReLU, F.relu, torch.relu, "relu"):
        return False
    source = step.all_input_nodes[0]
    return len(source.users) == 1 and (isinstance(layer_of(source), FRESH) or is_addition(source))


def _undo_in_place(graph: fx.GraphModule) -> frozenset[fx.Node]:
    """Switch off ``inplace``, and return the other steps that write over their first input."""
    for module in graph.modules():
        if hasattr(module, "inplace"):
            setattr(module, "inplace", False)  # noqa: B010  (a name that only some modules declare)
    place = {step: number for number, step in enumerate(graph.graph.nodes)}
    changing = set()
    for step in place:
        name = str(getattr(step.target, "__name__", step.target))
        if step.op in ("call_function", "call_method") and name.endswith("_") and not name.endswith("__"):
            changing.add(step)
        elif not step.kwargs.get("inplace"):
            continue
        changed = step.all_input_nodes[0]
        if any(place[user] > place[step] for user in changed.users):
            raise ModelError(
                f"The step {step.name} changes {changed.name} in place although a later step reads it; write "
                "it without the change, for example torch.relu(x) instead of torch.relu_(x)."
            )
        if step not in changing:
            step.update_kwarg("inplace", False)
    return frozenset(changing)
