"""All observers by name: from a stream of activations to the range that a grid is fitted to.

    observer = OBSERVERS["mse"](8, False)
    for batch in batches:
        observer.observe(batch)
    low, high = observer.range()

None of them keeps the data. What they keep: min-max 16 bytes, moving average 32, percentile and mse 16 KiB,
entropy 64 KiB, for each observed tensor.
"""

from collections.abc import Callable
from typing import Any, Protocol

from course_lib.quantization.calibration.activations import Bound
from course_lib.quantization.calibration.entropy import EntropyObserver
from course_lib.quantization.calibration.minmax import MinMaxObserver, MovingAverageObserver
from course_lib.quantization.calibration.mse import MSEObserver
from course_lib.quantization.calibration.percentile import PercentileObserver


class Observer(Protocol):
    """Watches a tensor of a model over many batches and then says which range to quantize."""

    def observe(self, x: Any) -> None:
        """Take note of one batch: a NumPy array or a torch tensor, any shape.

        Raises
        ------
        ModelError
            If some of the values are NaN, infinite, or beyond ±1e38; the batch is then left out.
        """

    def range(self) -> tuple[Bound, Bound]:
        """Return (low, high), which contains 0, for `choose_qparams_from_range`.

        Raises
        ------
        DataError
            If no value was observed yet.
        """

    def warning(self) -> str | None:
        """Return one sentence when all values so far are the same number, otherwise None."""


OBSERVERS: dict[str, Callable[[int, bool], Observer]] = {
    "minmax": lambda bits, symmetric: MinMaxObserver(),
    "moving_average": lambda bits, symmetric: MovingAverageObserver(),
    "percentile": lambda bits, symmetric: PercentileObserver(symmetric),
    "mse": MSEObserver,
    "entropy": EntropyObserver,
}
"""Name → function of (bits, symmetric) that makes an observer for one range of a tensor."""
