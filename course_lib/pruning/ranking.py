"""One ranking of the channels of many groups, from which selections of any size are cut.

Worked example: groups "a" with scores [1, 3] and "b" with [20, 40, 60], normalized by their means 2 and 40,
are [0.5, 1.5] and [0.5, 1, 1.5]. First goes a's channel 0, then b's channel 0, then b's channel 1; the last
one of each group never does.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor

from course_lib.errors import ModelError, SettingError, UnknownNameError
from course_lib.pruning.importance import Importance
from course_lib.pruning.masks import Scope
from course_lib.pruning.structure.group import Group
from course_lib.registry import look_up

Normalization: TypeAlias = Literal["mean", "max", "none"]
"""What a group's scores are divided by before groups are compared."""

Chosen: TypeAlias = dict[str, tuple[int, ...]]
"""Name of a group → its channels to remove, in rising order; groups that stay whole are left out."""


@dataclass(frozen=True)
class SelectionConfig:
    """How channels of several groups compete.

    Parameters
    ----------
    scope
        ``"global"``: one ranking of all channels. ``"local"``: the same ratio in every group.
    normalize
        ``"mean"`` or ``"max"`` of each group's scores becomes 1; ``"none"`` compares them as they are.
    max_ratio_per_group
        At most this fraction of a group's channels goes, in [0, 1).
    multiple_of
        The number of channels that stays in a pruned group is rounded to the nearest multiple of this, at
        least once it; groups that are smaller stay whole.
    protected
        Paths of layers that keep all the channels they make or pass; others tied to these stay as well.

    Raises
    ------
    SettingError
        If a number is out of its range.
    UnknownNameError
        If there is no such scope or normalization.
    """

    scope: Scope = "global"
    normalize: Normalization = "mean"
    max_ratio_per_group: float = 0.9
    multiple_of: int = 1
    protected: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        look_up(dict.fromkeys(get_args(Scope)), "scope", self.scope)
        look_up(dict.fromkeys(get_args(Normalization)), "normalization", self.normalize)
        if not 0 <= self.max_ratio_per_group < 1:
            raise SettingError(
                f"max_ratio_per_group is {self.max_ratio_per_group}, but some of each group's channels have "
                "to stay; expected 0 up to but not including 1."
            )
        if self.multiple_of < 1:
            raise SettingError(f"multiple_of is {self.multiple_of}; expected at least 1.")


class Ranking:
    """All channels that may go, the least important first; shorter selections are parts of longer ones.

    Parameters
    ----------
    groups, importance, config
        As for `select_channels`; the importance is asked once for each group.

    Attributes
    ----------
    channels
        How many channels the groups have that are not protected.
    steps
        How many selections of growing size there are, see `at`.
    """

    def __init__(self, groups: Sequence[Group], importance: Importance, config: SelectionConfig) -> None:
        require_known(groups, config.protected)
        self.config = config
        kept = set(config.protected)
        self.scores = {
            group.name: scores_of(group, importance) for group in groups if not kept & set(keepers(group))
        }
        self.channels = sum(map(len, self.scores.values()))
        self._order = self._all_that_may_go()
        widest = max(map(len, self.scores.values()), default=0)
        self.steps = len(self._order) if config.scope == "global" else widest

    def at(self, step: int) -> Chosen:
        """Return the selection of one size, from 0 (nothing) to ``steps`` (all that may go).

        Global: this many channels. Local: step / steps of the largest ratio allowed, in each group.
        """
        if self.config.scope == "global":
            counts = dict.fromkeys(self.scores, 0)
            for name in self._order[:step]:
                counts[name] += 1
            return self._chosen(counts)
        return self.each(self.config.max_ratio_per_group * step / max(self.steps, 1))

    def each(self, ratio: float) -> Chosen:
        """Return the least important channels of each group by itself, at one ratio."""
        return self._chosen({name: count_of(ratio, len(scores)) for name, scores in self.scores.items()})

    def _all_that_may_go(self) -> list[str]:
        """Return the groups' names, once for each channel that may go, in the order in which they go."""
        entries = []
        for place, (name, scores) in enumerate(self.scores.items()):
            relative = (scores / self._unit(scores)).sort().values.tolist()
            entries += [(score, place, name) for score in relative[: self._limit(len(scores))]]
        return [name for _, _, name in sorted(entries)]

    def _unit(self, scores: Tensor) -> float:
        sizes = {"mean": scores.abs().mean(), "max": scores.abs().max(), "none": torch.tensor(1.0)}
        # All scores are 0 where no channel matters; they stay 0 then.
        return float(sizes[self.config.normalize]) or 1.0

    def _limit(self, channels: int) -> int:
        # 0.9 · 10 is 9, also where floating point has it a little below.
        return min(math.floor(self.config.max_ratio_per_group * channels + 1e-9), channels - 1)

    def _chosen(self, counts: Mapping[str, int]) -> Chosen:
        rounded = {name: self._rounded(count, len(self.scores[name])) for name, count in counts.items()}
        return without_empty({name: lowest(self.scores[name], count) for name, count in rounded.items()})

    def _rounded(self, count: int, channels: int) -> int:
        multiple = self.config.multiple_of
        if count == 0 or multiple == 1:
            return count
        kept = max(multiple, multiple * round((channels - count) / multiple))
        if channels - kept > self._limit(channels):
            kept += multiple
        return max(0, channels - kept)


def scores_of(group: Group, importance: Importance) -> Tensor:
    """Return a group's scores as float64; `ModelError` if they are not one finite number a channel."""
    scores = importance(group).detach().double().cpu()
    if scores.shape != (group.channels,) or not bool(scores.isfinite().all()):
        raise ModelError(
            f"The importance gave {group.name!r} scores of shape {tuple(scores.shape)}, or some that are not "
            f"finite; expected {group.channels} finite numbers, one a channel."
        )
    return scores


def count_of(ratio: float, channels: int) -> int:
    """Return how many of a group's channels a ratio removes; one always stays."""
    return min(round(ratio * channels), channels - 1)


def lowest(scores: Tensor, count: int) -> tuple[int, ...]:
    """Return the channels with the lowest scores, in rising order; of equal ones the first."""
    return tuple(sorted(scores.argsort(stable=True)[:count].tolist()))


def without_empty(chosen: Chosen) -> Chosen:
    """Leave out the groups that nothing is removed from."""
    return {name: channels for name, channels in chosen.items() if channels}


def keepers(group: Group) -> list[str]:
    """Return the layers whose own output loses a channel with the group: those that make or pass it."""
    return [part.path for part in group.slices if part.role != "in"]


def require_known(groups: Sequence[Group], paths: Collection[str]) -> None:
    """Raise `UnknownNameError` for a path that no group has anything to do with."""
    known = {part.path for group in groups for part in group.slices}
    for path in paths:
        if path not in known:
            raise UnknownNameError("layer", path, known)
