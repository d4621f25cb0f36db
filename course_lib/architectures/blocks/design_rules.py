"""ShuffleNet V2's four rules for fast networks (Ma et al., 2018), and the memory access that they count.

A 1×1 convolution of P pixels in g groups costs P·C_in·C_out/g MACs. It also has to read its input, write
its output and read its weights: P·(C_in + C_out) + C_in·C_out/g numbers. (The paper calls this number MAC,
for memory access cost; here MACs are always multiply-accumulates.) On a processor that waits for memory,
two layers of equal MACs differ in time as their memory access differs.

Worked example: 28×28 = 784 pixels, 16,384 weights. From 128 to 128 channels: 784·256 + 16,384 = 217,088
numbers. From 32 to 512, with as many MACs: 784·544 + 16,384 = 442,880, twice as many (rule 1). From 128 to
512 in 4 groups, again with as many MACs: 784·640 + 16,384 = 518,144 (rule 2).

Left out: caches. The counts say what must pass once if nothing stays near; what a processor really fetches
can be less.
"""

from dataclasses import dataclass
from math import sqrt


@dataclass(frozen=True)
class DesignRule:
    """One of the four rules.

    Parameters
    ----------
    title, reason
        The rule, and why it holds.
    counted_by
        The function of this module that counts it, or None where only a measurement shows it.
    """

    title: str
    reason: str
    counted_by: str | None


DESIGN_RULES = (
    DesignRule(
        "Equal channels in and out need the least memory access.",
        "At fixed MACs the product of the channels is fixed, and their sum is smallest where they are equal.",
        "pointwise_memory_access",
    ),
    DesignRule(
        "Many groups raise the memory access.",
        "At fixed MACs more groups allow more channels, and each channel must be read and written.",
        "pointwise_memory_access",
    ),
    DesignRule(
        "Many small steps leave a parallel processor idle.",
        "Every step has a start and an end at which only a part of the machine works; no formula.",
        None,
    ),
    DesignRule(
        "Steps number by number are not free.",
        "Activations and additions have no MACs, but they read and write every number.",
        "elementwise_memory_access",
    ),
)


def pointwise_memory_access(in_channels: int, out_channels: int, pixels: int, groups: int = 1) -> int:
    """Return the numbers that a 1×1 convolution reads and writes: P·(C_in + C_out) + C_in·C_out/g."""
    return pixels * (in_channels + out_channels) + in_channels * out_channels // groups


def least_pointwise_memory_access(macs: int, pixels: int) -> float:
    """Return the lower bound 2·√(P·M) + M/P of a 1×1 convolution without groups that has M MACs on P pixels.

    It is reached where C_in = C_out.
    """
    return 2 * sqrt(pixels * macs) + macs / pixels


def elementwise_memory_access(channels: int, pixels: int, inputs: int = 1) -> int:
    """Return the numbers that a step such as ReLU (1 input) or an addition (2) reads and writes."""
    return (inputs + 1) * channels * pixels
