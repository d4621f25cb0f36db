"""How much does each layer suffer from few bits? Measured on the exported graph, in the background.

Only one layer's weight is put on its grid, all else stays in floating point, and ONNX Runtime runs the model
on labelled images: L layers at B widths are L·B runs. `course_lib.quantization.models.sensitivity` does less
work for the same (it shares what layers have in common), but runs in PyTorch, which needs seconds to import,
about 200 MB, and two to four times as long for each run; it also cannot take an ONNX file. So this is quicker
on the models of the course, and a kernel stays small.

Two numbers for each layer and width: the rise of the mean cross-entropy, which is what counts but mostly
chance at 5 bits and above, and the mean Kullback-Leibler divergence Σ p·ln(p / p̂) of the classes'
probabilities before (p) and after (p̂), which is never negative and ranks layers steadily: on the depthwise
network, 512 images rank all layers and widths as 4,000 do (rank correlation 0.999; of the loss, 0.86). Bits
are chosen by the second.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from course_lib.data import Dataset
from course_lib.explore.assignment import WIDTHS
from course_lib.explore.sensitivity import SensitivityEngine


class LayerLoss(NamedTuple):
    """What the whole model loses when one layer alone is at one width, in nats an image.

    ``loss_increase`` is the rise of the mean cross-entropy, below zero where rounding happened to help;
    ``divergence`` says how far the classes' probabilities move, right or wrong, at least 0.
    """

    loss_increase: float
    divergence: float


@dataclass(frozen=True)
class SensitivityMap:
    """The sensitivities known so far.

    Parameters
    ----------
    params
        Layer → how many values its weight has, in the order of the graph.
    losses
        Layer → bits → what the model loses.
    images
        How many images that was measured on.
    """

    params: Mapping[str, int]
    losses: Mapping[str, Mapping[int, LayerLoss]]
    images: int

    @property
    def share(self) -> float:
        """Share of all layers and widths that is measured, in [0, 1]."""
        return sum(map(len, self.losses.values())) / (len(self.params) * len(WIDTHS))

    @property
    def complete(self) -> bool:
        """Whether every layer is measured at every width."""
        return self.share == 1


class SensitivityMeasurement:
    """The measurement of every layer at every width, which can be interrupted and gone on with.

    Parameters
    ----------
    engine
        The model.
    images
        What it is run on, from the training set: bits that are chosen by these numbers must not know the
        test set. A few hundred are enough.
    """

    def __init__(self, engine: SensitivityEngine, images: Dataset) -> None:
        self._engine, self._images = engine, images
        self._reference: NDArray[np.float64] | None = None
        self._losses: dict[str, dict[int, LayerLoss]] = {layer: {} for layer in engine.layers}

    @property
    def known(self) -> SensitivityMap:
        """What is measured so far."""
        params = {name: weight.values.size for name, weight in self._engine.graph.weights.items()}
        return SensitivityMap(
            params, {layer: dict(row) for layer, row in self._losses.items()}, len(self._images)
        )

    def stream(self, cancelled: Callable[[], bool] = lambda: False) -> Iterator[SensitivityMap]:
        """Measure what is missing, and yield all that is known after each new number.

        Parameters
        ----------
        cancelled
            Asked every few milliseconds; once it says True, the stream ends, and another one goes on from
            there.
        """
        for layer, row in self._losses.items():
            for width in WIDTHS:
                if width in row:
                    continue
                if self._reference is None:
                    self._reference = self._log_probabilities({}, cancelled)
                values = {layer: self._engine.quantized(layer, width).values}
                changed = self._log_probabilities(values, cancelled)
                if self._reference is None or changed is None:
                    return
                row[width] = _loss(self._reference, changed, self._images.labels)
                yield self.known

    def finish(self) -> SensitivityMap:
        """Return the whole map, measuring what is missing."""
        for _ in self.stream():
            pass
        return self.known

    def _log_probabilities(
        self, values: Mapping[str, NDArray[np.float32]], cancelled: Callable[[], bool]
    ) -> NDArray[np.float64] | None:
        """Return ln p of each image and class, (N, classes), or None if cancelled on the way."""
        pieces = []
        for scores in self._engine.scores(values, self._images.all_inputs):
            if cancelled():
                return None
            pieces.append(scores)
        logits = np.concatenate(pieces).astype(np.float64)
        logits -= logits.max(axis=1, keepdims=True)
        logarithms: NDArray[np.float64] = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        return logarithms


def _loss(before: NDArray[np.float64], after: NDArray[np.float64], labels: NDArray[np.int64]) -> LayerLoss:
    rows = np.arange(len(labels))
    increase = (before - after)[rows, labels].mean()
    divergence = (np.exp(before) * (before - after)).sum(axis=1).mean()
    # Rounding can leave a sum of nothing a hair below zero.
    return LayerLoss(float(increase), max(0.0, float(divergence)))
