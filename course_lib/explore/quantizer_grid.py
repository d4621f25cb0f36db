"""One grid of a quantized tensor, ready to be drawn: its values, what lands on each, and the error between.

The error x̂ − x of a quantizer is a sawtooth: 0 on each grid value, S / 2 at most halfway between two, and
beyond the outermost cells it grows without bound. Its corners are computed with the quantizer itself, a
thousandth of a step to both sides of each jump.
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from course_lib.quantization import QParams, dequantize, fake_quantize

MOST_LEVELS = 64
"""A grid of more values is drawn as the range it covers, and its error as the band that the teeth fill."""

BESIDE = 1e-3

Corner: TypeAlias = tuple[float, float]


@dataclass(frozen=True)
class ShownGrid:
    """The grid of the widest steps of a tensor.

    Parameters
    ----------
    channel, group
        Whose grid it is: both None for the whole tensor, only ``group`` None for a whole channel.
    scale, zero_point, quant_min, quant_max
        The grid.
    ends
        The lowest and the highest value that it can represent.
    levels, counts
        All of these values in order, and how many values of the tensor land on each; empty where there are
        more than 64.
    axis
        The charts go from −axis to axis, which holds the values and the grid.
    teeth
        (x, x̂ − x) at the corners of the error inside the grid's range; where there are more than 64 levels,
        the corners of the band of ±S / 2.
    clipped
        Two lines, below and above the range: (x, x̂ − x) at both ends of each, or none.
    """

    channel: int | None
    group: int | None
    scale: float
    zero_point: int
    quant_min: int
    quant_max: int
    ends: tuple[float, float]
    levels: tuple[float, ...]
    counts: tuple[int, ...]
    axis: float
    teeth: tuple[Corner, ...]
    clipped: tuple[tuple[Corner, ...], tuple[Corner, ...]]


def shown_grid(codes: NDArray[np.int32], qparams: QParams[Any], limit: float) -> ShownGrid:
    """Pick the grid of the widest steps and prepare its drawing.

    Parameters
    ----------
    codes
        The quantized tensor, (channels, values of a channel).
    qparams
        All of its grids.
    limit
        Largest |x| that the charts have to show.
    """
    widest = int(qparams.scale.argmax())
    channel, group, sharing = None, None, codes
    if qparams.group_size is not None:
        channel, group = divmod(widest, qparams.scale.shape[1])
        sharing = codes[channel].reshape(-1, qparams.group_size)[group]
    elif qparams.scale.size > 1:
        channel = widest
        sharing = codes[channel]
    grid = QParams(
        qparams.scale.reshape(-1)[widest : widest + 1],
        qparams.zero_point.reshape(-1)[widest : widest + 1],
        qparams.quant_min,
        qparams.quant_max,
    )
    levels = dequantize(np.arange(grid.quant_min, grid.quant_max + 1, dtype=np.int32), grid)
    few = levels.size <= MOST_LEVELS
    landed = np.bincount(sharing.reshape(-1) - grid.quant_min, minlength=levels.size)
    axis = max(limit, -float(levels[0]), float(levels[-1]))
    scale = float(grid.scale[0])
    low, high = max(float(levels[0]) - scale / 2, -axis), min(float(levels[-1]) + scale / 2, axis)
    return ShownGrid(
        channel=channel,
        group=group,
        scale=scale,
        zero_point=int(grid.zero_point[0]),
        quant_min=grid.quant_min,
        quant_max=grid.quant_max,
        ends=(float(levels[0]), float(levels[-1])),
        levels=tuple(levels.tolist()) if few else (),
        counts=tuple(landed.tolist()) if few else (),
        axis=axis,
        teeth=_teeth(grid, levels, low, high) if few else _band(low, high, scale / 2),
        clipped=(
            _errors(grid, np.array([-axis, low])) if -axis < low else (),
            _errors(grid, np.array([high, axis])) if high < axis else (),
        ),
    )


def _teeth(grid: QParams[Any], levels: NDArray[np.float32], low: float, high: float) -> tuple[Corner, ...]:
    jumps = (levels[1:] + levels[:-1]).astype(np.float64) / 2
    beside = BESIDE * grid.scale[0]
    return _errors(grid, np.array([low, *np.stack([jumps - beside, jumps + beside], axis=1).ravel(), high]))


def _band(low: float, high: float, half: float) -> tuple[Corner, ...]:
    return ((low, half), (high, half), (high, -half), (low, -half))


def _errors(grid: QParams[Any], x: NDArray[np.float64]) -> tuple[Corner, ...]:
    error = fake_quantize(x, grid).astype(np.float64) - x
    return tuple(zip(x.tolist(), error.tolist(), strict=True))
