"""A histogram of a stream of values, in bounded memory, with exact counts.

Bin k counts the values with k·w ≤ x < (k + 1)·w. The width w is a power of two, and when a value falls
outside the bins that there are, w doubles: bins 2k and 2k + 1 become one, and no count is ever guessed. Zero
is always an edge, and always inside. The width is the smallest with which the bins reach from min(0, lowest)
to max(0, highest), so about half of the bins or more are in use, and the result depends on the values alone,
not on their order or on how they were cut into batches.

Memory: 8 bytes a bin, 16 KiB for the 2,048 bins of the default, however much data comes, and copies of the
batch at hand while it is counted. ONNX Runtime's calibrators need memory that grows with the data.

Worked example, 4 bins: 0.0, 0.5 and 0.9 need w = 0.25 and give [1, 0, 1, 1]. Then 1.6 comes: w = 0.5 gives
[1, 2, 0, 1].

Left out: bins of unequal width. One value at 1000 beside a bell of width 1 leaves the bell a dozen bins.
"""

from typing import Any

import numpy as np

from course_lib.errors import SettingError
from course_lib.quantization.calibration.activations import (
    NDArray,
    as_finite,
    constant_warning,
    nothing_observed,
)

CHUNK = 1 << 16
"""Values that are counted at a time, which bounds the memory for their bin numbers."""
FINEST = -149
"""Exponent of the smallest bin width: the distance between neighbouring float32 numbers around 0."""


class StreamingHistogram:
    """Counts of the values seen so far, in at most ``bins`` bins.

    Parameters
    ----------
    bins
        How many bins there are, 2 or more.

    Attributes
    ----------
    lowest, highest
        The extremes of the values, exact.
    total, zeros
        How many values came, and how many of them were exactly 0; sums of the weights where values have some.

    Raises
    ------
    SettingError
        If ``bins`` is not a whole number of 2 or more.
    """

    def __init__(self, bins: int = 2048) -> None:
        if not isinstance(bins, int) or bins < 2:
            raise SettingError(
                f"A histogram of {bins!r} bins cannot be kept; choose 2 or more, such as 2048."
            )
        self.lowest, self.highest = np.inf, -np.inf
        self.total: float = 0
        self.zeros: float = 0
        self._exponent, self._first = FINEST, 0  # w = 2^exponent; the bin number k of counts[0]
        self._counts = np.zeros(bins, np.int64)

    def add(self, x: Any, weights: Any = None) -> None:
        """Count the values of an array of any shape; an array without values changes nothing.

        Parameters
        ----------
        weights
            How much each value counts, in the shape of ``x``, finite and not below 0; by default 1. After a
            weighted batch the counts are floating-point sums.

        Raises
        ------
        ModelError
            If some of the values are NaN, infinite, or beyond ±1e38; then none is counted.
        """
        values = as_finite(x).reshape(-1)
        weighed = None if weights is None else as_finite(weights).reshape(-1).astype(np.float64)
        if not values.size:
            return
        self.lowest = min(self.lowest, float(values.min()))
        self.highest = max(self.highest, float(values.max()))
        self._widen()
        for start in range(0, values.size, CHUNK):
            chunk = values[start : start + CHUNK].astype(np.float64)
            bins = np.floor(np.ldexp(chunk, -self._exponent)).astype(np.int64) - self._first
            heaviness = None if weighed is None else weighed[start : start + CHUNK]
            self._counts = self._counts + np.bincount(bins, heaviness, self._counts.size)
        self.total += values.size if weighed is None else float(weighed.sum())
        is_zero = values == 0
        self.zeros += int(is_zero.sum()) if weighed is None else float(weighed[is_zero].sum())

    def warning(self) -> str | None:
        """Return one sentence when all values so far are the same number, otherwise None."""
        return constant_warning(self.lowest, self.highest) if self.lowest <= self.highest else None

    def arrays(self, *, with_zeros: bool = True) -> tuple[NDArray, NDArray]:
        """Return the counts, shape (n,), and the edges, shape (n + 1,), of the bins in use.

        Parameters
        ----------
        with_zeros
            Whether the values that are exactly 0 count. After a ReLU they are half of all, and no grid moves
            them, so a choice among grids leaves them out.

        Raises
        ------
        DataError
            If nothing was counted yet.
        """
        if self.lowest > self.highest:
            raise nothing_observed()
        last = self._bin(max(self.highest, 0.0))
        counts = self._counts[: last + 1 - self._first].copy()
        if not with_zeros:
            counts[-self._first] = max(counts[-self._first] - self.zeros, 0)
        return counts, np.ldexp(np.arange(self._first, last + 2, dtype=np.float64), self._exponent)

    def magnitudes(self, *, with_zeros: bool = True) -> tuple[NDArray, NDArray]:
        """Return the counts and the edges of |x|, from 0 up.

        A negative value exactly on an edge is counted one bin nearer to 0.

        Parameters
        ----------
        with_zeros
            As for `arrays`.

        Raises
        ------
        DataError
            If nothing was counted yet.
        """
        counts, _ = self.arrays(with_zeros=with_zeros)
        positive, negative = counts[-self._first :], counts[: -self._first][::-1]
        folded = np.zeros(max(positive.size, negative.size), counts.dtype)
        folded[: positive.size] += positive
        folded[: negative.size] += negative
        return folded, np.ldexp(np.arange(folded.size + 1, dtype=np.float64), self._exponent)

    def bounds(self, low: Any, high: Any, *, symmetric: bool) -> tuple[Any, Any]:
        """Return ranges between edges cut down to the extremes of the values, and widened to contain 0.

        Parameters
        ----------
        low, high
            Ends of the ranges, numbers or arrays of one shape.
        symmetric
            Whether the ranges are (−high, high).
        """
        if symmetric:
            high = np.minimum(high, max(-self.lowest, self.highest))
            return 0.0 - high, high
        return np.clip(low, min(self.lowest, 0.0), 0.0), np.clip(high, 0.0, max(self.highest, 0.0))

    def _bin(self, value: float) -> int:
        return int(np.floor(np.ldexp(value, -self._exponent)))

    def _widen(self) -> None:
        """Double the width until all values have a bin, and move the counts to their new places."""
        low, high = min(self.lowest, 0.0), max(self.highest, 0.0)
        old_exponent, old_first, bins = self._exponent, self._first, self._counts.size
        if high > low:
            start = int(np.frexp(high - low)[1]) - bins.bit_length()  # too narrow, by one or two doublings
            self._exponent = max(old_exponent, start)
        while self._bin(high) - self._bin(low) >= bins:
            self._exponent += 1
        self._first = self._bin(low)
        doublings = min(self._exponent - old_exponent, 63)  # 63 already leave only 0 and −1
        places = (np.arange(old_first, old_first + bins) >> doublings) - self._first
        used = self._counts > 0
        counts = np.zeros_like(self._counts)
        np.add.at(counts, places[used], self._counts[used])
        self._counts = counts
