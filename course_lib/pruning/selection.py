"""Which channels go? Scores of all groups → channels to remove, group by group.

A ranking over all layers needs scores that compare, and raw ones do not: a wide layer's filters have larger
norms than a narrow one's, deep layers smaller gradients. So each group's scores are divided by their mean (or
their largest), and then the lowest of all groups go ("global"), or the lowest of each group by itself
("local").

Limits keep the network whole. At most ``max_ratio_per_group`` of a group goes, and never all of it. Channels
of a protected layer, and all that are tied to them, stay. With ``multiple_of=8`` the number of channels that
stays is rounded to multiples of 8, which fill the vector registers of a CPU.

Worked example: groups with scores [1, 3] and [20, 40, 60] have means 2 and 40, so relative scores [0.5, 1.5]
and [0.5, 1, 1.5]. Of five channels a ratio of 0.4 removes two: those with 0.5, the first of each group.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence

from course_lib.errors import SettingError
from course_lib.pruning.importance import Importance
from course_lib.pruning.ranking import (
    Chosen,
    Ranking,
    SelectionConfig,
    count_of,
    keepers,
    lowest,
    require_known,
    scores_of,
    without_empty,
)
from course_lib.pruning.structure.group import Group
from course_lib.registry import look_up

__all__ = ["Chosen", "SelectionConfig", "select_channels", "select_in_layers"]


def select_channels(
    groups: Iterable[Group],
    importance: Importance,
    ratio: float,
    config: SelectionConfig | None = None,
) -> Chosen:
    """Return the channels to remove so that a fraction of all channels is gone.

    Parameters
    ----------
    groups
        Those of a `DependencyGraph`, or some of them. Groups with a protected layer do not count.
    importance
        Gives the scores; of equal ones the earlier group's and the lower channel goes first.
    ratio
        Fraction of the channels to remove, in [0, 1). Of n exactly round(ratio · n) go, unless
        ``multiple_of`` rounds the numbers in the groups.
    config
        Scope, limits and protected layers; None for the defaults.

    Returns
    -------
    What `remove` takes.

    Raises
    ------
    SettingError
        If ``ratio`` is outside [0, 1), or the limits of the groups or their protection do not allow it.
    UnknownNameError
        If a protected layer is in none of the groups.
    ModelError
        If scores are not finite or not one a channel.
    """
    if not 0 <= ratio < 1:
        raise SettingError(
            f"ratio is {ratio}, but it is the fraction of channels to remove, from 0 up to but not including "
            "1; try ratio=0.5."
        )
    config = config or SelectionConfig()
    ranking = Ranking(tuple(groups), importance, config)
    if config.scope == "local":
        if ratio > config.max_ratio_per_group:
            raise SettingError(
                f"ratio {ratio} is above max_ratio_per_group={config.max_ratio_per_group}, the most that may "
                "go from one layer; lower the ratio or raise the limit."
            )
        return ranking.each(ratio)
    count = round(ratio * ranking.channels)
    if count > ranking.steps:
        raise SettingError(
            f"ratio {ratio} asks for {count} of the {ranking.channels} channels that are not protected, but "
            f"with max_ratio_per_group={config.max_ratio_per_group} and one channel left in each group at "
            f"most {ranking.steps} can go; lower the ratio or raise the limit."
        )
    return ranking.at(count)


def select_in_layers(
    groups: Iterable[Group],
    importance: Importance,
    ratios: Mapping[str, float],
    protected: Collection[str] = (),
) -> Chosen:
    """Return the channels to remove from named layers: the lowest scores of each, at its own ratio.

    Parameters
    ----------
    groups, importance
        As in `select_channels`.
    ratios
        Path of a layer that makes channels → fraction of them to remove, in [0, 1). At least one stays.
    protected
        Paths of layers that have to keep their channels.

    Raises
    ------
    SettingError
        If a ratio is outside [0, 1), a layer is tied to a protected one, or two layers of one group are given
        different ratios.
    UnknownNameError
        If a layer is in none of the groups.
    """
    groups = tuple(groups)
    require_known(groups, protected)
    wanted: dict[str, float] = {}
    for path, ratio in ratios.items():
        if not 0 <= ratio < 1:
            raise SettingError(
                f"The ratio for {path!r} is {ratio}, but it is the fraction of its channels to remove, from "
                "0 up to but not including 1; try 0.5."
            )
        group = _group_with(groups, path)
        tied = [other for other in keepers(group) if other in protected]
        if tied:
            reason = "is protected itself" if path in tied else f"shares its channels with {_listed(tied)}"
            raise SettingError(
                f"{path!r} cannot be pruned: it {reason}, which must stay whole; take "
                f"{_listed(tied)} out of protected, or leave {path!r} alone."
            )
        if wanted.setdefault(group.name, ratio) != ratio:
            raise SettingError(
                f"{path!r} shares its channels with {group.name!r}, which has another ratio; give both "
                f"{wanted[group.name]}, or name one of them."
            )
    chosen = {group.name: (group, wanted[group.name]) for group in groups if group.name in wanted}
    return without_empty(
        {
            name: lowest(scores_of(group, importance), count_of(ratio, group.channels))
            for name, (group, ratio) in chosen.items()
        }
    )


def _group_with(groups: Sequence[Group], path: str) -> Group:
    """Return the group of that name, or the largest that a layer makes or passes channels of."""
    rising = sorted(groups, key=lambda group: group.channels)
    found = {keeper: group for group in rising for keeper in keepers(group)}
    return look_up({**found, **{group.name: group for group in groups}}, "layer with channels to prune", path)


def _listed(paths: Sequence[str]) -> str:
    return ", ".join(map(repr, paths))
