"""Which channels go at a ratio, and the graph that is left: what is behind the channel slider.

Scores are computed once for each importance, so that a move of the slider only ranks them and cuts the graph.

Worked example: 24 channels in two groups and a ratio of 0.25: the six with the lowest score, relative to the
mean of their group, are cut out of the exported graph.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache

from torch import Tensor, nn

from course_lib.architectures import load_pretrained
from course_lib.errors import ModelError
from course_lib.explore.channel_graph import ChannelGraph
from course_lib.explore.model_source import EXPORTING, ModelSource
from course_lib.explore.result import ChannelsLeft
from course_lib.explore.setting import IMPORTANCES
from course_lib.explore.weight_graph import WeightGraph
from course_lib.pruning.importance import Importance, bn_scale, l1_norm, l2_norm, random_importance
from course_lib.pruning.ranking import scores_of
from course_lib.pruning.selection import SelectionConfig, select_channels
from course_lib.pruning.structure.dependency import DependencyGraph
from course_lib.registry import look_up

KEPT_CUTS = 4
"""Graphs that are remembered: other sliders move on the same channels, or back to those just seen."""

FACTORIES: dict[str, Callable[[DependencyGraph], Importance]] = {
    "l1": l1_norm,
    "l2": l2_norm,
    "bn_scale": bn_scale,
    "random": lambda graph: random_importance(graph, seed=0),
}


class ChannelChoice:
    """The channels of a model, ranked and ready to be cut out of its graph.

    Parameters
    ----------
    graph
        The exported model with its dependency graph.

    Attributes
    ----------
    importances
        Those that can score all of the model's groups; `bn_scale` needs a batch norm in each.
    """

    def __init__(self, graph: ChannelGraph) -> None:
        self.graph = graph
        self._scores: dict[str, dict[str, Tensor]] = {}
        self._why_not: dict[str, str] = {}
        for name in IMPORTANCES:
            importance = FACTORIES[name](graph.dependencies)
            try:
                self._scores[name] = {group.name: scores_of(group, importance) for group in graph.groups}
            except ModelError as error:
                self._why_not[name] = str(error)
        self.importances = tuple(self._scores)
        self._dense_macs = graph.macs()
        self.cut = lru_cache(KEPT_CUTS)(self._cut)

    def _cut(self, ratio: float, importance: str, multiple_of: int) -> tuple[WeightGraph, ChannelsLeft]:
        """Return the graph without about this fraction of the channels, and how much that leaves.

        ``multiple_of`` rounds how many channels each group keeps.

        Raises
        ------
        UnknownNameError
            If there is no such importance.
        SettingError
            If so many channels cannot go.
        ModelError
            If the importance cannot score all of the groups.
        """
        look_up(IMPORTANCES, "importance", importance)
        if importance in self._why_not:
            raise ModelError(self._why_not[importance])
        scores = self._scores[importance]
        config = SelectionConfig(multiple_of=multiple_of)
        chosen = select_channels(self.graph.groups, lambda group: scores[group.name], ratio, config)
        total = sum(group.channels for group in self.graph.groups)
        gone = sum(map(len, chosen.values()))
        left = ChannelsLeft(total - gone, total, self.graph.macs(chosen), self._dense_macs)
        return WeightGraph(self.graph.without(chosen)), left


def channel_choice(source: ModelSource, content: bytes, input_shape: Sequence[int]) -> ChannelChoice:
    """Return the channels of a zoo network or a module.

    Parameters
    ----------
    content
        What `onnx_of` made of the source.
    input_shape
        (C, H, W) of one input.

    Raises
    ------
    ModelError
        If the module cannot be traced, or none of its channels can be removed.
    """
    module = source if isinstance(source, nn.Module) else load_pretrained(str(source))
    with EXPORTING:  # tracing is not made for two threads either
        graph = ChannelGraph(module, content, input_shape)
    if not graph.groups:
        raise ModelError(
            f"{type(module).__name__} has no channels that can be removed; ask DependencyGraph(model, "
            "inputs).explain(layer) for the reason."
        )
    return ChannelChoice(graph)
