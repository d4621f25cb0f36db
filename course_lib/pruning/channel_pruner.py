"""Rounds of structured pruning: channels are removed until the network needs only so many MACs.

Each round works out the importance anew, for the network that the last one trained. The schedule speaks of
MACs: a target of 0.5 in 4 linear steps leaves 87.5, 75, 62.5 and 50 % of the dense model's.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from types import FunctionType

import torch
from torch import Tensor, nn

from course_lib.errors import SettingError
from course_lib.pruning.importance import Importance, l1_norm
from course_lib.pruning.iterative_state import Choice
from course_lib.pruning.macs_target import macs_of, select_for_macs
from course_lib.pruning.ranking import SelectionConfig
from course_lib.pruning.schedules import Schedule
from course_lib.pruning.structure.dependency import DependencyGraph
from course_lib.pruning.structure.removal import remove


@dataclass(frozen=True)
class ChannelPruner:
    """Smaller and smaller networks, each with the least important channels of the last removed.

    Parameters
    ----------
    schedule
        Fraction of the dense model's MACs that is gone after each round.
    example_inputs
        (N, …), for tracing and counting.
    importance
        Called in each round with the graph of the network so far.
    selection
        Scope, limits (of each round by itself) and protected layers.
    importance_name
        What a checkpoint knows the importance by. A function of a module has its own name; a lambda, a
        ``partial`` or a function inside a function needs one that says what it was given, such as
        ``"taylor, 500 images"``.
    """

    schedule: Schedule
    example_inputs: Tensor
    importance: Callable[[DependencyGraph], Importance] = l1_norm
    selection: SelectionConfig = field(default_factory=SelectionConfig)
    importance_name: str | None = None

    @property
    def rounds(self) -> int:
        return self.schedule.steps

    def settings(self) -> Mapping[str, object]:
        """Return what a checkpoint compares; `SettingError` if the importance has no name."""
        return {
            "schedule": asdict(self.schedule),
            "selection": asdict(self.selection),
            "input_shape": tuple(self.example_inputs.shape[1:]),
            "importance": self.importance_name or self._own_name(),
        }

    def choose(self, model: nn.Module, round_number: int, dense: nn.Module) -> Choice:
        """Return the channels that a round removes; exceptions as of `select_for_macs` and the graph."""
        graph = self._graph(model)
        left = round((1 - self.schedule.at(round_number)) * macs_of(dense, self.example_inputs))
        chosen = select_for_macs(graph, self.importance(graph), left, self.example_inputs, self.selection)
        return {name: torch.tensor(channels) for name, channels in chosen.items()}

    def apply(self, model: nn.Module, choice: Choice) -> nn.Module:
        return remove(self._graph(model), {name: channels.tolist() for name, channels in choice.items()})

    def finish(self, trained: nn.Module) -> nn.Module:
        return trained

    def amount(self, model: nn.Module, dense: nn.Module) -> float:
        """Return the fraction of the dense model's MACs that is gone."""
        return 1 - macs_of(model, self.example_inputs) / macs_of(dense, self.example_inputs)

    def _own_name(self) -> str:
        """Return the qualified name of the importance, if that alone says what it does."""
        name = getattr(self.importance, "__qualname__", type(self.importance).__name__)
        if not isinstance(self.importance, FunctionType) or "<" in name:
            raise SettingError(
                f"The importance of this ChannelPruner is a {name.split('.')[-1]}, whose name does not tell "
                "a checkpoint what it was given; name it, for example: "
                'ChannelPruner(…, importance_name="taylor, 500 images").'
            )
        return f"{self.importance.__module__}.{name}"

    def _graph(self, model: nn.Module) -> DependencyGraph:
        return DependencyGraph(model, self.example_inputs)
