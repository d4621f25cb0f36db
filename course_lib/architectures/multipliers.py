"""Width and depth multipliers: one network becomes a family (Howard et al., 2017; Tan and Le, 2019).

Width α multiplies the channels of every layer, so that the cost of a pointwise convolution goes with α²;
depth multiplies the blocks of every stage, so that the cost goes with the depth. Channels are rounded to a
multiple that vector units like, by MobileNet's rule; blocks are rounded up, by EfficientNet's.

Worked example: 24 channels at α = 0.75 are 18, rounded to 16, but that is more than 10 % below, so 24 stay.
Three blocks at depth 1.1 are 3.3, rounded up to 4.
"""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol, Self, TypeVar

from course_lib.architectures.blocks.layers import round_channels


class Stage(NamedTuple):
    """Equal blocks at one resolution: output channels, how many blocks, and the stride of the first."""

    channels: int
    repeats: int
    stride: int


class StageLike(Protocol):
    """A row of a network's table: a named tuple with at least these three of `Stage`."""

    @property
    def channels(self) -> int: ...

    @property
    def repeats(self) -> int: ...

    @property
    def stride(self) -> int: ...

    def _replace(self, *, channels: int = ..., repeats: int = ...) -> Self: ...


class BlockLike(Protocol):
    """A row that stands for a single block, in tables whose blocks differ within a stage."""

    @property
    def stride(self) -> int: ...

    def _replace(self, *, stride: int = ...) -> Self: ...


AnyStage = TypeVar("AnyStage", bound=StageLike)
AnyBlock = TypeVar("AnyBlock", bound=BlockLike)


def scale_channels(channels: int, width: float, multiple: int = 8) -> int:
    """Return channels times width, rounded to a multiple; exactly the channels where width is 1."""
    return channels if width == 1 else round_channels(channels * width, multiple)


def scale_repeats(repeats: int, depth: float) -> int:
    """Return repeats times depth, rounded up."""
    # 1.1 · 10 is a little more than 11 in floating point: that is 11 blocks, not 12.
    return math.ceil(round(repeats * depth, 9))


def scale_stages(
    stages: Sequence[AnyStage], width: float, depth: float, multiple: int = 8
) -> tuple[AnyStage, ...]:
    """Return the stages with their channels and repeats scaled; nothing else changes."""
    return tuple(
        stage._replace(
            channels=scale_channels(stage.channels, width, multiple),
            repeats=scale_repeats(stage.repeats, depth),
        )
        for stage in stages
    )


def blocks_of(stages: Sequence[AnyStage]) -> Iterator[tuple[AnyStage, int]]:
    """Yield (stage, stride) of every block in order: a stage's first block has its stride, the others 1."""
    for stage in stages:
        for index in range(stage.repeats):
            yield stage, stage.stride if index == 0 else 1


def scale_blocks(
    stages: Sequence[AnyStage], width: float, depth: float, multiple: int = 8
) -> tuple[tuple[int, int], ...]:
    """Return (output channels, stride) of every block of the scaled stages, in order."""
    scaled = scale_stages(stages, width, depth, multiple)
    return tuple((stage.channels, stride) for stage, stride in blocks_of(scaled))


def scale_depth(stages: Sequence[Sequence[AnyBlock]], depth: float) -> tuple[AnyBlock, ...]:
    """Return the blocks of all stages: of each stage the first ones, or its last one again with stride 1."""
    scaled: list[AnyBlock] = []
    for blocks in stages:
        count = scale_repeats(len(blocks), depth)
        again = [blocks[-1]._replace(stride=1)] * (count - len(blocks))
        scaled += [*blocks[:count], *again]
    return tuple(scaled)
