"""By how much is one better than the other, when both were measured with the same seeds?

The same seed gives both the same images in the same order, so that much of what varies between seeds is
common to them. Differences d are therefore taken pair by pair, with Student's interval for their mean:
d̄ ± t · s/√n, where s is their standard deviation and t the quantile for n − 1 degrees of freedom.

Worked example: 0.80 and 0.84 against 0.78 and 0.80: d = 0.02 and 0.04, mean 0.03, s = 0.0141, t = 12.7 for
one degree of freedom, interval −0.097 to 0.157. Two seeds show nothing.

Source: Student, "The probable error of a mean", 1908.
"""

import math
from collections.abc import Sequence

from course_lib.benchmarking.intervals import Interval
from course_lib.errors import MeasurementError


def paired_gain(
    first: Sequence[float], second: Sequence[float], confidence: float = 0.95
) -> tuple[float, Interval]:
    """Return the mean of first − second, pair by pair, and Student's interval for it.

    Raises
    ------
    MeasurementError
        If there are fewer than two pairs, or not equally many of both.
    """
    if len(first) != len(second) or len(first) < 2:
        raise MeasurementError(
            f"paired_gain got {len(first)} and {len(second)} values; it needs two pairs or more, from the "
            "same seeds."
        )
    # Half a second of import, which only those wait for who ask.
    from scipy.stats import t

    differences = [a - b for a, b in zip(first, second, strict=True)]
    count = len(differences)
    mean = sum(differences) / count
    spread = math.sqrt(sum((each - mean) ** 2 for each in differences) / (count - 1) / count)
    reach = float(t.ppf((1 + confidence) / 2, count - 1)) * spread
    return mean, Interval(mean - reach, mean + reach, confidence)
