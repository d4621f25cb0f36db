"""Removing whole residual branches: a network with fewer layers, not only narrower ones.

In y = x + F(x) the branch F only corrects what passes beside it, so a trained network often does nearly as
well without one (Veit et al. 2016, "Residual networks behave like ensembles of relatively shallow networks").
Without F the addition goes too, and y = x. Channel pruning cannot get there, for one channel always stays;
and it is layers, more than channels, that a runtime spends its fixed costs on.

A branch is everything between x and the addition that nothing else uses. F must keep the shape of x: where a
block changes it, x passes a layer too and is no identity.

Worked example: y = x + w₂·relu(w₁·x) with w₁ = 2 and w₂ = 3 gives 7 for x = 1; without the branch, 1. With
the branch masked (its result multiplied by zero) it is 1 + 0·6 = 1 as well.
"""

import posixpath
from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn

from course_lib.architectures.tracing import calls, is_addition, trace_steps
from course_lib.errors import ModelError
from course_lib.pruning.structure.proof import compare, random_like
from course_lib.pruning.structure.step import tensors_in
from course_lib.registry import look_up


@dataclass(frozen=True)
class Branch:
    """What is added to a tensor that passes beside it.

    Attributes
    ----------
    name
        The path that its layers have in common, such as ``blocks.0``; that of its first layer where another
        branch has it already.
    layers
        Paths of its layers, in the order of the calls.
    """

    name: str
    layers: tuple[str, ...]


def residual_branches(model: nn.Module) -> tuple[Branch, ...]:
    """Return the branches that can be left out, in the order of their additions.

    Raises
    ------
    ModelError
        If the model cannot be traced.
    """
    return tuple(_named(trace_steps(model, share_tensors=True)))


def remove_branches(
    model: nn.Module, names: Collection[str], example_inputs: Tensor | tuple[Tensor, ...]
) -> fx.GraphModule:
    """Return a new model without the named branches, in evaluation mode.

    The result is compared with the masked model's, in which the branches are multiplied by zero, on a random
    input.

    Parameters
    ----------
    model
        Left as it is.
    names
        As in `residual_branches`.
    example_inputs
        (N, …), one tensor for each argument; only the shapes matter.

    Raises
    ------
    UnknownNameError
        If there is no such branch; the message lists the known ones.
    ModelError
        If the model cannot be traced, or its results without the branches are not the masked model's.
    """
    inputs = (example_inputs,) if isinstance(example_inputs, Tensor) else example_inputs
    masked, smaller = (_without(trace_steps(model), names, masked=masked) for masked in (True, False))
    given = random_like(inputs)
    with torch.no_grad():
        proof = compare(list(tensors_in(masked(*given))), list(tensors_in(smaller(*given))))
    if not proof.holds:
        raise ModelError(
            f"Without {', '.join(names)} the model differs from the masked one by {proof.max_abs_diff:.2g}, "
            "so it is not used: keep these branches."
        )
    return smaller


def _without(traced: fx.GraphModule, names: Collection[str], *, masked: bool) -> fx.GraphModule:
    additions = {branch.name: places for branch, places in _named(traced).items()}
    for name in names:
        addition, result = look_up(additions, "residual branch", name)
        if masked:
            with traced.graph.inserting_before(addition):
                addition.replace_input_with(result, traced.graph.call_function(torch.mul, (result, 0.0)))
        else:
            [passing] = set(addition.all_input_nodes) - {result}
            addition.replace_all_uses_with(passing)
            traced.graph.erase_node(addition)
    traced.graph.eliminate_dead_code()
    traced.delete_all_unused_submodules()
    traced.recompile()
    return traced.eval()


Places = tuple[fx.Node, fx.Node]
"""The addition, and the last step of the branch."""


def _named(traced: fx.GraphModule) -> dict[Branch, Places]:
    found: dict[Branch, Places] = {}
    for addition in filter(is_addition, traced.graph.nodes):
        first, second = addition.all_input_nodes
        for passing, result in ((first, second), (second, first)):
            steps = _branch_steps(_before_identities(passing), result, addition)
            layers = tuple(str(step.target) for step in steps or () if step.op == "call_module")
            if layers:
                name = _common_path(layers)
                taken = not name or any(branch.name == name for branch in found)
                found[Branch(layers[0] if taken else name, layers)] = (addition, result)
                break
    return found


def _common_path(layers: tuple[str, ...]) -> str:
    folders = posixpath.commonpath([layer.replace(".", "/") for layer in layers])
    return folders.replace("/", ".")


def _before_identities(step: fx.Node) -> fx.Node:
    """Return the step whose result this one is, through layers that change nothing."""
    while calls(step, nn.Identity):
        step = step.all_input_nodes[0]
    return step


def _branch_steps(passing: fx.Node, result: fx.Node, addition: fx.Node) -> list[fx.Node] | None:
    """Return the steps from one tensor to the other, in order; None if others use them or feed them."""
    steps = {result}
    waiting = [result]
    while waiting:
        for source in waiting.pop().all_input_nodes:
            if source is passing or source in steps:
                continue
            if source.op == "placeholder":
                return None
            steps.add(source)
            waiting.append(source)
    if result is passing or not all(
        user in steps or user is addition for step in steps for user in step.users
    ):
        return None
    return [step for step in addition.graph.nodes if step in steps]
