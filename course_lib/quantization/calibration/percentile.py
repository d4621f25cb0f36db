"""A range that leaves out the rarest values: a percentile of a histogram of the data."""

from typing import Any

import numpy as np

from course_lib.errors import SettingError
from course_lib.quantization.calibration.activations import NDArray
from course_lib.quantization.calibration.histogram import StreamingHistogram


class PercentileObserver:
    """The range that holds ``percentile`` per cent of the values.

    Symmetric: that percentile of |x|. Asymmetric: half of the rest is left out on either side. The values are
    counted by a `StreamingHistogram`, so each end is off by at most one bin.

    Parameters
    ----------
    symmetric
        Whether the range is (−t, t).
    percentile
        Share of the values inside, above 50 and at most 100 (which gives min-max). 99.99 leaves out one value
        in ten thousand.

    Raises
    ------
    SettingError
        If ``percentile`` is outside its range.
    """

    def __init__(self, symmetric: bool, percentile: float = 99.99) -> None:
        if not 50 < percentile <= 100:
            raise SettingError(
                f"percentile is {percentile!r}, but it is the share of values to keep, above 50 and at most "
                "100; try 99.99."
            )
        self.symmetric, self.percentile = symmetric, percentile
        self.histogram = StreamingHistogram()

    def observe(self, x: Any) -> None:
        """Count one batch, any shape; ModelError if it holds NaN or infinite values."""
        self.histogram.add(x)

    def range(self) -> tuple[float, float]:
        """Return (low, high), which contains 0; DataError if nothing was observed yet."""
        outside = 1 - self.percentile / 100
        if self.symmetric:
            low, high = 0.0, quantile(*self.histogram.magnitudes(), 1 - outside)
        else:
            counts, edges = self.histogram.arrays()
            low, high = quantile(counts, edges, outside / 2), quantile(counts, edges, 1 - outside / 2)
        low, high = self.histogram.bounds(low, high, symmetric=self.symmetric)
        return float(low), float(high)

    def warning(self) -> str | None:
        """Return one sentence when all values so far are the same number, otherwise None."""
        return self.histogram.warning()


def quantile(counts: NDArray, edges: NDArray, share: float) -> float:
    """Return the number below which a ``share`` (0 to 1) of the counted values lies.

    Within a bin the values count as evenly spread; the true value lies in the same bin.
    """
    rank = share * counts.sum()
    below = np.cumsum(counts)
    filled = np.flatnonzero(counts)
    index = filled[min(int(np.searchsorted(below[filled], rank)), filled.size - 1)]
    part = (rank - (below[index] - counts[index])) / counts[index]
    return float(edges[index] + part * (edges[index + 1] - edges[index]))
