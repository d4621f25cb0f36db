"""The exercises of week 2: two cost formulas, the shuffle, memory access, and a block's peak memory.

Answers are compared with the formulas of the blocks, which the tests compare with what is counted.
"""

from collections.abc import Callable

from course_lib.architectures.blocks.design_rules import pointwise_memory_access
from course_lib.architectures.blocks.inverted_residual import inverted_residual_macs
from course_lib.architectures.blocks.separable import separable_ratio
from course_lib.pipelines.exercises import Feedback, check_function

KERNELS = ((3, 16), (3, 128), (5, 64), (1, 8))
"""(kernel, output channels): the lesson's example, many channels, a larger kernel, and 1×1."""

INVERTED = ((16, 24, 28, 6, 2), (24, 24, 14, 6, 1), (8, 16, 7, 3, 2))
"""(input channels, output channels, resolution, expansion, stride); 7 pixels halved are 4."""

PLACES = (*((place, 6, 2) for place in range(6)), (5, 12, 3), (0, 8, 4), (7, 8, 1))
"""(channel, channels, groups): all of the lesson's example; three groups; one group changes nothing."""

POINTWISE = ((128, 128, 784, 1), (32, 512, 784, 1), (128, 512, 784, 4), (24, 96, 49, 3))
"""(input channels, output channels, pixels, groups): the lesson's three of equal MACs, and another."""

PEAKS = ((16, 96, 28), (8, 16, 14), (24, 72, 7))
"""(narrow channels, wide channels, side of the picture)."""


def check_left(function: Callable[[int, int], float]) -> Feedback:
    """Check which fraction of a standard convolution's MACs a separable one needs."""

    def right(kernel: int, out_channels: int) -> float:
        return 1 / separable_ratio(kernel, out_channels)

    return check_function(
        function,
        KERNELS,
        lambda value, *case: abs(value - right(*case)) < 1e-6,
        expected=right,
        what="your fraction",
        why="two terms, two layers: 1/k² is the 1×1 part's and 1/N the depthwise part's.",
        mistakes={
            "This is how many times fewer; the fraction that is left is one over it.": separable_ratio,
            "This is the 1×1 part alone; the depthwise part costs 1/N.": lambda k, n: 1 / k**2,
            "This is the depthwise part alone; the 1×1 part costs 1/k².": lambda k, n: 1 / n,
            "The kernel has k² places, not k.": lambda k, n: 1 / n + 1 / k,
        },
    )


def check_inverted(function: Callable[[int, int, int, int, int], float]) -> Feedback:
    """Check the MACs of an inverted residual with a 3×3 depthwise convolution."""

    def right(in_channels: int, out_channels: int, resolution: int, expansion: int, stride: int) -> int:
        expanded = expansion * in_channels
        return inverted_residual_macs(in_channels, out_channels, resolution, stride, 3, expanded=expanded)

    def all_at_once(c: int, n: int, side: int, t: int, stride: int) -> int:
        return side**2 * (c * t * c + 9 * t * c + t * c * n)

    def shrunk_at_once(c: int, n: int, side: int, t: int, stride: int) -> int:
        return (-(-side // stride)) ** 2 * (c * t * c + 9 * t * c + t * c * n)

    def dense(c: int, n: int, side: int, t: int, stride: int) -> int:
        return side**2 * c * t * c + (-(-side // stride)) ** 2 * (9 * (t * c) ** 2 + t * c * n)

    def rounded_down(c: int, n: int, side: int, t: int, stride: int) -> int:
        return side**2 * c * t * c + (side // stride) ** 2 * (9 * t * c + t * c * n)

    return check_function(
        function,
        INVERTED,
        lambda value, *case: value == right(*case),
        expected=right,
        what="your count",
        why="the first 1×1 works on the large picture; in a block that halves it, that is where the cost is.",
        mistakes={
            "The stride makes the depthwise convolution and what follows it smaller.": all_at_once,
            "The first 1×1 still sees the whole picture; only then it shrinks.": shrunk_at_once,
            "The 3×3 is depthwise: each output looks at one channel only.": dense,
            "7 pixels halved are 4: with padding the last one counts.": rounded_down,
        },
    )


def check_place(function: Callable[[int, int, int], float]) -> Feedback:
    """Check where a channel lies after the shuffle, all counted from 0."""

    def right(channel: int, channels: int, groups: int) -> int:
        row, column = divmod(channel, channels // groups)
        return column * groups + row

    def inverse(channel: int, channels: int, groups: int) -> int:
        return right(channel, channels, channels // groups)

    return check_function(
        function,
        PLACES,
        lambda value, *case: value == right(*case),
        expected=right,
        what="your place",
        why="without the shuffle no group would ever hear of another one.",
        mistakes={
            "This is the way back: which channel comes to that place.": inverse,
            "This is where it was; the table is read by its columns.": lambda c, n, g: c,
            "This turns the order round; a shuffle deals the channels like cards.": lambda c, n, g: n - 1 - c,
        },
    )


def check_access(function: Callable[[int, int, int, int], float]) -> Feedback:
    """Check how many numbers a 1×1 convolution reads and writes."""
    return check_function(
        function,
        POINTWISE,
        lambda value, *case: value == pointwise_memory_access(*case),
        expected=pointwise_memory_access,
        what="your count",
        why="of two layers with equal MACs the one that moves less is the faster one, where memory is slow.",
        mistakes={
            "These are its MACs; asked for are the numbers that are read and written.": (
                lambda c, n, pixels, g: pixels * c * n // g
            ),
            "The weights have to be read as well.": lambda c, n, pixels, g: pixels * (c + n),
            "The output has to be written as well.": lambda c, n, pixels, g: pixels * c + c * n // g,
            "In groups there are fewer weights: each output reads only its own group.": (
                lambda c, n, pixels, g: pixels * (c + n) + c * n
            ),
            "Groups do not make the pictures smaller: all channels are read, by one group or another.": (
                lambda c, n, pixels, g: (pixels * (c + n) + c * n) // g
            ),
        },
    )


def check_peak(function: Callable[[int, int, int], float]) -> Feedback:
    """Check the peak of an inverted residual's int8 activations in bytes, stride 1 with its shortcut."""

    def right(narrow: int, wide: int, side: int) -> int:
        return side**2 * (narrow + 2 * wide)

    return check_function(
        function,
        PEAKS,
        lambda value, *case: value == right(*case),
        expected=right,
        what="your peak",
        why="a microcontroller either has so much SRAM, or the network does not run at all.",
        mistakes={
            "The shortcut keeps the block's input alive until the end.": lambda c, e, s: 2 * e * s**2,
            "The depthwise step reads one wide tensor and writes another one.": lambda c, e, s: (
                (c + e) * s**2
            ),
            "The narrow output is made when one of the wide tensors is gone already.": lambda c, e, s: (
                (2 * c + 2 * e) * s**2
            ),
            "This is in float32; an int8 value takes one byte.": lambda c, e, s: 4 * right(c, e, s),
            "Multiply by the pixels: each channel is a picture.": lambda c, e, s: c + 2 * e,
        },
    )
