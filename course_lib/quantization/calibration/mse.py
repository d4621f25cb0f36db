"""The range whose grid moves the values least: smallest mean squared error, estimated from a histogram.

A wide range rounds all values coarsely, a narrow one clips the outermost. The error of one value t on a grid
with steps S and integers n_min … n_max around 0 is (t − S·n)², n = clip(round(t / S)). With the values of a
bin [a, b) evenly spread, its mean has a closed form:

    S³ · (F(b / S) − F(a / S)) / (b − a),    F(u) = n / 12 + (u − n)³ / 3,    n = clip(round(u), n_min, n_max)

(each whole step adds 1/12, the mean squared error of rounding; beyond the last one the cube goes on growing).
So one formula covers rounding and clipping, and no data is kept. Values of exactly 0 have no error.
"""

from typing import Any

import numpy as np

from course_lib.quantization.affine import choose_qparams_from_range
from course_lib.quantization.calibration.activations import NDArray
from course_lib.quantization.calibration.histogram import StreamingHistogram
from course_lib.quantization.calibration.search import best_window
from course_lib.quantization.grid import integer_range


class MSEObserver:
    """The range with the smallest mean squared error, clipped values included.

    Memory: that of a `StreamingHistogram`, 16 KiB.

    Parameters
    ----------
    bits
        Bit width of the grid, 2 to 16. The fewer, the narrower the range.
    symmetric
        Whether the range is (−t, t).

    Raises
    ------
    SettingError
        If ``bits`` is out of range.
    """

    def __init__(self, bits: int, symmetric: bool) -> None:
        integer_range(bits, signed=symmetric)
        self.bits, self.symmetric = bits, symmetric
        self.histogram = StreamingHistogram()

    def observe(self, x: Any, weights: Any = None) -> None:
        """Count one batch, any shape; ModelError if it holds NaN or infinite values.

        Parameters
        ----------
        weights
            How much the squared error of each value counts, in the shape of ``x``; by default 1.
        """
        self.histogram.add(x, weights)

    def range(self) -> tuple[float, float]:
        """Return (low, high), which contains 0; DataError if nothing was observed yet."""
        _, edges = self.histogram.magnitudes() if self.symmetric else self.histogram.arrays()

        def cost(first: NDArray, last: NDArray) -> NDArray:
            low, high = self.histogram.bounds(edges[first], edges[last], symmetric=self.symmetric)
            errors = expected_squared_error(self.histogram, low, high, self.bits, symmetric=self.symmetric)
            return np.where(first == last, np.inf, errors)

        first, last = best_window(cost, int(np.searchsorted(edges, 0.0)), edges.size)
        low, high = self.histogram.bounds(edges[first], edges[last], symmetric=self.symmetric)
        return float(low), float(high)

    def warning(self) -> str | None:
        """Return one sentence when all values so far are the same number, otherwise None."""
        return self.histogram.warning()


def expected_squared_error(
    histogram: StreamingHistogram, low: Any, high: Any, bits: int, *, symmetric: bool
) -> NDArray:
    """Return the mean of (x − x̂)² over the counted values, for the grids of some ranges.

    Parameters
    ----------
    histogram
        The counted values.
    low, high
        Ends of the ranges, numbers or arrays of shape (n,); the result has their shape.
    bits, symmetric
        The grid, as in `choose_qparams_from_range`.
    """
    counts, edges = histogram.arrays(with_zeros=False)
    qparams = choose_qparams_from_range(low, high, bits, symmetric=symmetric)
    scale = np.asarray(qparams.scale, np.float64)[..., None]
    zero_point = np.asarray(qparams.zero_point)[..., None]
    steps = edges / scale
    nearest = np.clip(np.rint(steps), qparams.quant_min - zero_point, qparams.quant_max - zero_point)
    integral = scale**3 * (nearest / 12 + (steps - nearest) ** 3 / 3)
    error: NDArray = np.diff(integral, axis=-1) @ (counts / np.diff(edges)) / histogram.total
    return error
