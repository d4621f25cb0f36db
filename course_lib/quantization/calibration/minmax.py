"""Ranges from extremes: of all the data, or of each batch, averaged over time. A few numbers of memory."""

from typing import Any, TypeAlias

import numpy as np

from course_lib.errors import DataError, SettingError
from course_lib.quantization.calibration.activations import (
    Bound,
    NDArray,
    as_finite,
    constant_warning,
    nothing_observed,
)

Extremes: TypeAlias = tuple[NDArray, NDArray]


class MinMaxObserver:
    """The smallest and the largest value seen; one outlier decides the whole grid.

    Parameters
    ----------
    axis
        The axis that keeps its own ranges, as in `PerChannel`; None for one range. Memory: 16 bytes a range.

    Raises
    ------
    DataError
        From `observe`, if a batch lacks the axis or has another number of channels than those before.
    """

    def __init__(self, axis: int | None = None) -> None:
        self.axis = axis
        self._seen: Extremes | None = None

    def observe(self, x: Any) -> None:
        """Take note of one batch, any shape; ModelError if it holds NaN or infinite values."""
        values = as_finite(x)
        if not values.size:
            return
        new = self._extremes(values)
        if self._seen is not None and new[0].shape != self._seen[0].shape:
            raise DataError(
                f"A batch with ranges of shape {new[0].shape} came after batches with {self._seen[0].shape}; "
                "observe tensors with the same channels and dimensions."
            )
        self._update(new)

    def range(self) -> tuple[Bound, Bound]:
        """Return (low, high), which contains 0; per channel, arrays with 1 along every other axis.

        Raises
        ------
        DataError
            If nothing was observed yet.
        """
        fitted = self._fitted()
        if fitted is None:
            raise nothing_observed()
        low, high = np.minimum(fitted[0], 0.0), np.maximum(fitted[1], 0.0)
        return (float(low), float(high)) if self.axis is None else (low, high)

    def warning(self) -> str | None:
        """Return one sentence when all values so far are the same number, otherwise None."""
        return None if self._seen is None else constant_warning(*self._seen)

    def _extremes(self, values: NDArray) -> Extremes:
        shared: tuple[int, ...] | None = None
        if self.axis is not None:
            if not -values.ndim <= self.axis < values.ndim:
                raise DataError(
                    f"MinMaxObserver(axis={self.axis}) needs tensors that have this axis, but this one has "
                    f"{values.ndim} dimensions; choose another axis, or None."
                )
            shared = tuple(axis for axis in range(values.ndim) if axis != self.axis % values.ndim)
        keep = self.axis is not None
        low = np.asarray(values.min(axis=shared, keepdims=keep), np.float64)
        return low, np.asarray(values.max(axis=shared, keepdims=keep), np.float64)

    def _update(self, new: Extremes) -> None:
        seen = self._seen or new
        self._seen = np.minimum(seen[0], new[0]), np.maximum(seen[1], new[1])

    def _fitted(self) -> Extremes | None:
        return self._seen


class MovingAverageObserver(MinMaxObserver):
    """The extremes of a batch, averaged over batches with fading weights (Jacob et al. 2018, section 3.1).

    low ← low + c · (min(batch) − low), and high alike; the first batch is taken as it is. One odd batch moves
    the range by the fraction c of its distance. Memory: 32 bytes.

    Parameters
    ----------
    averaging_constant
        c, above 0 and at most 1. The papers' 0.01 is for thousands of training steps; 0.1 suits the ten to
        hundred batches of a calibration, which 0.01 would leave near the first batch.

    Raises
    ------
    SettingError
        If ``averaging_constant`` is outside its range.
    """

    def __init__(self, averaging_constant: float = 0.1) -> None:
        if not 0 < averaging_constant <= 1:
            raise SettingError(
                f"averaging_constant is {averaging_constant!r}, but it is the share of the newest batch, "
                "above 0 and at most 1; try 0.1."
            )
        super().__init__()
        self.averaging_constant = averaging_constant
        self._average: Extremes | None = None

    def _update(self, new: Extremes) -> None:
        super()._update(new)
        low, high = self._average or new
        c = self.averaging_constant
        self._average = np.asarray(low + c * (new[0] - low)), np.asarray(high + c * (new[1] - high))

    def _fitted(self) -> Extremes | None:
        return self._average
