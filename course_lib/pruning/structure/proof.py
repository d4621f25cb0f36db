"""The proof that a pruned model is right: it computes what the old model does with these channels masked.

In the masked model the columns that read a removed channel are zero, so that nothing of the channel arrives
anywhere, and all tensors keep their size. The pruned model must give the same result; only the order of the
sums differs, and with it the rounding of float32. (Half precision rounds too coarsely for a proof: remove
channels in float32, then convert.)

Worked example: y = W·relu(V·x) with V = [[1], [2]] and W = [[3, 4]]; without channel 0 the masked model is
[[0, 4]]·relu(V·x), the pruned one [[4]]·relu([[2]]·x). For x = 1 both give 8.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from course_lib.errors import ModelError
from course_lib.pruning.structure.dependency import DependencyGraph, attribute
from course_lib.pruning.structure.layer_rules import TRANSPOSED
from course_lib.pruning.structure.step import tensors_in

TOLERANCE = 1e-5
"""The largest difference that rounding may make, as a part of the largest result."""

REASON = (
    "the model depends on the number of its channels in a way that cannot be followed; remove none of these "
    "groups, or only some of them."
)


@dataclass(frozen=True)
class Proof:
    """How far the results of a pruned and a masked model are apart; NaN where one of them is NaN.

    Attributes
    ----------
    max_abs_diff
        The largest difference between two numbers.
    max_rel_diff
        The largest difference divided by the largest magnitude that the masked model returned.
    """

    max_abs_diff: float
    max_rel_diff: float

    @property
    def holds(self) -> bool:
        """Whether the models agree up to `TOLERANCE`."""
        return self.max_rel_diff <= TOLERANCE


def prove(
    graph: DependencyGraph,
    chosen: Mapping[str, Sequence[int]],
    pruned: nn.Module,
    inputs: Tensor | Sequence[Tensor],
) -> Proof:
    """Run the masked and the pruned model on an input and compare what they return.

    Parameters
    ----------
    chosen
        Group name → removed channels.
    inputs
        One tensor for each argument.

    Raises
    ------
    ModelError
        If the pruned model cannot run, or returns tensors of other shapes than the masked one.
    """
    given = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    with torch.no_grad():
        expected = torch.func.functional_call(graph.graph, masked_weights(graph, chosen), given)
        try:
            results = pruned(*given)
        except Exception as error:
            first_line = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ModelError(
                f"The pruned model cannot run ({first_line}), so it is not used: {REASON}"
            ) from error
    return compare(list(tensors_in(expected)), list(tensors_in(results)))


def require_proof(
    graph: DependencyGraph,
    chosen: Mapping[str, Sequence[int]],
    pruned: nn.Module,
    inputs: Sequence[Tensor] = (),
) -> Proof:
    """Run `prove` on a random input and, where given, on a real one; return the worse.

    Raises
    ------
    ModelError
        If a proof fails.
    """
    examples = [random_like(graph.inputs), *([tuple(inputs)] if inputs else [])]
    proofs = [prove(graph, chosen, pruned, example) for example in examples]
    for proof in proofs:
        if not proof.holds:
            raise ModelError(
                f"The pruned model differs from the masked one by {proof.max_abs_diff:.2g}, which is "
                f"{proof.max_rel_diff:.2g} of its largest result, so it is not used: {REASON}"
            )
    return max(proofs, key=lambda proof: proof.max_rel_diff)


def masked_weights(graph: DependencyGraph, chosen: Mapping[str, Sequence[int]]) -> dict[str, Tensor]:
    """Return the weights of the masked model that differ from the old one: name → tensor."""
    groups = {group.name: group for group in graph.groups}
    masked: dict[str, Tensor] = {}
    for name, channels in chosen.items():
        for part in groups[name].slices:
            columns = [column for channel in channels for column in part.indices[channel]]
            if part.role == "in" and columns:
                layer: Any = attribute(graph.graph, part.path)
                key = f"{part.path}.weight"
                weight = masked.setdefault(key, layer.weight.detach().clone())
                weight.index_fill_(int(not isinstance(layer, TRANSPOSED)), torch.tensor(columns), 0)
    return masked


def compare(expected: Sequence[Tensor], results: Sequence[Tensor]) -> Proof:
    """Return how far two lists of tensors are apart.

    Raises
    ------
    ModelError
        If there are not the same number of tensors of the same shapes.
    """
    shapes, others = ([tuple(tensor.shape) for tensor in tensors] for tensors in (expected, results))
    if shapes != others:
        raise ModelError(
            f"The pruned model returns tensors of shapes {others}, but the masked one of shapes {shapes}."
        )
    pairs = [(a.double(), b.double()) for a, b in zip(expected, results, strict=True) if a.numel()]
    differences = [(a - b).abs().max() for a, b in pairs]
    largest = torch.stack([a.abs().max() for a, _ in pairs]).max() if pairs else torch.zeros(())
    difference = torch.stack(differences).max() if pairs else torch.zeros(())
    relative = difference / largest if difference > 0 or difference.isnan() else difference
    return Proof(float(difference), float(relative))


def random_like(inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Return normal numbers in the shape of the inputs; whole numbers are kept, for they may be indices."""
    generator = torch.Generator().manual_seed(0)
    return tuple(
        torch.randn(tensor.shape, generator=generator).to(tensor) if tensor.is_floating_point() else tensor
        for tensor in inputs
    )
