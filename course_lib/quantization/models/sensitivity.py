"""How much does each layer suffer from few bits? Measured one layer and one bit width at a time.

Only the weight of one layer is put on its grid, all else stays as it is, and the model is run on labelled
images. What is reported is what the whole model loses by it: the rise of the mean cross-entropy, the
accuracy, and the SQNR of the scores. Two slips are common in published code: a hook that quantizes the
layer's *output* (this is the sensitivity of an activation), and a function made in a loop, which sees the
loop's last layer in every round because Python looks the name up when it is called.

L layers at B bit widths are L·B whole runs when done one by one. Here the work up to the changed layer is
done once for all (`branching`), which gives the same bits for less than half of the time.

The rise of the loss is what counts, but measured on a thousand images it is mostly chance from 5 bits up, and
often negative. The Kullback-Leibler divergence Σ p·ln(p / p̂) of the scores before (p) and after (p̂) asks
how much the answers move, right or wrong. It is never negative, has no linear term in the change of the
weight, and so ranks layers steadily; choose bits by it.

Left out: how layers act on each other. Losses of layers quantized together are taken to add up, as choosing
bit widths by them assumes (Dong et al. 2020).
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.benchmarking.checks import require_count
from course_lib.errors import MeasurementError
from course_lib.quantization.models.branching import BranchingModel
from course_lib.quantization.models.layerwise import (
    WeightScheme,
    checked,
    checked_scores,
    nearest_per_channel,
    quantized_weights,
)
from course_lib.training.evaluate import Examples

LossTable: TypeAlias = dict[str, dict[int, float]]
"""Path of a layer → bits → loss."""

BATCH_SIZE = 50
"""Small batches stay in the processor's cache and run up to three times faster than batches of 500."""


@dataclass(frozen=True)
class LayerSensitivity:
    """What the model is like with one layer's weight quantized.

    Parameters
    ----------
    layer, bits
        The path of the layer and the bit width of its weight.
    loss
        Mean cross-entropy, in nats.
    loss_increase
        ``loss`` less that of the float model; below zero where rounding happened to help.
    divergence
        Mean Kullback-Leibler divergence of the classes' probabilities from the float model's, in nats.
    accuracy
        Fraction of images classified rightly, in [0, 1].
    sqnr_db
        Signal-to-quantization-noise ratio of the model's scores, against those of the float model.
    """

    layer: str
    bits: int
    loss: float
    loss_increase: float
    divergence: float
    accuracy: float
    sqnr_db: float


@dataclass(frozen=True)
class SensitivityTable:
    """The sensitivity of layers, in order of execution, at each bit width, over the first ``images`` ones."""

    float_loss: float
    float_accuracy: float
    rows: tuple[LayerSensitivity, ...]
    images: int

    def losses(self) -> LossTable:
        """Return path → bits → rise of the loss."""
        return self._by_layer([row.loss_increase for row in self.rows])

    def divergences(self) -> LossTable:
        """Return path → bits → divergence: what `allocate` should go by."""
        return self._by_layer([row.divergence for row in self.rows])

    def _by_layer(self, values: Sequence[float]) -> LossTable:
        table: LossTable = {}
        for row, value in zip(self.rows, values, strict=True):
            table.setdefault(row.layer, {})[row.bits] = value
        return table


def layer_sensitivity(
    model: nn.Module,
    examples: Examples,
    bits: Sequence[int] = (2, 3, 4, 6, 8),
    *,
    layers: Sequence[str] | None = None,
    scheme: WeightScheme = nearest_per_channel,
    batch_size: int = BATCH_SIZE,
    on_progress: Callable[[float], None] = lambda share: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> SensitivityTable:
    """Return the sensitivity of each layer at each bit width: the last table of `stream_sensitivity`.

    When cancelled, the table covers the batches that were done; ``images`` says how many images these are.

    Raises
    ------
    MeasurementError
        If it was cancelled before the first batch was done.
    """
    table = None
    for table in stream_sensitivity(  # noqa: B007  (the last one is wanted)
        model,
        examples,
        bits,
        layers=layers,
        scheme=scheme,
        batch_size=batch_size,
        on_progress=on_progress,
        cancelled=cancelled,
    ):
        pass
    if table is None:
        raise MeasurementError(
            "The sensitivity analysis was cancelled before its first batch was done; let it run longer, or "
            "pass a smaller batch_size."
        )
    return table


def stream_sensitivity(
    model: nn.Module,
    examples: Examples,
    bits: Sequence[int] = (2, 3, 4, 6, 8),
    *,
    layers: Sequence[str] | None = None,
    scheme: WeightScheme = nearest_per_channel,
    batch_size: int = BATCH_SIZE,
    on_progress: Callable[[float], None] = lambda share: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Iterator[SensitivityTable]:
    """Yield a table after each batch, over all images so far; the last one is over all of them.

    Parameters
    ----------
    model
        A classifier, (N, …) → scores (N, number of classes); left as it is.
    examples
        Images to run it on, from the training set: what is chosen by them must not know the test set.
    bits
        Bit widths to try.
    layers
        Paths of the layers to try; None for all.
    scheme
        How a weight is quantized; called once for each layer and bit width.
    batch_size
        Images at a time. More need more memory.
    on_progress
        Told the share of the work done, in [0, 1].
    cancelled
        Asked before each run; once it says True, the stream ends.

    Raises
    ------
    DataError
        If there are no images, or not one label an image.
    ModelError
        If the model cannot be traced, its scores are not (N, number of classes), or some are not finite.
    UnknownNameError
        If there is no such layer.
    """
    branching = BranchingModel(model)
    weights = quantized_weights(branching.layers, bits, layers, scheme)
    inputs, labels = checked(examples)
    require_count("batch_size", batch_size, 1)
    sums: dict[tuple[str, int], Tensor] = {}
    total = math.ceil(len(labels) / batch_size) * (1 + sum(map(len, weights.values())))
    runs = seen = 0
    for batch, batch_labels in zip(
        torch.split(inputs, batch_size), torch.split(labels, batch_size), strict=True
    ):
        scores: dict[tuple[str, int], Tensor] = {}
        with torch.inference_mode():
            for path, width, output in branching.run(batch, weights):
                scores[path, width] = checked_scores(output, len(batch), finite=not path)
                runs += 1
                on_progress(runs / total)
                if cancelled():
                    return
            for key, value in scores.items():
                sums[key] = sums.get(key, 0) + _sums(value, scores["", 0], batch_labels)
        seen += len(batch)
        yield _table(sums, seen)


def _sums(scores: Tensor, reference: Tensor, labels: Tensor) -> Tensor:
    """Return sums over a batch, float64 (5,): loss, divergence, right answers, signal and noise energy."""
    exact, signal = scores.double(), reference.double()
    loss = F.cross_entropy(exact, labels, reduction="sum")
    divergence = F.kl_div(exact.log_softmax(1), signal.log_softmax(1), reduction="sum", log_target=True)
    return torch.stack(
        [
            loss,
            divergence,
            (scores.argmax(1) == labels).sum(),
            signal.square().sum(),
            (signal - exact).square().sum(),
        ]
    )


def _table(sums: Mapping[tuple[str, int], Tensor], images: int) -> SensitivityTable:
    float_loss, _, float_right, _, _ = (sums["", 0] / images).tolist()
    rows = []
    for (path, width), total in sums.items():
        loss, divergence, right, signal, noise = (total / images).tolist()
        if path:
            rise, sqnr_db = loss - float_loss, _decibels(signal, noise)
            # Rounding can leave a sum of nothing a hair below zero.
            row = LayerSensitivity(path, width, loss, rise, max(divergence, 0.0), right, sqnr_db)
            rows.append(row)
    return SensitivityTable(float_loss, float_right, tuple(rows), images)


def _decibels(signal: float, noise: float) -> float:
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal > 0 else -math.inf
