"""How much has to go so that a network needs no more than so many MACs?

A ratio of channels says little about MACs: a channel that two 3×3 convolutions touch at full resolution costs
a hundred times one at the end. So the ranking of all channels is followed from its least important end until
the network left over is small enough. Longer selections contain shorter ones, so the MACs only fall along it
and the shortest one that meets the target is found by halving, with the MACs of the networks counted.

Worked example: of 10 channels that may go, removing 7 meets the target and removing 6 does not. Tried are all
10, then 4 (too few), 7 (enough), 5 and 6 (too few): 7 channels go.
"""

from torch import Tensor, nn

from course_lib.benchmarking.macs import profile_layers
from course_lib.errors import SettingError
from course_lib.pruning.importance import Importance
from course_lib.pruning.ranking import Chosen, Ranking, SelectionConfig
from course_lib.pruning.structure.dependency import DependencyGraph
from course_lib.pruning.structure.removal import remove


def macs_of(model: nn.Module, example_inputs: Tensor) -> int:
    """Return the MACs of a model for one sample."""
    return profile_layers(model, example_inputs).macs


def select_for_macs(
    graph: DependencyGraph,
    importance: Importance,
    macs: int,
    example_inputs: Tensor,
    config: SelectionConfig | None = None,
) -> Chosen:
    """Return the smallest selection of channels whose removal leaves at most ``macs`` MACs.

    Parameters
    ----------
    graph
        Of the model to prune.
    importance, config
        As for `select_channels`. The scope "local" looks for the smallest ratio common to all groups.
    macs
        The most that one sample may take after removal.
    example_inputs
        (N, …), as the graph was made with.

    Raises
    ------
    SettingError
        If the target is out of reach with the limits and protected layers of ``config``.
    """
    ranking = Ranking(graph.groups, importance, config or SelectionConfig())

    def left(step: int) -> int:
        return macs_of(remove(graph, ranking.at(step), check=False), example_inputs)

    enough, fewest = ranking.steps, left(ranking.steps)
    if fewest > macs:
        raise SettingError(
            f"At most {macs} MACs are wanted, but {fewest} remain when all goes that may "
            f"(max_ratio_per_group={ranking.config.max_ratio_per_group}, "
            f"{len(ranking.config.protected)} protected layers); raise the target or the limit."
        )
    too_few = -1
    while enough - too_few > 1:
        middle = (enough + too_few) // 2
        if left(middle) <= macs:
            enough = middle
        else:
            too_few = middle
    return ranking.at(enough)
