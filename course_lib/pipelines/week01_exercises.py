"""The exercises of week 1: percentiles, operation counts, and what one layer can buy.

Each check calls the same functions as the lesson, so an answer is compared with what the course computes.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np

from course_lib.benchmarking.macs import conv2d_macs
from course_lib.pipelines.exercises import Feedback, check_function, check_value

SAMPLES = (
    tuple(range(1, 21)),
    (5.0, 1.0, 4.0, 2.0, 3.0),
    (0.4,) * 90 + (0.9,) * 8 + (6.0,) * 2,
)
"""Twenty numbers in order; five out of order; a hundred with a tail: each catches another slip."""

IN_CHANNELS, OUT_CHANNELS, OUT_SIZE = 32, 64, (7, 7)
"""Of the second separable block of the depthwise network: 14×14 pixels come in, 7×7 go out."""


def check_p95(function: Callable[[Sequence[float]], float]) -> Feedback:
    """Check a 95th percentile; interpolating and taking the nearest sample are both right.

    With n sorted samples, counted from 0, every value from sample ⌊0.95·(n − 1)⌋ to sample
    ⌈0.95·(n − 1)⌉ is accepted.
    """

    def accepts(value: float, samples: Sequence[float]) -> bool:
        ordered, place = sorted(samples), 0.95 * (len(samples) - 1)
        low, high = ordered[math.floor(place)], ordered[math.ceil(place)]
        return low - 1e-9 <= value <= high + 1e-9

    def unsorted(samples: Sequence[float]) -> float:
        return samples[math.floor(0.95 * (len(samples) - 1))]

    return check_function(
        function,
        [(list(samples),) for samples in SAMPLES],
        accepts,
        expected=lambda samples: float(np.percentile(samples, 95)),
        what="your p95",
        why="a mean hides the slow calls that people notice; a percentile counts them.",
        mistakes={
            "This is the mean.": lambda samples: float(np.mean(samples)),
            "This is the largest sample: one hiccup decides it.": max,
            "This is the median.": lambda samples: float(np.median(samples)),
            "This is 95 % of the largest sample; count samples instead.": lambda samples: 0.95 * max(samples),
            "The samples have to be sorted first.": unsorted,
        },
    )


def check_depthwise_macs(answer: object) -> Feedback:
    """Check the MACs of a depthwise 3×3 convolution with stride 2, 32 channels, 14×14 → 7×7."""
    channels = IN_CHANNELS
    right = conv2d_macs(channels, channels, (3, 3), OUT_SIZE, groups=channels)
    return check_value(
        answer,
        right,
        what="the MACs of the depthwise convolution",
        why="each output pixel looks at one channel only, which is why this layer is so cheap to count.",
        mistakes={
            4 * right: "You counted input pixels; the stride of 2 leaves a quarter of them as outputs.",
            channels * right: "You let every output look at all 32 channels; here it sees only its own.",
            2 * right: "These are FLOPs: one MAC is a multiplication and an addition, two FLOPs.",
            channels * 9: "These are the weights; each of them is used once for every output pixel.",
        },
    )


def check_pointwise_macs(answer: object) -> Feedback:
    """Check the MACs of the 1×1 convolution behind it, 32 → 64 channels at 7×7."""
    right = conv2d_macs(IN_CHANNELS, OUT_CHANNELS, (1, 1), OUT_SIZE)
    return check_value(
        answer,
        right,
        what="the MACs of the pointwise convolution",
        why="the 1×1 convolutions mix the channels, and nearly all MACs of such a network are in them.",
        mistakes={
            9 * right: "You took a 3×3 kernel; pointwise means 1×1.",
            2 * right: "These are FLOPs: one MAC is a multiplication and an addition, two FLOPs.",
            IN_CHANNELS
            * OUT_CHANNELS: "These are the weights; each of them is used once for every output pixel.",
            4 * right: "You counted 14×14 pixels; the depthwise convolution before has left 7×7.",
        },
    )


def check_speedup(function: Callable[[float, float], float]) -> Feedback:
    """Check Amdahl's law: a part with this share of the time becomes ``factor`` times faster."""
    return check_function(
        function,
        [(0.5, 2.0), (0.9, 10.0), (0.1, 1000.0), (0.25, 1.0)],
        lambda value, share, factor: math.isclose(value, 1 / (1 - share + share / factor), rel_tol=1e-3),
        expected=lambda share, factor: 1 / (1 - share + share / factor),
        what="your speed-up",
        why="what is left untouched soon takes all the time, so look at the profile before you optimize.",
        mistakes={
            "This is the new time as a fraction of the old; the speed-up is its reciprocal.": (
                lambda share, factor: 1 - share + share / factor
            ),
            "This is the share times the factor; add up the times of both parts instead.": (
                lambda share, factor: share * factor
            ),
            "This forgets the part that stays as slow as it was.": lambda share, factor: factor,
            "This lets the part vanish; it still takes share / factor.": lambda share, factor: (
                1 / (1 - share)
            ),
        },
    )
