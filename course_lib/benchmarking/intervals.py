"""How sure are we? Intervals for a proportion, for a median and for the ratio of two medians."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from course_lib.benchmarking.checks import require_count
from course_lib.benchmarking.number_text import significant
from course_lib.errors import MeasurementError, SettingError


@dataclass(frozen=True)
class Interval:
    """A range that covers the true value in a fraction ``confidence`` of repeated experiments.

    It unpacks as ``low, high = interval`` and answers ``value in interval``.
    """

    low: float
    high: float
    confidence: float

    @property
    def half_width(self) -> float:
        """Half the distance between the ends, in the unit of the value."""
        return (self.high - self.low) / 2

    def text(self) -> str:
        """Return the ends with three significant digits, as tables show them."""
        return f"{significant(self.low)}–{significant(self.high)}"

    def __iter__(self) -> Iterator[float]:
        return iter((self.low, self.high))

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


def proportion_interval(successes: int, total: int, confidence: float = 0.95) -> Interval:
    """Return the score interval of a proportion, such as an accuracy measured on ``total`` images.

    With p = successes/total and z the normal quantile of (1 + confidence)/2, the ends are
    (p + z²/2n ± z·√(p(1 − p)/n + z²/4n²)) / (1 + z²/n). Unlike p ± z·√(p(1 − p)/n) it stays inside [0, 1]
    and keeps a width when all or none succeed.

    Raises
    ------
    SettingError
        If ``total`` < 1, ``successes`` is outside 0…total, or ``confidence`` outside (0, 1).

    References
    ----------
    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", 1927.
    """
    n = require_count("total", total, 1)
    if require_count("successes", successes, 0) > n:
        raise SettingError(f"successes={successes} is more than total={n}: pass successes first, then total.")
    _require_confidence(confidence)
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    p = successes / n
    centre = p + z * z / (2 * n)
    spread = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    # Rounding may leave an end a hair outside [0, 1] or on the wrong side of p: put it back.
    return Interval(
        min(p, max(0.0, (centre - spread) / scale)), max(p, min(1.0, (centre + spread) / scale)), confidence
    )


def median_interval(samples: ArrayLike, confidence: float = 0.95) -> Interval:
    """Return an interval of the median that assumes nothing about the shape of the distribution.

    Each independent sample falls below the median with probability 1/2, so the number below is binomial and
    the k-th smallest and k-th largest sample enclose the median with probability 1 − 2·P(Bin(n, ½) ≤ k − 1).
    The largest k that reaches ``confidence`` is taken. Latencies that drift are not independent: the true
    uncertainty is then larger.

    Parameters
    ----------
    samples
        At least one finite number, in any unit.
    confidence
        Between 0 and 1. Fewer than 6 samples cannot reach 0.95; the interval is then the whole range, and
        its ``confidence`` says what it does reach.

    Raises
    ------
    MeasurementError
        If there are no samples or one is not finite.

    References
    ----------
    W. R. Thompson, "On confidence ranges for the median and other expectation distributions", 1936.
    """
    ordered = np.sort(_finite_samples("samples", samples))
    _require_confidence(confidence)
    rank, reached = _enclosing_rank(len(ordered), confidence)
    return Interval(float(ordered[rank - 1]), float(ordered[-rank]), min(confidence, reached))


def ratio_interval(
    numerator_samples: ArrayLike,
    denominator_samples: ArrayLike,
    confidence: float = 0.95,
    seed: int = 0,
    resamples: int = 1000,
) -> Interval:
    """Return an interval of median(numerator)/median(denominator) for samples taken in pairs.

    Bootstrap by pairs, percentile method: draw n pairs with replacement, take the ratio of the two medians,
    repeat, and cut off (1 − confidence)/2 at either end. Drawing whole pairs keeps what both had in common:
    a moment in which the machine was slow slows both.

    Parameters
    ----------
    numerator_samples, denominator_samples
        Equally many positive numbers; the i-th of each come from the same round. With too few pairs for the
        confidence (fewer than 6 for 0.95) the interval is the range of the single ratios, and its
        ``confidence`` says what that reaches.
    seed
        Seed of the draws; the same seed gives the same interval.
    resamples
        Number of draws; 1,000 of 60 pairs take about a millisecond.

    Raises
    ------
    MeasurementError
        If the samples are empty, of different lengths, not finite or not positive.

    References
    ----------
    B. Efron and R. J. Tibshirani, "An Introduction to the Bootstrap", 1993, chapters 8 and 13.
    """
    top = _finite_samples("numerator_samples", numerator_samples)
    bottom = _finite_samples("denominator_samples", denominator_samples)
    if len(top) != len(bottom):
        raise MeasurementError(
            f"ratio_interval needs pairs but got {len(top)} numerator and {len(bottom)} denominator samples: "
            f"take both in the same rounds, as compare_latency does."
        )
    if min(top.min(), bottom.min()) <= 0:
        raise MeasurementError(
            "ratio_interval got a sample of zero or less, which no ratio can be taken of: "
            "put more work into one call so that the clock can see it."
        )
    _require_confidence(confidence)
    require_count("resamples", resamples, 100)
    generator = np.random.default_rng(require_count("seed", seed, 0))
    reached = _enclosing_rank(len(top), confidence)[1]
    if reached < confidence:
        ratios = top / bottom
        return Interval(float(ratios.min()), float(ratios.max()), reached)
    draws = generator.integers(0, len(top), size=(resamples, len(top)))
    ratios = _row_medians(top[draws]) / _row_medians(bottom[draws])
    low, high = np.quantile(ratios, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(low), float(high), confidence)


def _row_medians(values: NDArray[np.float64]) -> NDArray[np.float64]:
    # A plain sort of short rows is several times faster than np.median's partition.
    values.sort(axis=1)
    count = values.shape[1]
    return (values[:, (count - 1) // 2] + values[:, count // 2]) / 2


@lru_cache(maxsize=256)
def _enclosing_rank(count: int, confidence: float) -> tuple[int, float]:
    """Return the largest rank k ≥ 1 whose order statistics reach the confidence, and what it reaches.

    The binomial sum is done in whole numbers, which neither underflow nor round.
    """
    total = 1 << count
    most = math.floor(Fraction((1 - confidence) / 2) * total)
    rank, term = 1, 1
    below = 1  # of the 2^n ways samples can fall, those with at most rank - 1 of them under the median
    while rank < (count + 1) // 2:
        term = term * (count - rank + 1) // rank
        if below + term > most:
            break
        below += term
        rank += 1
    return rank, 1 - 2 * (below / total)


def _finite_samples(name: str, samples: ArrayLike | Sequence[float]) -> NDArray[np.float64]:
    values = np.asarray(samples, dtype=np.float64)
    if values.ndim != 1 or values.size == 0 or not np.isfinite(values).all():
        raise MeasurementError(
            f"{name} must be a list of at least one finite number, but came with shape {values.shape}"
            f"{'' if np.isfinite(values).all() else ' and values that are not finite'}: "
            f"pass the samples_ms of a result."
        )
    return values


def _require_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise SettingError(f"confidence={confidence!r} is outside (0, 1): pass a fraction such as 0.95.")
