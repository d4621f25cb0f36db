"""Several versions of a model on the same images: accuracy, what it lost, and how far the scores moved.

All versions see the same images, so the drop is a paired one: most images are right or wrong in every
version, and only those that changed sides count (see `advise_paired`). The SQNR of the scores shows a change
long before the first answer flips.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt
from torch import nn

from course_lib.benchmarking import record_machine
from course_lib.benchmarking.table import MeasuredResult, Row
from course_lib.errors import DataError
from course_lib.quantization.error import sqnr_db
from course_lib.quantization.models.advice import Advice, advise_paired
from course_lib.registry import look_up
from course_lib.training.evaluate import BATCH_SIZE, Examples, predict

Scores: TypeAlias = npt.NDArray[np.float32]
Version: TypeAlias = nn.Module | Callable[[Scores], Scores]
"""A module, or a function from a batch of inputs to scores, such as a runtime's ``run``."""


@dataclass(frozen=True)
class VersionAccuracy:
    """One version of a model on all images.

    Parameters
    ----------
    accuracy
        Fraction of the images that are right.
    advice
        Drop against the baseline with its interval, and whether it is small enough.
    sqnr_db
        Signal-to-noise ratio of the scores against the baseline's; infinite for the baseline itself.
    """

    name: str
    accuracy: float
    advice: Advice
    sqnr_db: float

    @property
    def drop_pt(self) -> float:
        """Points of accuracy lost against the baseline."""
        return self.advice.drop_pt


@dataclass(frozen=True, kw_only=True)
class AccuracyComparison(MeasuredResult):
    """Versions of one model by name, the baseline first, on ``images`` images."""

    baseline: str
    images: int
    versions: Mapping[str, VersionAccuracy]
    derived: ClassVar[tuple[str, ...]] = ()

    def __getitem__(self, name: str) -> VersionAccuracy:
        return look_up(self.versions, "version", name)

    def table_rows(self) -> list[Row]:
        return [self._row(version) for version in self.versions.values()]

    def _row(self, version: VersionAccuracy) -> Row:
        is_baseline = version.name == self.baseline
        low, high = version.advice.interval_pt or (version.drop_pt, version.drop_pt)
        return {
            "version": version.name,
            "accuracy": f"{version.accuracy:.2%}",
            "drop in points": "baseline" if is_baseline else f"{version.drop_pt:.2f}",
            "95 % interval": "–" if is_baseline else f"{low:.2f} to {high:.2f}",
            "SQNR of the scores": "–" if is_baseline else f"{version.sqnr_db:.1f} dB",
        }

    def notes(self) -> list[str]:
        return [f"Measured on {self.images:,} images.", *super().notes()]


def compare_accuracy(
    versions: Mapping[str, Version], examples: Examples, *, baseline: str, threshold_pt: float = 2.0
) -> AccuracyComparison:
    """Run all versions of a model on the same images.

    Parameters
    ----------
    versions
        Name → version; all give one row of scores an image.
    examples
        Inputs and labels.
    baseline
        The version that the others are compared with.
    threshold_pt
        The drop up to which quantization after training counts as enough, in points.

    Raises
    ------
    UnknownNameError
        If no version is called ``baseline``.
    DataError
        If there are no images, or a version gives scores of another shape than the baseline.
    """
    look_up(versions, "version", baseline)
    if not len(examples.labels):
        raise DataError("There are no images to compare versions on; pass Examples with at least one.")
    reference = _scores(versions[baseline], examples.inputs)
    expected_right = reference.argmax(1) == examples.labels
    compared = {}
    for name in sorted(versions, key=lambda each: each != baseline):
        scores = reference if name == baseline else _scores(versions[name], examples.inputs)
        if scores.shape != reference.shape:
            raise DataError(
                f"The version {name!r} gives scores of shape {scores.shape} and the baseline "
                f"{reference.shape}; compare versions of the same model."
            )
        right = scores.argmax(1) == examples.labels
        advice = advise_paired(expected_right, right, threshold_pt=threshold_pt)
        compared[name] = VersionAccuracy(name, float(right.mean()), advice, sqnr_db(reference, scores))
    return AccuracyComparison(
        machine=record_machine(), baseline=baseline, images=len(examples.labels), versions=compared
    )


def _scores(version: Version, inputs: Scores) -> Any:
    run = partial(predict, version) if isinstance(version, nn.Module) else version
    starts = range(0, len(inputs), BATCH_SIZE)
    return np.concatenate([run(inputs[start : start + BATCH_SIZE]) for start in starts])
