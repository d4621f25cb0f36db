"""Scores of all channels of a model, by one importance after another; each is computed once.

Scores are those of the whole network: they do not change while channels are removed, so that a slider removes
in one order. Raw scores rank the channels of one group; two groups' scores do not compare.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from course_lib.data import Dataset
from course_lib.errors import ModelError
from course_lib.pruning.structure.group import Group
from course_lib.registry import look_up

if TYPE_CHECKING:
    from torch import Tensor

    from course_lib.pruning.importance import Importance
    from course_lib.pruning.structure.dependency import DependencyGraph

IMPORTANCES = {
    "l1": "L1 norm of the weights",
    "l2": "L2 norm of the weights",
    "bn_scale": "Scale of the batch norm",
    "mean_activation": "Mean activation",
    "taylor": "First-order Taylor",
    "gradient": "Accumulated gradient",
    "random": "Random (the control)",
}
"""Name of an importance → its words; "mean_activation", "taylor" and "gradient" look at images."""

SCORING_IMAGES = 512
BATCH = 64
RANDOM_SEED = 0


@dataclass(frozen=True)
class GroupScores:
    """The scores of one group's channels.

    Parameters
    ----------
    values
        One for each channel, higher = keep; empty where this importance has none for the group.
    order
        The channels from the least to the most important, of equal ones the first; those without scores by
        number.
    reason
        Why there are no scores; empty where there are.
    """

    values: tuple[float, ...]
    order: tuple[int, ...]
    reason: str = ""


class ChannelScores:
    """The scores of a model's channels.

    Parameters
    ----------
    dependencies
        The model's dependency graph.
    groups
        The groups to score.
    images
        For the importances that need data; the first 512 are taken.
    """

    def __init__(self, dependencies: "DependencyGraph", groups: Sequence[Group], images: Dataset) -> None:
        self._dependencies, self._groups = dependencies, groups
        self._images = images.take(slice(SCORING_IMAGES))
        self._known: dict[str, dict[str, GroupScores]] = {}

    def by(self, importance: str) -> dict[str, GroupScores]:
        """Return group name → scores by the importance of this name.

        Raises
        ------
        UnknownNameError
            If there is no such importance.
        """
        look_up(IMPORTANCES, "importance", importance)
        if importance not in self._known:
            score = self._importance(importance)
            self._known[importance] = {group.name: _scored(group, score) for group in self._groups}
        return self._known[importance]

    def _importance(self, name: str) -> "Importance":
        from course_lib.pruning import importance as of

        graph = self._dependencies
        makers: dict[str, Callable[[], Importance]] = {
            "l1": partial(of.l1_norm, graph),
            "l2": partial(of.l2_norm, graph),
            "bn_scale": partial(of.bn_scale, graph),
            "mean_activation": lambda: of.mean_activation(graph, [images for images, _ in self._batches()]),
            "taylor": lambda: of.taylor(graph, self._batches()),
            "gradient": lambda: of.accumulated_gradient(graph, self._batches()),
            "random": partial(of.random_importance, graph, RANDOM_SEED),
        }
        return makers[name]()

    def _batches(self) -> "list[tuple[Tensor, Tensor]]":
        import torch

        inputs, labels = torch.from_numpy(self._images.inputs()), torch.from_numpy(self._images.labels)
        starts = range(0, len(labels), BATCH)
        return [(inputs[start : start + BATCH], labels[start : start + BATCH]) for start in starts]


def _scored(group: Group, importance: "Importance") -> GroupScores:
    from course_lib.pruning.ranking import scores_of

    try:
        scores = scores_of(group, importance)
    except ModelError as error:
        return GroupScores((), tuple(range(group.channels)), str(error))
    return GroupScores(tuple(scores.tolist()), tuple(scores.argsort(stable=True).tolist()))
