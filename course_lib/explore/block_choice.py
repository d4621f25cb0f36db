"""The stops of the block explorer's sliders, and the nearest shape that a block can have.

Worked example: ShuffleNet V1 at stride 1 keeps its channels. Asked for 48 → 96 channels it refuses, and the
nearest shape that it can have is 48 → 48: one knob moves, and by the fewest stops.
"""

from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from itertools import product

from course_lib.architectures.blocks.catalogue import BLOCKS, BlockShape
from course_lib.errors import SettingError
from course_lib.explore.block_result import BlockSetting
from course_lib.registry import look_up

CHANNELS = (8, 12, 16, 24, 30, 32, 48, 64, 80, 96, 112, 128)
STOPS: Mapping[str, tuple[int, ...]] = {
    "in_channels": CHANNELS,
    "out_channels": CHANNELS,
    "resolution": (7, 14, 28, 56),
    "kernel": (3, 5, 7),
    "stride": (1, 2),
    "expansion": (1, 2, 3, 4, 6),
    "groups": (1, 2, 3, 4, 8),
}
"""Knob → where its slider stops; 12 and 30 channels are no multiples of 8, which kernels show."""

_FREE = ("out_channels", "in_channels", "groups", "stride")
"""Knobs whose values a block may refuse."""


def obeyed(block: str, shape: BlockShape) -> BlockShape:
    """Return the shape with the knobs that the block does not have at their defaults.

    A block without the knob of output channels has as many as it reads.

    Raises
    ------
    UnknownNameError
        If there is no such block.
    """
    knobs = look_up(BLOCKS, "block", block).knobs
    ignored = {
        field.name: field.default
        for field in fields(BlockShape)
        if field.name not in knobs and isinstance(field.default, int)
    }
    if "out_channels" not in knobs:
        ignored["out_channels"] = shape.in_channels
    return replace(shape, **ignored)


def standard_of(block: str, shape: BlockShape) -> BlockShape:
    """Return the shape of the standard convolution that a block is compared with: one group, no expansion."""
    defaults = {"expansion": BlockShape.expansion, "groups": BlockShape.groups}
    return replace(obeyed(block, shape), **defaults)


def nearest_shape(setting: BlockSetting) -> BlockShape | None:
    """Return the shape on the sliders that the block can have and that moves fewest knobs by fewest stops.

    None if the block refuses all of them.
    """
    kind = look_up(BLOCKS, "block", setting.block)
    knobs = [knob for knob in _FREE if knob in kind.knobs]
    now = asdict(setting.shape)
    best: tuple[tuple[int, int], BlockShape] | None = None
    for values in product(*(STOPS[knob] for knob in knobs)):
        change = dict(zip(knobs, values, strict=True))
        moved = [abs(_stop(knob, value) - _stop(knob, now[knob])) for knob, value in change.items()]
        distance = sum(map(bool, moved)), sum(moved)
        if best is None or distance < best[0]:
            shape = replace(setting.shape, **change)
            try:
                kind.macs(shape)
            except SettingError:
                continue
            best = distance, shape
    return best[1] if best else None


def _stop(knob: str, value: int) -> int:
    """Return the place of the stop that is nearest to a value."""
    stops = STOPS[knob]
    return min(range(len(stops)), key=lambda place: abs(stops[place] - value))
