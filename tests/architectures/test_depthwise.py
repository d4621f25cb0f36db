import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from course_lib.architectures.depthwise import SeparableBlock, SeparableNet
from course_lib.benchmarking.macs import conv2d_macs, profile_layers


def test_the_cost_of_a_block_by_hand() -> None:
    profile = profile_layers(SeparableBlock(8, 16, stride=1), torch.zeros(1, 8, 10, 10))
    # 3²·8 a pixel for the depthwise part, 8·16 for the pointwise one, and 100 pixels.
    assert profile.macs == (9 * 8 + 8 * 16) * 100 == 20_000
    # Both norms have two numbers a channel.
    assert profile.params == 9 * 8 + 8 * 16 + 2 * 8 + 2 * 16 == 248


@settings(max_examples=15)
@given(st.integers(1, 6), st.integers(1, 6), st.sampled_from([1, 2]), st.integers(3, 9))
def test_the_cost_follows_the_formula_for_every_size(
    in_channels: int, out_channels: int, stride: int, size: int
) -> None:
    block = SeparableBlock(in_channels, out_channels, stride)
    example = torch.zeros(1, in_channels, size, size)
    side = -(-size // stride)
    assert block(torch.cat([example, example])).shape == (2, out_channels, side, side)
    expected = (9 * in_channels + in_channels * out_channels) * side**2
    assert profile_layers(block, example).macs == expected


def test_with_many_channels_it_is_eight_to_nine_times_cheaper() -> None:
    separable = (9 * 256 + 256 * 256) * 7 * 7
    assert 8 < conv2d_macs(256, 256, (3, 3), (7, 7)) / separable < 9
    assert profile_layers(SeparableBlock(256, 256, 1), torch.zeros(1, 256, 7, 7)).macs == separable


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


def test_the_network_halves_where_its_strides_say() -> None:
    net = SeparableNet(6, ((8, 1), (10, 2)), num_classes=3)
    seen = []
    net.blocks.register_forward_hook(
        lambda module, inputs, output: seen.extend([inputs[0].shape, output.shape])
    )
    assert net(torch.zeros(2, 1, 28, 28)).shape == (2, 3)
    assert [tuple(shape) for shape in seen] == [(2, 6, 14, 14), (2, 10, 7, 7)]
    with pytest.raises(RuntimeError, match="to have 1 channels, but got 3 channels"):
        net(torch.zeros(2, 3, 28, 28))
