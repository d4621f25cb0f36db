"""The engine behind the quantizer explorer: one tensor and one quantizer in, everything the page shows out.

A result compares the measured signal-to-noise ratio with the line of 6.02 dB a bit (`ideal_sqnr_db`: a sine
that fills the range) and says where the distance comes from. Rounding errors spread evenly over a step S have
the power S² / 12, so that for a tensor of mean square m

    distance = 20 · log10(c / √2)         with c = (range / 2) / √m        (the loading)

is lost because most values use only the middle of the grid. Beyond that there is clipping, and coarse grids,
whose errors are not spread evenly. Everything is computed with `course_lib.quantization`.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from course_lib.errors import SettingError
from course_lib.explore.quantizer_grid import ShownGrid, shown_grid
from course_lib.explore.quantizer_text import Distance, explain
from course_lib.explore.tensors import RowTensor
from course_lib.quantization import (
    Granularity,
    PerTensor,
    QParams,
    choose_qparams,
    dequantize,
    encode,
    fake_quantize,
    ideal_sqnr_db,
    integer_range,
    quantize,
    sqnr_db,
)
from course_lib.quantization.affine import MAX_BITS, MIN_BITS

BARS = 41
"""Bars of the histogram, an odd number: 0 lies in the middle of one."""

PER_TENSOR = PerTensor()
BITS = tuple(range(MIN_BITS, MAX_BITS + 1))
BEYOND_ROUNDING = 0.51
"""Errors above so many steps are clipping: rounding makes half a step at most, but for float32's own."""


@dataclass(frozen=True)
class QuantizerSetting:
    """A quantizer, and what is done to the tensor before it.

    Parameters
    ----------
    bits
        2 to 16.
    symmetric
        Whether zero lies in the middle of the grid.
    granularity
        Which values share a scale; axis 0 is the channels of a `RowTensor`.
    clip
        Share of each range that the grid covers, in (0, 1]; values beyond its ends are clipped to them.
    outlier
        One value is set to this many standard deviations of the tensor; 0 changes nothing.

    Raises
    ------
    SettingError
        If ``bits``, ``clip`` or ``outlier`` is out of range.
    """

    bits: int = 4
    symmetric: bool = True
    granularity: Granularity = PER_TENSOR
    clip: float = 1.0
    outlier: float = 0.0

    def __post_init__(self) -> None:
        integer_range(self.bits, signed=self.symmetric)
        if not 0 < self.clip <= 1:
            raise SettingError(
                f"clip is {self.clip}; expected the share of the range to keep, above 0 and at most 1."
            )
        if not 0 <= self.outlier <= 1e6:
            raise SettingError(
                f"outlier is {self.outlier}; expected a multiple of the standard deviation, from 0 for none "
                "to 1e6."
            )


@dataclass(frozen=True)
class Histogram:
    """How the values are spread before rounding: counts between −limit and limit, in bars of equal width.

    ``top`` is the count that fills the drawing area's height; ``outlier`` is where the outlier lies, or None.
    """

    limit: float
    counts: tuple[int, ...]
    top: float
    outlier: float | None


@dataclass(frozen=True)
class QuantizerResult:
    """What a quantizer does to a tensor: text, charts and tiles all read this object.

    Parameters
    ----------
    low, high
        Range of the values, the outlier included.
    scales
        How many scales there are.
    max_error, half_step
        Largest |x − x̂|, and S / 2 of the widest steps, its bound where nothing is clipped.
    clipped
        How many values lie beyond the ends of their grid.
    clipping_noise, rounding_noise
        Mean squared error of clipping and of rounding; their sum makes the noise.
    sqnr_db, ideal_db
        Measured, inf without error; and the line's value at these bits.
    rest_sqnr_db
        Measured over all values but the outlier; None where there is none.
    explanation
        One sentence that says where the distance between the two comes from.
    sqnr_by_bits
        (bits, dB) of the same quantizer at every width.
    size_bytes, float_bytes
        Really packed, with scales and zero points; and as 32-bit floats.
    encoding
        How the packed codes are laid out: dense, bitmap or index.
    """

    tensor: str
    setting: QuantizerSetting
    shape: tuple[int, int]
    low: float
    high: float
    scales: int
    histogram: Histogram
    grid: ShownGrid
    max_error: float
    half_step: float
    clipped: int
    clipping_noise: float
    rounding_noise: float
    sqnr_db: float
    ideal_db: float
    rest_sqnr_db: float | None
    explanation: str
    sqnr_by_bits: tuple[tuple[int, float], ...]
    size_bytes: int
    float_bytes: int
    encoding: str


def study_quantizer(tensor: RowTensor, setting: QuantizerSetting) -> QuantizerResult:
    """Quantize a tensor and measure everything about it; takes milliseconds for tensors of 100,000 values.

    Raises
    ------
    SettingError
        If the granularity does not fit the tensor, or an outlier is asked of a constant tensor.
    """
    loaded = tensor.with_outlier(setting.outlier)
    x = loaded.values
    bars = _histogram(loaded, float(x[0, 0]) if setting.outlier else None)
    qparams = _grid_of(x, setting)
    codes = quantize(x, qparams)
    approximation = dequantize(codes, qparams)
    error = approximation.astype(np.float64) - x
    step = np.broadcast_to(qparams.expanded(x.shape).scale, x.shape).astype(np.float64)
    beyond = np.abs(error) > BEYOND_ROUNDING * step
    squares = error**2
    clipping = float(squares[beyond].sum() / x.size)
    rounding = float(squares[~beyond].sum() / x.size)
    curve = _sqnr_by_bits(tensor, replace(setting, bits=MIN_BITS))
    measured, ideal = dict(curve)[setting.bits], ideal_sqnr_db(setting.bits)
    even, even_before = _evenly_spread_db(x, setting), _evenly_spread_db(tensor.values, setting)
    stored = encode(codes, qparams)
    distance = Distance(
        measured_db=measured,
        ideal_db=ideal,
        loading_db=ideal - even,
        clipped=int(beyond.sum()),
        clipping_share=clipping / (clipping + rounding) if clipping else 0.0,
        lost=float(((approximation == 0) & (x != 0)).sum() / max(np.count_nonzero(x), 1)),
        outlier_db=even_before - even,
        half_empty=setting.symmetric and bool(x.min() >= 0 or x.max() <= 0),
    )
    return QuantizerResult(
        tensor=tensor.name,
        setting=setting,
        shape=(x.shape[0], x.shape[1]),
        low=float(x.min()),
        high=float(x.max()),
        scales=qparams.scale.size,
        histogram=bars,
        grid=shown_grid(codes, qparams, bars.limit),
        max_error=float(np.abs(error).max()),
        half_step=float(step.max() / 2),
        clipped=distance.clipped,
        clipping_noise=clipping,
        rounding_noise=rounding,
        sqnr_db=measured,
        ideal_db=ideal,
        # The outlier, the first value, makes most of the signal and so hides what it does to the rest.
        rest_sqnr_db=sqnr_db(x.ravel()[1:], approximation.ravel()[1:]) if setting.outlier else None,
        explanation=explain(distance),
        sqnr_by_bits=curve,
        size_bytes=stored.size_bytes,
        float_bytes=4 * x.size,
        encoding=stored.encoding,
    )


def _grid_of(x: NDArray[np.float32], setting: QuantizerSetting) -> QParams[Any]:
    # The ends of a range shrink with the values themselves: clip · x has the range clip · [min, max].
    shrunk = np.float32(setting.clip) * x
    return choose_qparams(shrunk, setting.bits, symmetric=setting.symmetric, granularity=setting.granularity)


@lru_cache(maxsize=4)
def _sqnr_by_bits(tensor: RowTensor, setting: QuantizerSetting) -> tuple[tuple[int, float], ...]:
    """Return (bits, dB) at every width; remembered, so that moving the bits does not compute it again."""
    x = tensor.with_outlier(setting.outlier).values
    grids = ((bits, _grid_of(x, replace(setting, bits=bits))) for bits in BITS)
    return tuple((bits, sqnr_db(x, fake_quantize(x, grid))) for bits, grid in grids)


def _histogram(tensor: RowTensor, outlier: float | None) -> Histogram:
    largest = float(np.abs(tensor.values).max())
    limit = max(largest, tensor.drawn_limit or 0.0) or 1.0
    counts, _ = np.histogram(tensor.values, BARS, (-limit, limit))
    return Histogram(limit, tuple(counts.tolist()), float(counts.max()) / tensor.peak, outlier)


def _evenly_spread_db(x: NDArray[np.float32], setting: QuantizerSetting) -> float:
    """Return the ratio that errors spread evenly over each step would give, S² / 12 each; 0 for zeros."""
    scale = np.broadcast_to(_grid_of(x, setting).expanded(x.shape).scale, x.shape)
    signal = np.square(x, dtype=np.float64).mean()
    return float(10 * np.log10(12 * signal / np.square(scale, dtype=np.float64).mean())) if signal else 0.0
