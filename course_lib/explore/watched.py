"""What a calibration keeps of one activation: enough to fit every observer's range at once, and no more.

Observers look at a stream of batches, and what they keep of it does not depend on the grid they will be asked
for. So all of them watch one run over the calibration images, and at 8, 16, 32 … images each is copied as it
stands. Any observer, bit width and number of images can then be asked for its range without the data.

Memory for an activation: a histogram of 16 KiB (percentile and mse share it) and one of 64 KiB (entropy) at
each of at most 8 stops, and 2^18 values of images that do not calibrate, 1 MiB: 1.7 MB in all, however large
the activation is.
"""

from copy import deepcopy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from course_lib.quantization.calibration import (
    OBSERVERS,
    EntropyObserver,
    MSEObserver,
    Observer,
    PercentileObserver,
    StreamingHistogram,
)

BATCH = 8
"""Images a batch: the moving average is one over batches."""

STOPS = tuple(BATCH * 2**step for step in range(8))
"""Numbers of calibration images that can be asked for: 8 to 1,024."""

HELD_OUT_VALUES = 1 << 18

SHARED = {"percentile": "mse"}
"""Observer → another one that keeps the same of the data."""


class WatchedTensor:
    """One activation, watched by all observers.

    Parameters
    ----------
    name
        Of the step that makes it.

    Attributes
    ----------
    held_out
        float32, (n,): values from images that do not calibrate.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.held_out: NDArray[np.float32] = np.zeros(0, np.float32)
        # What they keep does not depend on the bits and the symmetry given here.
        self._watching = {kind: make(8, False) for kind, make in OBSERVERS.items() if kind not in SHARED}
        self._stops: dict[int, dict[str, Observer]] = {}

    def observe(self, values: NDArray[np.float32], images: int) -> None:
        """Show one batch to all observers, and copy them where ``images``, all seen so far, is a stop.

        Raises
        ------
        ModelError
            If some of the values are NaN or infinite.
        """
        for observer in self._watching.values():
            observer.observe(values)
        if images in STOPS:
            self._stops[images] = deepcopy(self._watching)

    def hold_out(self, values: NDArray[np.float32], generator: np.random.Generator) -> None:
        """Keep these values for measuring errors, a random choice where they are too many."""
        flat = values.reshape(-1)
        if flat.size > HELD_OUT_VALUES:
            flat = flat[generator.choice(flat.size, HELD_OUT_VALUES, replace=False)]
        self.held_out = flat.astype(np.float32)

    def histogram(self, images: int) -> StreamingHistogram:
        """Return the histogram of the first calibration images."""
        observer: Any = self._stops[images]["mse"]
        histogram: StreamingHistogram = observer.histogram
        return histogram

    def range(self, kind: str, bits: int, symmetric: bool, images: int) -> tuple[float, float]:
        """Return the range (low, high) that an observer of this kind gives after so many images."""
        kept: Any = self._stops[images][SHARED.get(kind, kind)]
        observer = OBSERVERS[kind](bits, symmetric)
        if isinstance(observer, PercentileObserver | MSEObserver | EntropyObserver):
            observer.histogram = kept.histogram
        else:
            observer = kept
        low, high = observer.range()
        return float(low), float(high)
