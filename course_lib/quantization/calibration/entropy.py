"""The range whose grid keeps most of the distribution: smallest Kullback-Leibler divergence (Migacz 2017).

This is the calibration of TensorRT's first int8 releases. For a range of the histogram,

- P is the histogram inside, with everything outside added to its first and its last bin (it gets clipped);
- Q is the histogram inside seen through the grid: its bins are put together into as many runs as the grid has
  levels, and the count of each run is spread evenly over those of its bins that P fills;

and the range with the smallest KL(P‖Q) = Σ p · log(p / q) is taken. Migacz treats |x| with 128 levels. Here
2^(b−1) levels of |x| stand for a symmetric grid of b bits, and 2^b levels of x, both ends free, for an
asymmetric one. The runs are as equal as whole bins allow; ONNX Runtime cuts them short and leaves the rest to
the last run. Values of exactly 0 stay out: every grid holds them, and a ReLU's spike would decide alone.

Worked example, counts [4, 2, 1, 1], 2 levels. The whole range: P = [4, 2, 1, 1] / 8, Q = [3, 3, 1, 1] / 8 and
KL = 4/8 · log(4/3) + 2/8 · log(2/3) = 0.0425. The first two bins: P = [4, 4] / 8, Q = [4, 2] / 6 and
KL = 0.5 · log(0.5 · 6/4) + 0.5 · log(0.5 · 6/2) = 0.0589. The whole range is taken.

Left out: smoothing Q where it is 0; such a range counts as infinitely far.
"""

from typing import Any

import numpy as np

from course_lib.quantization.calibration.activations import NDArray
from course_lib.quantization.calibration.histogram import StreamingHistogram
from course_lib.quantization.calibration.search import best_window
from course_lib.quantization.grid import integer_range

BINS = 8192
"""Enough for Migacz's 16 bins a level at 8 bits, symmetric, where the values are as far below 0 as above."""
STRIDES = (8, 1)
"""The divergence jumps from bin to bin, so the search takes small steps from the start."""


class EntropyObserver:
    """The range with the smallest KL divergence between the values and the quantized values.

    Memory: that of a `StreamingHistogram` of 8,192 bins, 64 KiB. A grid with more levels than the range has
    bins (from 12 bits on) keeps all of the distribution; then the range is that of min-max.

    Parameters
    ----------
    bits
        Bit width of the grid, 2 to 16.
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
        self.histogram = StreamingHistogram(BINS)

    def observe(self, x: Any) -> None:
        """Count one batch, any shape; ModelError if it holds NaN or infinite values."""
        self.histogram.add(x)

    def range(self) -> tuple[float, float]:
        """Return (low, high), which contains 0; DataError if nothing was observed yet."""
        arrays = self.histogram.magnitudes if self.symmetric else self.histogram.arrays
        counts, edges = arrays(with_zeros=False)
        levels = 2 ** (self.bits - self.symmetric)

        def cost(first: NDArray, last: NDArray) -> NDArray:
            return kl_divergences(counts, first, last, levels)

        first, last = 0, edges.size - 1
        if counts.size > levels and counts.any():
            first, last = best_window(cost, int(np.searchsorted(edges, 0.0)), edges.size, STRIDES)
        low, high = self.histogram.bounds(edges[first], edges[last], symmetric=self.symmetric)
        return float(low), float(high)

    def warning(self) -> str | None:
        """Return one sentence when all values so far are the same number, otherwise None."""
        return self.histogram.warning()


def kl_divergences(counts: NDArray, first: NDArray, last: NDArray, levels: int) -> NDArray:
    """Return KL(P‖Q) in nats for ranges of bins, shape (n,).

    With h the counts, the sum over all bins is Σ p log p − Σ_runs P_run · log(h_run / filled_run), apart from
    the two totals; so cumulative sums give each range without visiting its bins.

    Parameters
    ----------
    counts
        The histogram, shape (bins,), with at least one count.
    first, last
        Each range has the bins first … last − 1; shape (n,). Fewer bins than levels give infinity.
    levels
        Levels of the grid, 2 or more.
    """
    sums, filled, logs = (_cumulative(each) for each in (counts, counts > 0, _x_log_x(counts)))
    wide_enough = last - first >= levels
    divergences = np.full(first.shape, np.inf)
    first, last = first[wide_enough], last[wide_enough]

    ends = first[:, None] + (last - first)[:, None] * np.arange(levels + 1) // levels
    run, run_filled = np.diff(sums[ends]), np.diff(filled[ends])
    inside, p_run, p_logs = run.sum(axis=1), run.copy(), logs[last] - logs[first]
    for column, bin_, outside in ((0, first, sums[first]), (-1, last - 1, sums[-1] - sums[last])):
        p_run[:, column] += outside
        run_filled[:, column] += (counts[bin_] == 0) & (outside > 0)
        p_logs += _x_log_x(counts[bin_] + outside) - _x_log_x(counts[bin_])

    with np.errstate(divide="ignore", invalid="ignore"):  # log(0) where a run is empty, and 0 · −inf
        q_logs = np.where(p_run > 0, p_run * np.log(run / run_filled), 0.0).sum(axis=1)
        kl = (p_logs - q_logs) / sums[-1] - np.log(sums[-1]) + np.log(inside)
    divergences[wide_enough] = np.where(inside > 0, kl, np.inf)
    return divergences


def _cumulative(values: NDArray) -> NDArray:
    return np.concatenate([[0], np.cumsum(values)])


def _x_log_x(values: NDArray) -> NDArray:
    x = values.astype(np.float64)
    return x * np.log(np.where(x > 0, x, 1.0))
