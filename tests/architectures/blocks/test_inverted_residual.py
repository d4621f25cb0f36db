from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from course_lib.architectures.blocks.inverted_residual import (
    InvertedResidual,
    inverted_residual_macs,
    inverted_residual_params,
)
from course_lib.architectures.blocks.squeeze_excitation import SqueezeExcitation
from course_lib.data.torchvision_import import import_torchvision
from tests.architectures.blocks.counting import counted, output_size, with_weights_of

import_torchvision()


def test_the_cost_by_hand() -> None:
    macs = 784 * 16 * 96 + 196 * 9 * 96 + 196 * 96 * 24
    assert inverted_residual_macs(16, 24, 28, stride=2, expanded=96) == macs == 1_825_152
    assert inverted_residual_macs(16, 24, 28, expanded=16) == 784 * (9 * 16 + 16 * 24)  # no first 1×1
    params = (16 * 96 + 192) + (9 * 96 + 192) + (96 * 24 + 48)
    assert inverted_residual_params(16, 24, expanded=96) == params


@settings(max_examples=20)
@given(
    *(st.integers(1, 6), st.integers(1, 6), st.sampled_from([1, 2]), st.sampled_from([3, 5])),
    *(st.integers(1, 20), st.integers(0, 3), st.integers(3, 9)),
)
def test_the_cost_is_what_is_counted(
    in_channels: int, out_channels: int, stride: int, kernel: int, expanded: int, squeezed: int, size: int
) -> None:
    squeeze = SqueezeExcitation(expanded, squeezed) if squeezed else None
    block = InvertedResidual(in_channels, out_channels, stride, kernel, expanded=expanded, squeeze=squeeze)
    inside = {"expanded": expanded, "squeezed": squeezed}
    side = -(-size // stride)
    assert output_size(block, in_channels, size) == (out_channels, side, side)
    assert counted(block, in_channels, size) == (
        inverted_residual_macs(in_channels, out_channels, size, stride, kernel, **inside),
        inverted_residual_params(in_channels, out_channels, kernel, **inside),
    )


@pytest.mark.parametrize(
    ("in_channels", "out_channels", "stride", "expansion"), [(8, 8, 1, 6), (8, 12, 2, 6), (8, 8, 1, 1)]
)
def test_the_same_as_torchvisions_mobilenet_v2(
    in_channels: int, out_channels: int, stride: int, expansion: int
) -> None:
    from torchvision.models.mobilenetv2 import InvertedResidual as Theirs

    ours, theirs = with_weights_of(
        InvertedResidual(in_channels, out_channels, stride, expanded=expansion * in_channels),
        Theirs(in_channels, out_channels, stride, expansion),
    )
    x = torch.randn(2, in_channels, 7, 7)
    assert torch.equal(ours(x), theirs(x))


@pytest.mark.parametrize(("out_channels", "stride"), [(8, 1), (16, 2)])
def test_the_same_as_torchvisions_mobilenet_v3(out_channels: int, stride: int) -> None:
    from torchvision.models.mobilenetv3 import InvertedResidual as Theirs
    from torchvision.models.mobilenetv3 import InvertedResidualConfig

    config = InvertedResidualConfig(8, 5, 32, out_channels, True, "HS", stride, 1, 1.0)
    ours, theirs = with_weights_of(
        InvertedResidual(
            *(8, out_channels, stride, 5),
            expanded=32,
            activation=nn.Hardswish,
            squeeze=SqueezeExcitation(32, 8),
        ),
        Theirs(config, partial(nn.BatchNorm2d)),
    )
    x = torch.randn(2, 8, 7, 7)
    assert torch.equal(ours(x), theirs(x))


def test_the_end_is_linear_so_that_negative_numbers_pass() -> None:
    block = InvertedResidual(4, 6, expanded=8).eval()
    assert (block(torch.randn(2, 4, 5, 5)) < 0).any()
