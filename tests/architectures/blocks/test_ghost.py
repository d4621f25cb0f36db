import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from course_lib.architectures.blocks.ghost import (
    GhostBottleneck,
    GhostModule,
    ghost_bottleneck_macs,
    ghost_bottleneck_params,
    ghost_module_macs,
    ghost_module_params,
)
from course_lib.architectures.blocks.squeeze_excitation import SqueezeExcitation
from course_lib.errors import SettingError
from tests.architectures.blocks.counting import counted, output_size


def test_the_cost_by_hand() -> None:
    assert ghost_module_macs(16, 48, 28) == 784 * (16 * 24 + 9 * 24) == 470_400
    assert ghost_module_params(16, 48) == 16 * 24 + 9 * 24 + 4 * 24
    # Both modules, the strided depthwise convolution, and the two convolutions beside them.
    modules = 784 * (16 * 24 + 9 * 24) + 196 * (48 * 12 + 9 * 12)
    rest = 196 * 9 * 48 + 196 * (9 * 16 + 16 * 24)
    assert ghost_bottleneck_macs(16, 48, 24, 28, stride=2) == modules + rest


@settings(max_examples=20)
@given(
    *(st.integers(1, 6), st.integers(1, 9), st.sampled_from([1, 3]), st.integers(2, 4)),
    *(st.sampled_from([1, 3, 5]), st.integers(1, 9)),
)
def test_the_cost_of_a_module_is_what_is_counted(
    in_channels: int, out_channels: int, kernel: int, ratio: int, cheap_kernel: int, side: int
) -> None:
    settings_ = kernel, ratio, cheap_kernel
    block = GhostModule(in_channels, out_channels, *settings_)
    assert output_size(block, in_channels, side) == (out_channels, side, side)
    assert counted(block, in_channels, side) == (
        ghost_module_macs(in_channels, out_channels, side, *settings_),
        ghost_module_params(in_channels, out_channels, *settings_),
    )


@settings(max_examples=20)
@given(
    *(st.integers(1, 6), st.integers(1, 9), st.integers(1, 6), st.sampled_from([1, 2])),
    *(st.sampled_from([3, 5]), st.integers(0, 3), st.integers(3, 9)),
)
def test_the_cost_of_a_bottleneck_is_what_is_counted(
    in_channels: int, hidden: int, out_channels: int, stride: int, kernel: int, squeezed: int, size: int
) -> None:
    squeeze = SqueezeExcitation(hidden, squeezed) if squeezed else None
    block = GhostBottleneck(in_channels, hidden, out_channels, stride, kernel, squeeze)
    side = -(-size // stride)
    assert output_size(block, in_channels, size) == (out_channels, side, side)
    assert counted(block, in_channels, size) == (
        ghost_bottleneck_macs(in_channels, hidden, out_channels, size, stride, kernel, squeezed),
        ghost_bottleneck_params(in_channels, hidden, out_channels, stride, kernel, squeezed),
    )


def test_ghosts_are_filtered_copies_of_the_ordinary_channels() -> None:
    block = GhostModule(3, 6, activation=nn.Identity).eval()
    norm = 1 / (1 + block.ordinary[0][1].eps) ** 0.5  # a norm that has seen nothing divides by √(1 + eps)
    x = torch.randn(2, 3, 5, 5)
    ordinary = norm * F.conv2d(x, block.ordinary[0][0].weight)
    kernels = block.ghosts[0][0].weight
    ghosts = [norm * F.conv2d(ordinary[:, c : c + 1], kernels[c : c + 1], padding=1) for c in range(3)]
    torch.testing.assert_close(block(x), torch.cat([ordinary, *ghosts], 1))


def test_the_identity_lies_beside_a_bottleneck_that_keeps_its_shape() -> None:
    block = GhostBottleneck(4, 8, 4, 1)
    for part in (block.project.ordinary, block.project.ghosts):
        nn.init.zeros_(part[0][1].weight)
    x = torch.randn(2, 4, 6, 6)
    assert torch.equal(block(x), x)


def test_a_ratio_below_two_leaves_no_ghosts() -> None:
    sentence = "A ghost module got ratio 1; expected at least 2: an ordinary channel and a ghost of it."
    with pytest.raises(SettingError, match=sentence):
        GhostModule(3, 6, ratio=1)
    with pytest.raises(SettingError, match=sentence):
        ghost_module_macs(3, 6, 8, ratio=1)
