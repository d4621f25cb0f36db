import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from course_lib.architectures.blocks.inverted_residual import InvertedResidual
from course_lib.architectures.blocks.shuffle_v1 import channel_shuffle
from course_lib.benchmarking.macs import profile_layers
from course_lib.edge.memory_plan import plan_memory
from course_lib.pipelines.exercises import Feedback
from course_lib.pipelines.week02_exercises import (
    INVERTED,
    PEAKS,
    check_access,
    check_inverted,
    check_left,
    check_peak,
    check_place,
)


def wrong_with(feedback: Feedback, slip: str) -> bool:
    """Say whether an answer was refused, and for this reason."""
    return feedback.state == "wrong" and slip in feedback.text


def left(kernel, out_channels):
    return 1 / out_channels + 1 / kernel**2


def inverted(c, n, side, t, stride):
    half = (side + stride - 1) // stride
    return side**2 * c * (t * c) + half**2 * (9 * t * c + t * c * n)


def place(channel, channels, groups):
    return np.arange(channels).reshape(groups, -1).T.ravel().tolist().index(channel)


def access(c, n, pixels, groups):
    return pixels * c + pixels * n + c * n // groups


def peak(narrow, wide, side):
    return (narrow + 2 * wide) * side * side


def test_the_usual_answers_are_right() -> None:
    assert check_left(left).passed
    assert check_inverted(inverted).passed
    assert check_place(place).passed
    assert check_access(access).passed
    assert check_peak(peak).passed


@pytest.mark.parametrize(("c", "n", "side", "t", "stride"), INVERTED)
def test_the_inverted_residual_is_counted_so(c, n, side, t, stride) -> None:
    block = InvertedResidual(c, n, stride, expanded=t * c)
    assert profile_layers(block, torch.zeros(1, c, side, side)).macs == inverted(c, n, side, t, stride)


@pytest.mark.parametrize(("narrow", "wide", "side"), PEAKS)
def test_the_peak_is_that_of_the_memory_plan(narrow, wide, side) -> None:
    block = InvertedResidual(narrow, narrow, expanded=wide).eval()
    plan = plan_memory(block, torch.zeros(1, narrow, side, side), bytes_per_value=1)
    assert plan.peak_bytes == peak(narrow, wide, side)


@given(st.integers(1, 8), st.integers(1, 8))
def test_the_place_is_where_the_library_puts_the_channel(groups: int, size: int) -> None:
    channels = groups * size
    x = torch.arange(channels, dtype=torch.float32).reshape(1, channels, 1, 1)
    shuffled = channel_shuffle(x, groups).ravel().tolist()
    row, column = divmod(channels - 1, size)
    assert shuffled[column * groups + row] == channels - 1
    assert [shuffled.index(channel) for channel in range(channels)] == [
        place(channel, channels, groups) for channel in range(channels)
    ]


@pytest.mark.parametrize(
    ("wrong", "slip"),
    [
        (lambda k, n: 1 / left(k, n), "one over it"),
        (lambda k, n: 1 / k**2, "1×1 part alone"),
        (lambda k, n: 1 / n, "depthwise part alone"),
        (lambda k, n: 1 / n + 1 / k, "k² places, not k"),
        (lambda k, n: 0.5, "expected 0.1736. Why it matters"),
    ],
)
def test_slips_with_the_fraction_are_named(wrong, slip: str) -> None:
    assert wrong_with(check_left(wrong), slip)


@pytest.mark.parametrize(
    ("wrong", "slip"),
    [
        (lambda c, n, side, t, stride: inverted(c, n, side, t, 1), "The stride makes"),
        (lambda c, n, side, t, stride: inverted(c, n, -(-side // stride), t, 1), "sees the whole picture"),
        (lambda c, n, s, t, d: s**2 * c * t * c + (-(-s // d)) ** 2 * (9 * (t * c) ** 2 + t * c * n), "dep"),
        (lambda c, n, s, t, d: s**2 * c * t * c + (s // d) ** 2 * (9 * t * c + t * c * n), "halved are 4"),
        (lambda c, n, s, t, d: 3, "expected 1,825,152. Why it matters"),
    ],
)
def test_slips_with_the_inverted_residual_are_named(wrong, slip: str) -> None:
    assert wrong_with(check_inverted(wrong), slip)


@pytest.mark.parametrize(
    ("wrong", "slip"),
    [
        (lambda c, n, g: place(c, n, n // g), "the way back"),
        (lambda c, n, g: c, "read by its columns"),
        (lambda c, n, g: n - 1 - c, "like cards"),
        (lambda c, n, g: 0, "expected 2. Why it matters"),
    ],
)
def test_slips_with_the_shuffle_are_named(wrong, slip: str) -> None:
    assert wrong_with(check_place(wrong), slip)


@pytest.mark.parametrize(
    ("wrong", "slip"),
    [
        (lambda c, n, pixels, g: pixels * c * n // g, "These are its MACs"),
        (lambda c, n, pixels, g: pixels * (c + n), "weights have to be read"),
        (lambda c, n, pixels, g: pixels * c + c * n // g, "output has to be written"),
        (lambda c, n, pixels, g: pixels * (c + n) + c * n, "fewer weights"),
        (lambda c, n, pixels, g: (pixels * (c + n) + c * n) // g, "all channels are read"),
        (lambda c, n, pixels, g: 7, "expected 217,088. Why it matters"),
    ],
)
def test_slips_with_the_access_are_named(wrong, slip: str) -> None:
    assert wrong_with(check_access(wrong), slip)


@pytest.mark.parametrize(
    ("wrong", "slip"),
    [
        (lambda c, e, s: 2 * e * s**2, "block's input alive"),
        (lambda c, e, s: (c + e) * s**2, "reads one wide tensor"),
        (lambda c, e, s: 2 * (c + e) * s**2, "gone already"),
        (lambda c, e, s: 4 * peak(c, e, s), "takes one byte"),
        (lambda c, e, s: c + 2 * e, "each channel is a picture"),
        (lambda c, e, s: 9, "expected 163,072. Why it matters"),
    ],
)
def test_slips_with_the_peak_are_named(wrong, slip: str) -> None:
    assert wrong_with(check_peak(wrong), slip)


def test_untouched_exercises_are_open() -> None:
    checks = [check_left, check_inverted, check_place, check_access, check_peak]
    assert [check(lambda *arguments: ...).state for check in checks] == ["open"] * 5
