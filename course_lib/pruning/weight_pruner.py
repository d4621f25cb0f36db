"""Rounds of unstructured pruning: weights of smallest magnitude go, after a schedule of sparsities.

Weights that are zero stay the smallest of all, so what one round prunes the next one does not bring back.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal

from torch import Tensor, nn

from course_lib.pruning.iterative_state import Choice
from course_lib.pruning.layer_adaptive import layer_adaptive_masks
from course_lib.pruning.masked import bake_masks, hold_masks, prunable_weights
from course_lib.pruning.masks import Scope, magnitude_masks
from course_lib.pruning.schedules import Schedule
from course_lib.registry import look_up


@dataclass(frozen=True)
class WeightPruner:
    """Masks of growing sparsity, held at zero while the rest trains.

    Parameters
    ----------
    schedule
        Sparsity after each round, over the weights that are not kept.
    scope
        Whether layers are ranked together (``"global"``), each by itself (``"local"``), or together by
        magnitudes that compare between layers (``"layer_adaptive"``).
    kept
        Names of weights that stay dense, as in `prunable_weights`.
    """

    schedule: Schedule
    scope: Scope | Literal["layer_adaptive"] = "global"
    kept: tuple[str, ...] = ()

    @property
    def rounds(self) -> int:
        return self.schedule.steps

    def settings(self) -> Mapping[str, object]:
        return asdict(self)

    def choose(self, model: nn.Module, round_number: int, dense: nn.Module) -> Choice:
        """Return the masks of a round; `UnknownNameError` if a weight to keep does not exist."""
        sparsity = self.schedule.at(round_number)
        if self.scope == "layer_adaptive":
            return layer_adaptive_masks(self._weights(model), sparsity)
        return magnitude_masks(self._weights(model), sparsity, scope=self.scope)

    def apply(self, model: nn.Module, choice: Choice) -> nn.Module:
        return hold_masks(model, choice)

    def finish(self, trained: nn.Module) -> nn.Module:
        return bake_masks(trained)

    def amount(self, model: nn.Module, dense: nn.Module) -> float:
        """Return the sparsity of the weights that are not kept."""
        weights = self._weights(model).values()
        zeros = sum(int((weight == 0).sum()) for weight in weights)
        return zeros / max(sum(weight.numel() for weight in weights), 1)

    def _weights(self, model: nn.Module) -> dict[str, Tensor]:
        weights = prunable_weights(model)
        for name in self.kept:
            look_up(weights, "weight", name)
        return {name: weight for name, weight in weights.items() if name not in self.kept}
