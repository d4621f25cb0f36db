"""Accuracy on a whole test set, estimated from part of it (Cochran, Sampling Techniques, 1977, chapter 5).

Which images a compressed model gets wrong is no surprise: first those that the uncompressed one barely got
right, and when a model collapses, all images of the classes that it no longer predicts. So each class is cut
by the baseline's signed margin (score of the label minus the best other score) into strata, and a sample is
drawn from each. The estimate

    p̂ = Σ_h W_h · p̂_h        with W_h the stratum's share of the images, p̂_h the accuracy of its sample

is unbiased whatever the compression does, and its variance

    Σ_h W_h² · (1 − f_h) · p_h(1 − p_h) / (n_h − 1)        with f_h = n_h / N_h the fraction already seen

falls to zero when all images are seen. Half of the sample is shared out by size, half goes to strata near the
decision boundary, where images change sides first.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from course_lib.errors import ModelError

CUTS = (0.1, 0.3)
"""Of a class, the wrong images are one stratum; the right ones are cut at these quantiles of their margin."""

NORMAL_95 = 1.959964
PRIOR = 0.1
"""Strength, in images, of the prior that keeps a stratum with an unanimous sample from looking certain."""


@dataclass(frozen=True)
class AccuracyEstimate:
    """An accuracy as a fraction, and the 95 % interval for its value over all images.

    With ``seen == total`` it is exact and the interval has no width.
    """

    value: float
    low: float
    high: float
    seen: int
    total: int

    @property
    def exact(self) -> bool:
        return self.seen == self.total


class StratifiedTestSet:
    """The images of a test set in strata by class and the baseline's margin.

    Parameters
    ----------
    scores
        The baseline's scores, (N, number of classes).
    labels
        True classes, (N,).
    first
        About how many images the first estimate looks at; ``self.first`` says exactly how many, after each
        stratum has given at least two (or all it has).
    """

    def __init__(self, scores: NDArray[np.float32], labels: NDArray[np.int64], first: int) -> None:
        if scores.ndim != 2 or len(scores) != len(labels):
            raise ModelError(
                f"The model's output has shape {scores.shape} for {len(labels)} images; expected one score a "
                f"class, ({len(labels)}, number of classes)."
            )
        self.labels = labels
        margins = signed_margins(scores, labels)
        self.strata = [
            stratum
            for label in np.unique(labels)
            for stratum in _cut(np.flatnonzero(labels == label), margins)
            if len(stratum)
        ]
        self._stratum_of = np.empty(len(labels), np.intp)
        for number, members in enumerate(self.strata):
            self._stratum_of[members] = number
        self._sizes = np.array([len(members) for members in self.strata])
        closeness = np.array([1 / (1 + np.abs(np.median(margins[members]))) for members in self.strata])
        by_size, by_closeness = self._sizes, self._sizes * closeness
        demand = 0.5 * by_size / by_size.sum() + 0.5 * by_closeness / by_closeness.sum()
        wanted = np.maximum(np.round(demand * first).astype(np.intp), 2)
        self._sample_sizes = np.minimum(wanted, self._sizes)
        self.first = int(self._sample_sizes.sum())

    def draw_order(self, generator: np.random.Generator) -> NDArray[np.intp]:
        """Return all image indices in random order, the first ``self.first`` shared out among the strata.

        Every beginning of the order that is at least as long holds a simple random sample of each stratum.
        """
        shuffled = [generator.permutation(members) for members in self.strata]
        sample = [members[:size] for members, size in zip(shuffled, self._sample_sizes, strict=True)]
        rest = [members[size:] for members, size in zip(shuffled, self._sample_sizes, strict=True)]
        return np.concatenate([*sample, generator.permutation(np.concatenate(rest))])

    def estimate(self, indices: NDArray[np.intp], correct: NDArray[np.bool_]) -> AccuracyEstimate:
        """Estimate the accuracy over all images from those seen so far.

        Parameters
        ----------
        indices
            A beginning of `draw_order`, at least ``self.first`` long.
        correct
            Whether the compressed model is right on each of them.
        """
        total = len(self.labels)
        if len(indices) == total:
            value = float(correct.mean())
            return AccuracyEstimate(value, value, value, total, total)
        stratum = self._stratum_of[indices]
        seen = np.bincount(stratum, minlength=len(self.strata))
        right = np.bincount(stratum, weights=correct, minlength=len(self.strata))
        share = self._sizes / total
        value = min(float(share @ (right / seen)), 1.0)
        # Half a right and half a wrong image, so that even a unanimous sample leaves some doubt.
        overall = (right.sum() + 0.5) / (seen.sum() + 1)
        smoothed = (right + PRIOR * overall) / (seen + PRIOR)
        variance = share**2 * (1 - seen / self._sizes) * smoothed * (1 - smoothed) / np.maximum(seen - 1, 1)
        half = NORMAL_95 * float(np.sqrt(variance.sum()))
        return AccuracyEstimate(value, max(value - half, 0.0), min(value + half, 1.0), len(indices), total)


def _cut(members: NDArray[np.intp], margins: NDArray[np.float32]) -> list[NDArray[np.intp]]:
    ranked = members[np.argsort(margins[members], kind="stable")]
    wrong = int((margins[ranked] <= 0).sum())
    right = len(ranked) - wrong
    return np.split(ranked, [wrong, *(wrong + int(cut * right) for cut in CUTS)])


def signed_margins(scores: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the score of the label minus the best other score, (N,): above 0 where the model is right."""
    rows = np.arange(len(labels))
    others = scores.copy()
    others[rows, labels] = -np.inf
    margins: NDArray[np.float32] = scores[rows, labels] - others.max(axis=1)
    return margins
