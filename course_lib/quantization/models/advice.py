"""Is quantization after training good enough, or does the model have to be trained with it?

Training with fake quantization costs hours, calibration seconds. So the order is: calibrate, measure the
drop, and train only where it exceeds what the application can bear, two points by common advice.

A drop measured on some images is uncertain, less than two accuracies measured on different ones would be,
since both models fail at mostly the same images: only the b images that are lost and the c that are gained
count.

    drop = (b − c) / n,    variance ≈ (b + c − (b − c)² / n) / n²

with ½ added to b and to c and 2 to n, which keeps the interval honest when both are few (Agresti and Min
2005).

Worked example: of 1,000 images 30 are lost and 6 gained, a drop of 2.4 points. The interval is (24 ± 1.96 ·
√(37 − 24² / 1002)) / 1002, or 1.2 to 3.6 points: a threshold of 2 lies inside.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from course_lib.benchmarking.number_text import significant
from course_lib.errors import DataError, SettingError

NORMAL_95 = 1.959964


@dataclass(frozen=True)
class Advice:
    """What to do about a drop in accuracy.

    Parameters
    ----------
    train
        True for quantization-aware training (QAT), False where quantization after training (PTQ) is enough.
    drop_pt
        Accuracy of the float model less that of the quantized one, in percentage points; negative for a gain.
    interval_pt
        95 % interval of the drop; None where only the two accuracies are known.
    threshold_pt
        The largest drop that is accepted.
    """

    train: bool
    drop_pt: float
    interval_pt: tuple[float, float] | None
    threshold_pt: float

    @property
    def sure(self) -> bool | None:
        """Whether the interval lies on one side of the threshold; None without an interval."""
        if self.interval_pt is None:
            return None
        low, high = self.interval_pt
        return high <= self.threshold_pt or low > self.threshold_pt

    @property
    def text(self) -> str:
        """One or two sentences for a person."""
        drop, threshold = significant(self.drop_pt), significant(self.threshold_pt)
        if self.train:
            text = f"Go to QAT: the drop of {drop} points is more than the {threshold} that are accepted."
        else:
            text = f"PTQ is enough: the drop of {drop} points is within the {threshold} that are accepted."
        if self.sure is False and self.interval_pt is not None:
            low, high = (significant(end) for end in self.interval_pt)
            text += f" The 95 % interval, {low} to {high}, holds the threshold: more images would tell."
        return text


def advise(float_accuracy: float, quantized_accuracy: float, *, threshold_pt: float = 2.0) -> Advice:
    """Return the advice for two accuracies, fractions in [0, 1]; at the threshold, PTQ is enough.

    Raises
    ------
    SettingError
        If an accuracy is outside [0, 1], or the threshold is negative or not finite.
    """
    for name, value in {"float_accuracy": float_accuracy, "quantized_accuracy": quantized_accuracy}.items():
        if not 0 <= value <= 1:
            raise SettingError(f"{name}={value!r} is outside [0, 1]; pass a fraction, such as 0.93 for 93 %.")
    return _advice(100 * (float_accuracy - quantized_accuracy), None, threshold_pt)


def advise_paired(
    float_right: NDArray[np.bool_], quantized_right: NDArray[np.bool_], *, threshold_pt: float = 2.0
) -> Advice:
    """Return the advice, with the interval of the drop, from what each model got right on the same images.

    Parameters
    ----------
    float_right, quantized_right
        One truth value an image, shape (N,), in the same order.

    Raises
    ------
    DataError
        If there are no images, or not equally many for both.
    SettingError
        If the threshold is negative or not finite.
    """
    before, after = np.asarray(float_right, bool), np.asarray(quantized_right, bool)
    if before.shape != after.shape or before.ndim != 1 or before.size == 0:
        raise DataError(
            f"The models' results have shapes {before.shape} and {after.shape}; expected one truth value an "
            "image, of the same images for both."
        )
    images, lost, gained = len(before), int((before & ~after).sum()), int((after & ~before).sum())
    centre, total = lost - gained, images + 2
    spread = NORMAL_95 * math.sqrt(lost + gained + 1 - centre**2 / total)
    interval_pt = (100 * (centre - spread) / total, 100 * (centre + spread) / total)
    return _advice(100 * centre / images, interval_pt, threshold_pt)


def _advice(drop_pt: float, interval_pt: tuple[float, float] | None, threshold_pt: float) -> Advice:
    if not 0 <= threshold_pt < math.inf:
        raise SettingError(
            f"threshold_pt={threshold_pt!r} is not possible; pass points of at least 0, such as 2."
        )
    # Fractions such as 0.93 - 0.91 miss 2 points by the rounding of floats.
    return Advice(drop_pt > threshold_pt + 1e-9, drop_pt, interval_pt, threshold_pt)
