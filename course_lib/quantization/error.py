"""How far an approximation is from its reference, and how far theory says a b-bit grid should be."""

import math

from array_api_compat import array_namespace

from course_lib.quantization.affine import Array


def sqnr_db(reference: Array, approximation: Array) -> float:
    """Return the signal-to-quantization-noise ratio 10 · log10(Σx² / Σ(x − x̂)²), in dB, over all values.

    Infinite when the two are equal (an all-zero or empty pair included); minus infinity when the reference is
    all zero and the approximation is not. Sums are taken in float64. Both have the same shape.
    """
    xp = array_namespace(reference, approximation)
    x = xp.astype(reference, xp.float64)
    noise = x - xp.astype(approximation, xp.float64)
    signal_energy, noise_energy = float(xp.sum(x * x)), float(xp.sum(noise * noise))
    if noise_energy == 0:
        return math.inf
    if signal_energy == 0:
        return -math.inf
    return 10 * (math.log10(signal_energy) - math.log10(noise_energy))


def max_abs_error(reference: Array, approximation: Array) -> float:
    """Return the largest |x − x̂|, in the unit of x; at least one value, both of the same shape."""
    xp = array_namespace(reference, approximation)
    return float(xp.max(xp.abs(reference - approximation)))


def ideal_sqnr_db(bits: int, crest_factor: float = math.sqrt(2)) -> float:
    """Return the SQNR, in dB, of a signal that fills a b-bit symmetric range: 6.02·b + 4.77 − 20·log10(c).

    The range [−p, p] has 2^b steps of S = 2p / 2^b. The error of rounding is spread evenly over ±S / 2, so
    its power is S² / 12 (Bennett 1948); the signal's power is (p / c)². Their ratio is 3 · 4^b / c².

    Parameters
    ----------
    bits
        Bit width b.
    crest_factor
        c = peak / root mean square, at least 1. A sine has √2, which gives the familiar 6.02·b + 1.76 dB;
        evenly spread values √3, which gives 6.02·b; bell-shaped weights with one outlier at 4 σ lose 9 dB to
        the sine, because their largest value sets the steps for all the small ones.
    """
    return 10 * math.log10(3 * 4.0**bits) - 20 * math.log10(crest_factor)
