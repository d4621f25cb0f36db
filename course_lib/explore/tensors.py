"""Tensors to try a quantizer on: named distributions, one drawn by hand, layers of a model, or an array.

Each is kept as rows: one channel a row, (channels, values of a channel), so that a scale a channel or a group
means the same for every one of them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from course_lib.errors import DataError, SettingError
from course_lib.explore.model_source import ZOO_INPUT, ModelSource, onnx_of
from course_lib.explore.weight_graph import WeightGraph
from course_lib.registry import look_up

CHANNELS, PER_CHANNEL = 16, 256
"""Shape of the tensors that are made here."""

GROUP_SIZES = (128, 64, 32, 16, 9, 8, 4, 3)
"""Group sizes worth offering: powers of 2, and parts of a 3 × 3 kernel's channel."""


@dataclass(frozen=True, eq=False)
class RowTensor:
    """A tensor to quantize, as rows of one channel each.

    Parameters
    ----------
    name
        What it is called on the page.
    values
        float32, (channels, values of a channel), all finite.
    drawn_limit
        For a tensor drawn by hand: the drawing's axis goes from −limit to limit. None otherwise.
    peak
        For a tensor drawn by hand: how high its highest bar was drawn, in (0, 1]; 1 otherwise.
    """

    name: str
    values: NDArray[np.float32]
    drawn_limit: float | None = None
    peak: float = 1.0

    @property
    def group_sizes(self) -> tuple[int, ...]:
        """The offered group sizes that cut each channel into two groups or more, largest first."""
        count = self.values.shape[1]
        return tuple(size for size in GROUP_SIZES if size < count and count % size == 0)

    def with_outlier(self, multiple: float) -> "RowTensor":
        """Return this tensor with its first value replaced by ``multiple`` standard deviations; 0 leaves it.

        Raises
        ------
        SettingError
            If all values are equal, so that there is no standard deviation to multiply.
        """
        if multiple == 0:
            return self
        spread = float(self.values.std(dtype=np.float64))
        if spread == 0:
            raise SettingError(
                f"All values of {self.name} are equal, so that an outlier has no spread to be measured by; "
                "set outlier=0, or choose another tensor."
            )
        values = self.values.copy()
        values[0, 0] = multiple * spread
        return RowTensor(self.name, values, self.drawn_limit, self.peak)


def _unequal(generator: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.float64]:
    return generator.standard_normal(shape) * np.geomspace(0.05, 1, shape[0])[:, np.newaxis]


DISTRIBUTIONS: dict[str, Callable[[np.random.Generator, tuple[int, int]], NDArray[np.float64]]] = {
    "normal": lambda generator, shape: generator.standard_normal(shape),
    "uniform": lambda generator, shape: generator.uniform(-1, 1, shape),
    "Laplace": lambda generator, shape: generator.laplace(size=shape),
    "after ReLU": lambda generator, shape: np.maximum(generator.standard_normal(shape), 0),
    "normal, channels of unequal spread": _unequal,
}
"""Name → what draws the values; the channels' spread is about 1, or goes from 0.05 to 1 where unequal."""


def distribution(name: str, *, seed: int = 0) -> RowTensor:
    """Return 4,096 values drawn from a named distribution, 256 for each of 16 channels.

    Raises
    ------
    UnknownNameError
        If there is no such distribution; the message lists them.
    """
    draw = look_up(DISTRIBUTIONS, "distribution", name)
    values = draw(np.random.default_rng(seed), (CHANNELS, PER_CHANNEL))
    return RowTensor(name, values.astype(np.float32))


def drawn(heights: Sequence[float], *, limit: float = 1.0, seed: int = 0) -> RowTensor:
    """Return 4,096 values whose histogram has the given bars.

    The values are the quantiles (i + ½) / 4096 of the drawn density, in random order: none is left to chance.

    Parameters
    ----------
    heights
        Height of each bar, at least 0 and not all 0; bars of equal width from −limit to limit. The highest
        one's height is remembered for the page, in units of its drawing area.
    limit
        Where the last bar ends, above 0.

    Raises
    ------
    DataError
        If the heights or the limit are out of range.
    """
    bars = np.asarray(heights, np.float64)
    if bars.ndim != 1 or not bars.size or not np.isfinite(bars).all() or bars.min() < 0 or not bars.any():
        raise DataError(
            "A drawing takes a list of bar heights, each finite and at least 0, and one of them above 0; "
            "draw at least one bar."
        )
    if not 0 < limit < np.inf:
        raise DataError(f"The drawing's axis ends at {limit}; expected a finite number above 0, such as 1.0.")
    count = CHANNELS * PER_CHANNEL
    filled = np.flatnonzero(bars)
    below = np.concatenate([[0.0], np.cumsum(bars[filled]) / bars.sum()])
    quantiles = (np.arange(count) + 0.5) / count
    bar = np.clip(np.searchsorted(below, quantiles, side="right") - 1, 0, len(filled) - 1)
    within = (quantiles - below[bar]) / (below[bar + 1] - below[bar])
    values = limit * (2 * (filled[bar] + within) / bars.size - 1)
    shuffled = np.random.default_rng(seed).permutation(values).reshape(CHANNELS, PER_CHANNEL)
    return RowTensor("drawn by hand", shuffled.astype(np.float32), limit, min(float(bars.max()), 1.0))


def layer_tensors(source: ModelSource, input_shape: Sequence[int] = ZOO_INPUT) -> dict[str, RowTensor]:
    """Return the weights of a model's layers by name, in the order of the graph.

    Parameters
    ----------
    source
        A name of the zoo, the path of an ``.onnx`` file, or a PyTorch module.
    input_shape
        (C, H, W) of one input, needed to export a module.

    Raises
    ------
    UnknownNameError, ModelError, ExportError
        As `onnx_of` and `WeightGraph` do.
    """
    graph = WeightGraph(onnx_of(source, input_shape))
    return {
        weight.name: RowTensor(weight.name, _rows(weight.values, weight.channel_axis))
        for weight in graph.weights.values()
    }


def from_array(values: Any, *, name: str = "yours", channel_axis: int = 0) -> RowTensor:
    """Return an array of your own as a tensor to study.

    Parameters
    ----------
    values
        Real numbers of any shape, a NumPy array or a torch tensor on the CPU; one dimension makes one
        channel.
    channel_axis
        The axis of the channels.

    Raises
    ------
    DataError
        If there are no values, or some are not finite numbers, or there is no such axis.
    """
    if hasattr(values, "detach"):
        values = values.detach()
    try:
        array = np.asarray(values, np.float32)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"A tensor to quantize is an array of real numbers, not {type(values).__name__}; "
            "pass a NumPy array or a torch tensor."
        ) from error
    if not array.size or not np.isfinite(array).all():
        raise DataError(
            f"This tensor of shape {array.shape} is empty or holds NaN or infinite values; pass finite "
            "numbers, for example after numpy.nan_to_num."
        )
    array = array.reshape(1, -1) if array.ndim < 2 else array
    if not -array.ndim <= channel_axis < array.ndim:
        raise DataError(
            f"channel_axis is {channel_axis}, but this tensor has {array.ndim} dimensions; "
            "pass 0 for the first."
        )
    return RowTensor(name, _rows(array, channel_axis))


def _rows(values: NDArray[np.float32], channel_axis: int) -> NDArray[np.float32]:
    moved = np.moveaxis(values, channel_axis, 0)
    return np.ascontiguousarray(moved.reshape(len(moved), -1))
