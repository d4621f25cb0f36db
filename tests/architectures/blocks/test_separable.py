import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from course_lib.architectures.blocks.separable import (
    SeparableBlock,
    separable_macs,
    separable_params,
    separable_ratio,
)
from course_lib.benchmarking.macs import conv2d_macs
from tests.architectures.blocks.counting import counted, output_size


def test_the_cost_of_a_block_by_hand() -> None:
    # 3²·8 a pixel for the depthwise part, 8·16 for the pointwise one, and 100 pixels.
    assert separable_macs(8, 16, 10) == (9 * 8 + 8 * 16) * 100 == 20_000
    # Both norms have two numbers a channel.
    assert separable_params(8, 16) == 9 * 8 + 8 * 16 + 2 * 8 + 2 * 16 == 248
    assert separable_ratio(3, 16) == 9 * 16 / 25 == 5.76 == 115_200 / 20_000


@settings(max_examples=15)
@given(
    st.integers(1, 6),
    st.integers(1, 6),
    st.sampled_from([1, 2]),
    st.integers(3, 9),
    st.sampled_from([1, 3, 5]),
)
def test_the_cost_is_what_is_counted(
    in_channels: int, out_channels: int, stride: int, size: int, kernel: int
) -> None:
    block = SeparableBlock(in_channels, out_channels, stride, kernel)
    side = -(-size // stride)
    assert output_size(block, in_channels, size) == (out_channels, side, side)
    macs = separable_macs(in_channels, out_channels, size, stride, kernel)
    assert counted(block, in_channels, size) == (macs, separable_params(in_channels, out_channels, kernel))
    standard = conv2d_macs(in_channels, out_channels, (kernel, kernel), (side, side))
    assert standard / macs == pytest.approx(separable_ratio(kernel, out_channels))


def test_with_many_channels_it_is_eight_to_nine_times_cheaper() -> None:
    assert 8 < conv2d_macs(256, 256, (3, 3), (7, 7)) / separable_macs(256, 256, 7) < 9
    assert separable_ratio(3, 10**6) == pytest.approx(9, rel=1e-4)


def test_the_depthwise_part_filters_each_channel_by_itself() -> None:
    block = SeparableBlock(5, 7, stride=2)
    conv = block.depthwise[0]
    x = torch.randn(2, 5, 9, 9)
    alone = [F.conv2d(x[:, c : c + 1], conv.weight[c : c + 1], stride=2, padding=1) for c in range(5)]
    torch.testing.assert_close(conv(x), torch.cat(alone, dim=1))


@pytest.mark.parametrize(("out_channels", "stride", "keeps"), [(4, 1, True), (4, 2, False), (6, 1, False)])
def test_an_identity_lies_beside_blocks_that_keep_their_shape(
    out_channels: int, stride: int, keeps: bool
) -> None:
    block = SeparableBlock(4, out_channels, stride)
    nn.init.zeros_(block.pointwise[1].weight)
    x = torch.randn(2, 4, 8, 8)
    assert block.keeps_shape is keeps
    assert torch.equal(block(x), x) == keeps
    assert block(x).any() == keeps
