"""One position of the pruning microscope: which channels of which groups are removed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import NamedTuple

from course_lib.errors import SettingError

NAMED_GROUPS = 2
"""Up to so many groups are named in a choice's label."""


class RemovedChannels(NamedTuple):
    """Channels of one group that go: the group's name, and their numbers in rising order."""

    group: str
    channels: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.group}: {' '.join(map(str, self.channels))}"


@dataclass(frozen=True)
class ChannelChoice:
    """Which channels are removed.

    Parameters
    ----------
    removed
        One entry for each group that loses channels, in the order of the names; build it with `of`.

    Examples
    --------
    >>> choice = ChannelChoice.of({"stem": [5, 2], "head": []})
    >>> choice.chosen
    {'stem': (2, 5)}
    >>> choice.label
    '2 channels of stem removed'
    """

    removed: tuple[RemovedChannels, ...] = ()

    @classmethod
    def of(cls, removed: Mapping[str, Sequence[int]]) -> "ChannelChoice":
        """Return the choice for group name → channels to remove, in any order and with repetitions.

        Raises
        ------
        SettingError
            If a channel is not a whole number.
        """
        for name, channels in removed.items():
            wrong = [channel for channel in channels if not isinstance(channel, Integral)]
            if wrong:
                raise SettingError(f"The group {name!r} has no channel {wrong[0]!r}; expected whole numbers.")
        return cls(
            tuple(
                RemovedChannels(name, tuple(sorted({int(channel) for channel in channels})))
                for name, channels in sorted(removed.items())
                if len(channels)
            )
        )

    @property
    def chosen(self) -> dict[str, tuple[int, ...]]:
        """Group name → channels to remove: what `remove` takes."""
        return {entry.group: entry.channels for entry in self.removed}

    @property
    def count(self) -> int:
        """The number of removed channels in all groups together."""
        return sum(len(entry.channels) for entry in self.removed)

    @property
    def dense(self) -> bool:
        """Whether all channels stay."""
        return not self.removed

    @property
    def label(self) -> str:
        """The choice in words, for a heading."""
        if self.dense:
            return "all channels"
        if len(self.removed) > NAMED_GROUPS:
            return f"{self.count} channels of {len(self.removed)} groups removed"
        first, *others = self.removed
        many = "channel" if len(first.channels) == 1 else "channels"
        named = "".join(f" and {len(entry.channels)} of {entry.group}" for entry in others)
        return f"{len(first.channels)} {many} of {first.group}{named} removed"
