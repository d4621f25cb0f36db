"""What must be removed together: a channel, and its part of every layer that it touches.

Worked example: a convolution "a" with 3 filters, then "flatten" to 2×2 pixels each, then a linear layer "b".
Channel 1 of the group is filter 1 of "a" and columns 4, 5, 6 and 7 of "b"::

    Group((
        Slices("a", "out", ((0,), (1,), (2,))),
        Slices("b", "in", ((0, 1, 2, 3), (4, 5, 6, 7), (8, 9, 10, 11))),
    ))
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias

Role: TypeAlias = Literal["out", "in", "pass"]
"""What a layer has to do with a channel.

- "out": it makes the channel (rows of the weight of a convolution or linear layer, and of its bias).
- "in": it reads the channel (columns of the weight; those of a grouped convolution serve all of its groups).
- "pass": it holds parameters for each channel that goes through it (batch norm, a depthwise filter, a
  parameter that is added or multiplied).
"""


@dataclass(frozen=True)
class Slices:
    """The parts of one layer that belong to the channels of a group.

    Attributes
    ----------
    path
        The layer, or the parameter, in the traced graph, for example ``"blocks.0.conv1.0"``.
    role
        What the layer has to do with the channels.
    indices
        For each channel of the group: its rows, columns or entries in this layer, in rising order.
    """

    path: str
    role: Role
    indices: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Group:
    """Channels that can be removed one by one, each together with all of its slices.

    Attributes
    ----------
    slices
        At least one of role "out" and one of role "in", in the order of the model's steps. All of them have
        the same number of channels.
    """

    slices: tuple[Slices, ...]

    @property
    def channels(self) -> int:
        """The number of channels."""
        return len(self.slices[0].indices)

    @cached_property
    def name(self) -> str:
        """The path of the first layer that makes the channels; it names the group.

        Where only a part of a layer's channels form the group, their first row follows: ``"conv1[8:]"``.
        """
        maker = next((part for part in self.slices if part.role == "out"), self.slices[0])
        first = min(map(min, maker.indices))
        return f"{maker.path}[{first}:]" if first else maker.path
