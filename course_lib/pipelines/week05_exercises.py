"""The exercises of week 5: a zero point, a code, the bits for a ratio, stored bits, pair sums, a layer.

Each check calls the same functions as the lesson, so an answer is compared with what the course computes.
"""

import math
from collections.abc import Callable, Mapping

import numpy as np

from course_lib.pipelines.exercises import Feedback, check_function, check_value
from course_lib.quantization import QParams, choose_qparams_from_range, ideal_sqnr_db, quantize
from course_lib.quantization.integer import saturating_pair_sums

RANGES = ((-2.5, 3.0, 8), (-1.0, 5.5, 4), (0.7, 2.0, 8), (-3.0, -0.5, 8))
"""(low, high, bits): the lesson's example; other bits; two ranges without 0."""

VALUES = ((-0.5, 0.1, 12), (0.37, 0.1, 12), (100.0, 0.1, 12), (-9.0, 0.1, 12), (1.46, 0.2, 128))
"""(x, scale, zero point) for codes from 0 to 255: both sides of 0, both ends, another grid."""

WANTED_DB = (1.76 + 6.02 * 4, 20.0, 40.0, 50.0)

GROUP_SIZE, GROUP_BITS, SCALE_BITS = 32, 4, 32


def check_zero_point(function: Callable[[float, float, int], float]) -> Feedback:
    """Check the zero point of an asymmetric grid of unsigned codes, from low, high and bits."""

    def right(low: float, high: float, bits: int) -> float:
        return float(choose_qparams_from_range(low, high, bits, symmetric=False).zero_point)

    def unrounded(low: float, high: float, bits: int) -> float:
        low, high = min(low, 0.0), max(high, 0.0)
        return -low * float(2**bits - 1) / (high - low)

    def narrow(low: float, high: float, bits: int) -> float:
        return -round(low * float(2**bits - 1) / (high - low))

    return check_function(
        function,
        RANGES,
        lambda value, *case: value == right(*case),
        expected=right,
        what="your zero point",
        why="it is the code of 0.0; padding, ReLU and pruned weights need exactly 0.0.",
        mistakes={
            "It has to be rounded: a code is a whole number.": unrounded,
            "The sign is turned round: a negative minimum needs a positive code for 0.": lambda *case: (
                -right(*case)
            ),
            "The fraction was cut off instead of rounded.": lambda *case: math.floor(unrounded(*case)),
            "Widen the range first so that it holds 0: low = min(low, 0), high = max(high, 0).": narrow,
            "b bits make 2^b codes, and so 2^b − 1 steps between the first and the last.": (
                lambda low, high, bits: -round(min(low, 0) * 2**bits / (max(high, 0) - min(low, 0)))
            ),
        },
    )


def check_code(function: Callable[[float, float, int], float]) -> Feedback:
    """Check the code from 0 to 255 of a number, from x, scale and zero point."""

    def right(x: float, scale: float, zero_point: int) -> float:
        grid = QParams(np.array([scale], np.float32), np.array([zero_point], np.int32), 0, 255)
        return float(quantize(np.array([x], np.float32), grid)[0])

    def clipped(code: float) -> float:
        return min(max(code, 0), 255)

    return check_function(
        function,
        VALUES,
        lambda value, *case: value == right(*case),
        expected=right,
        what="your code",
        why="an integer kernel gets nothing but these codes; a code out of range would wrap around.",
        mistakes={
            "It has to be clipped to 0 … 255.": lambda x, scale, zero: round(x / scale) + zero,
            "The fraction was cut off instead of rounded.": lambda x, scale, zero: clipped(
                int(x / scale) + zero
            ),
            "The zero point has to be added.": lambda x, scale, zero: clipped(round(x / scale)),
            "The zero point is added after dividing by the scale, not before.": lambda x, scale, zero: (
                clipped(round((x + zero) / scale))
            ),
            "Divide by the scale; multiplying leads back from codes to numbers.": lambda x, scale, zero: (
                clipped(round(x * scale) + zero)
            ),
        },
    )


def check_bits(function: Callable[[float], float]) -> Feedback:
    """Check how many bits a sine needs that fills the range, for a ratio of at least so many dB."""

    def right(wanted_db: float) -> int:
        return next(bits for bits in range(1, 40) if ideal_sqnr_db(bits) >= wanted_db - 0.01)

    return check_function(
        function,
        [(wanted_db,) for wanted_db in WANTED_DB],
        lambda value, wanted_db: value == right(wanted_db),
        expected=right,
        what="your number of bits",
        why="each bit is worth 6.02 dB, so a budget of noise is a budget of bits.",
        mistakes={
            "Bits come whole: round up.": lambda wanted_db: (wanted_db - 1.76) / 6.02,
            "Rounding down falls short of the ratio: round up.": lambda wanted_db: math.floor(
                (wanted_db - 1.76) / 6.02
            ),
            "Rounding to the nearest can fall short of the ratio: round up.": lambda wanted_db: round(
                (wanted_db - 1.76) / 6.02
            ),
            "The 1.76 dB of a sine are missing.": lambda wanted_db: math.ceil(wanted_db / 6.02),
            "The 1.76 dB have to be subtracted, for the sine has them for nothing.": lambda wanted_db: (
                math.ceil((wanted_db + 1.76) / 6.02)
            ),
        },
    )


def check_stored_bits(answer: object) -> Feedback:
    """Check the bits a weight costs with 4-bit codes, groups of 32 and a 32-bit scale for each group."""
    right = GROUP_BITS + SCALE_BITS / GROUP_SIZE
    return check_value(
        answer,
        right,
        what="the bits that one weight costs",
        why="finer granularity is not free: whoever quotes 4 bits has to say which groups.",
        mistakes={
            GROUP_BITS: "Each group's scale has to be stored too.",
            GROUP_BITS + SCALE_BITS: f"One scale serves {GROUP_SIZE} weights, so each pays a part of it.",
            GROUP_BITS + GROUP_SIZE / 8: "A scale has 32 bits, which is 4 bytes; count all in bits.",
            GROUP_BITS + 8 / GROUP_SIZE: "These scales are 32-bit floats, not bytes.",
            right * GROUP_SIZE: "This is what the whole group costs; divide it among its weights.",
        },
    )


def check_pair_sum(answer: object) -> Feedback:
    """Check 255 · 127 + 255 · 127 in the 16-bit pair sums of AVX2."""
    exact = 2 * 255 * 127
    right = saturating_pair_sums(np.full((1, 2), 255), np.full((2, 1), 127)).item()
    return check_value(
        answer,
        right,
        what="the pair sum",
        why="a file that is right on one processor can be wrong on the next; measure where it will run.",
        mistakes={
            exact: "This is the exact sum; it does not fit into 16 bits with a sign.",
            exact - 2**16: "This wraps around; the instruction saturates: it stops at the largest number.",
            exact // 2: "This is one of the two products; both are added.",
            2**16 - 1: "This is the largest number without a sign; the sum has one.",
            2**15: "Nearly: 16 bits with a sign end at one less.",
        },
    )


def check_weakest_layer(
    answer: object, ratios_db: Mapping[str, float], largest: Mapping[str, float]
) -> Feedback:
    """Check which layer loses most when its weights share one scale.

    Parameters
    ----------
    ratios_db
        Layer → the SQNR of its quietest channel with one scale for all.
    largest
        Layer → its largest |weight|.
    """
    right = min(ratios_db, key=lambda layer: ratios_db[layer])
    best = max(ratios_db, key=lambda layer: ratios_db[layer])
    loudest = max(largest, key=lambda layer: largest[layer])
    return check_value(
        answer,
        right,
        what="the layer that needs a scale per channel most",
        why="one wiped-out channel is a missing feature, however good the layer's average looks.",
        mistakes={
            loudest: "Its weights are the largest, but what hurts is a large channel beside small ones.",
            best: "Its quietest channel keeps the best ratio of all; look for the worst.",
        },
    )
