"""What the calibration engine knows of one setting: text, charts and table all read these objects."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from course_lib.errors import SettingError
from course_lib.explore.estimate import AccuracyEstimate
from course_lib.explore.watched import STOPS
from course_lib.quantization import OBSERVERS, QParams, dequantize, fake_quantize, sqnr_db
from course_lib.quantization.calibration import StreamingHistogram
from course_lib.registry import look_up

BITS = (2, 3, 4, 5, 6, 7, 8, 16)
"""Widths of activations: integer types have 8 and 16 bits, and narrower grids fit into 8."""

BARS = 96
"""Most bars of the histogram."""

MOST_LEVELS = 64
"""A grid of more values is drawn as the range that it covers."""


@dataclass(frozen=True)
class CalibrationSetting:
    """How the grids of all activations are found.

    Parameters
    ----------
    observer
        A name of `OBSERVERS`.
    bits
        2 to 8, or 16.
    symmetric
        Whether zero lies in the middle of each grid.
    images
        How many calibration images the observers see: 8, 16, 32 … 1,024.

    Raises
    ------
    UnknownNameError
        If there is no such observer.
    SettingError
        If ``bits`` or ``images`` is not one of the choices.
    """

    observer: str = "mse"
    bits: int = 8
    symmetric: bool = False
    images: int = 256

    def __post_init__(self) -> None:
        look_up(OBSERVERS, "observer", self.observer)
        for name, value, choices in (("bits", self.bits, BITS), ("images", self.images, STOPS)):
            if value not in choices:
                raise SettingError(
                    f"{name} is {value}; expected one of {', '.join(map(str, choices))}, because "
                    + (
                        "activations are stored as 8- or 16-bit integers."
                        if name == "bits"
                        else "observers are compared at these numbers of calibration images."
                    )
                )

    @property
    def label(self) -> str:
        """The setting in words."""
        kind = "symmetric" if self.symmetric else "asymmetric"
        return f"{self.observer}, {self.bits} bits {kind}, {self.images:,} calibration images"


@dataclass(frozen=True)
class RangeFigures:
    """The grid that one observer finds for a tensor, and its error on images that did not calibrate.

    Parameters
    ----------
    observer
        Its name.
    scale
        The step S of the grid.
    low, high
        The lowest and the highest value of the grid: what lies beyond is clipped.
    sqnr_db
        Signal-to-quantization-noise ratio; inf without error.
    clipping_db, rounding_db
        The noise of clipped values and that of rounding all others, against the signal: 10 · log10(noise /
        signal), −inf without such noise. Their powers add up to the noise of ``sqnr_db``.
    clipped, values
        How many values lie outside the grid's range, and how many there are.
    """

    observer: str
    scale: float
    low: float
    high: float
    sqnr_db: float
    clipping_db: float
    rounding_db: float
    clipped: int
    values: int


@dataclass(frozen=True)
class RangeAt:
    """The range that the observer finds after some number of images; ends as in `RangeFigures`."""

    images: int
    low: float
    high: float


@dataclass(frozen=True)
class ActivationHistogram:
    """How the activation is spread over the calibration images.

    Parameters
    ----------
    edges, counts
        Of bars of equal width; one edge more than counts.
    lowest, highest
        The extremes, exact.
    total, zeros
        How many values, and how many of them are exactly 0.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    lowest: float
    highest: float
    total: int
    zeros: int


@dataclass(frozen=True)
class CalibrationResult:
    """The state of knowledge about one setting; later results of the same setting know more.

    Parameters
    ----------
    tensor
        The activation that is shown.
    histogram
        Of its values on the calibration images.
    levels
        The values of the grid; empty where they are more than 64.
    figures
        Of the setting's observer.
    observers
        Figures of the observers that are known by now, in the order of `OBSERVERS`.
    by_images
        Ranges of the setting's observer at the numbers of images that are known by now.
    stops
        All numbers of images that can be asked for.
    accuracy
        Of the whole model, all activations quantized by this observer; None at first, exact at the end.
    accuracies
        Observer → accuracy where it was measured before, all else being equal.
    baseline_accuracy
        Of the model in floating point.
    """

    model: str
    setting: CalibrationSetting
    tensor: str
    histogram: ActivationHistogram
    levels: tuple[float, ...]
    figures: RangeFigures
    observers: tuple[RangeFigures, ...]
    by_images: tuple[RangeAt, ...]
    stops: tuple[int, ...]
    accuracy: AccuracyEstimate | None
    accuracies: dict[str, AccuracyEstimate]
    baseline_accuracy: float

    @property
    def exact(self) -> bool:
        """Whether nothing is left to be measured."""
        known = len(self.observers) == len(OBSERVERS) and len(self.by_images) == len(self.stops)
        return known and self.accuracy is not None and self.accuracy.exact

    @property
    def best_observer(self) -> str | None:
        """The observer with the highest SQNR on this tensor; None until all are known."""
        if len(self.observers) < len(OBSERVERS):
            return None
        return max(self.observers, key=lambda figures: figures.sqnr_db).observer


def grid_ends(grid: QParams[Any]) -> tuple[float, float]:
    """Return the lowest and the highest value of a grid with one scale."""
    low, high = dequantize(np.array([grid.quant_min, grid.quant_max], np.int32), grid)
    return float(low), float(high)


def grid_levels(grid: QParams[Any]) -> tuple[float, ...]:
    """Return all values of a grid, or none where they are too many to be drawn."""
    codes = np.arange(grid.quant_min, grid.quant_max + 1, dtype=np.int32)
    return tuple(dequantize(codes, grid).tolist()) if codes.size <= MOST_LEVELS else ()


def measure_range(observer: str, grid: QParams[Any], held_out: NDArray[np.float32]) -> RangeFigures:
    """Quantize values that did not calibrate and tell the error of clipping from that of rounding.

    A value is clipped if it lies more than half a step beyond the grid's ends: up to there the nearest grid
    value would be the same.
    """
    low, high = grid_ends(grid)
    half = float(grid.scale) / 2
    approximation = fake_quantize(held_out, grid)
    squares = np.square(held_out.astype(np.float64) - approximation)
    beyond = (held_out < low - half) | (held_out > high + half)
    signal = float(np.square(held_out, dtype=np.float64).sum())
    clipping = float(squares[beyond].sum())
    return RangeFigures(
        observer=observer,
        scale=float(grid.scale),
        low=low,
        high=high,
        sqnr_db=sqnr_db(held_out, approximation),
        clipping_db=_ratio_db(clipping, signal),
        rounding_db=_ratio_db(float(squares.sum()) - clipping, signal),
        clipped=int(beyond.sum()),
        values=held_out.size,
    )


def shown_histogram(histogram: StreamingHistogram) -> ActivationHistogram:
    """Put neighbouring bins together until they are few enough to be drawn; no count is guessed."""
    counts, edges = histogram.arrays()
    together = math.ceil(counts.size / BARS)
    padded = np.pad(counts, (0, -counts.size % together))
    bars = padded.reshape(-1, together).sum(axis=1)
    width = (edges[1] - edges[0]) * together
    return ActivationHistogram(
        edges=tuple((edges[0] + width * np.arange(bars.size + 1)).tolist()),
        counts=tuple(bars.tolist()),
        lowest=histogram.lowest,
        highest=histogram.highest,
        total=int(histogram.total),
        zeros=int(histogram.zeros),
    )


def _ratio_db(noise: float, signal: float) -> float:
    if noise <= 0:
        return -math.inf
    return 10 * math.log10(noise / signal) if signal else math.inf
