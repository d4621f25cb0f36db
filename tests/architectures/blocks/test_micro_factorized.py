import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from course_lib.architectures.blocks.micro_factorized import (
    MicroBlock,
    MicroFactorizedDepthwise,
    MicroFactorizedPointwise,
    adaptive_groups,
    micro_depthwise_macs,
    micro_macs,
    micro_params,
    micro_pointwise_macs,
)
from course_lib.errors import SettingError
from tests.architectures.blocks.counting import counted, output_size


def test_the_cost_by_hand() -> None:
    assert adaptive_groups(16, 64) == 4
    assert micro_pointwise_macs(64, 64, 16, resolution=1) == 64 * 16 // 4 + 16 * 64 // 4 == 512
    assert micro_depthwise_macs(64, 64, resolution=1, kernel=5) == 640
    # At stride 2 the column makes 5·10 outputs a channel, the row 5·5.
    assert micro_depthwise_macs(4, 8, resolution=10, stride=2) == 3 * 8 * (50 + 25)


@pytest.mark.parametrize(
    ("counts", "expected"), [((16, 64), 4), ((12, 48), 3), ((6, 4), 2), ((7, 4), 1), ((1,), 1)]
)
def test_groups_are_near_the_square_root(counts: tuple[int, ...], expected: int) -> None:
    assert adaptive_groups(*counts) == expected


@settings(max_examples=20)
@given(
    *(st.integers(1, 9), st.integers(1, 12), st.sampled_from([1, 2]), st.sampled_from([3, 5])),
    *(st.integers(1, 3), st.none() | st.integers(1, 8), st.integers(3, 9)),
)
def test_the_cost_is_what_is_counted(
    in_channels: int,
    out_channels: int,
    stride: int,
    kernel: int,
    expansion: int,
    hidden: int | None,
    size: int,
) -> None:
    block = MicroBlock(in_channels, out_channels, stride, kernel, expansion, hidden)
    side = -(-size // stride)
    assert output_size(block, in_channels, size) == (out_channels, side, side)
    assert counted(block, in_channels, size) == (
        micro_macs(in_channels, out_channels, size, stride, kernel, expansion, hidden),
        micro_params(in_channels, out_channels, kernel, expansion, hidden),
    )


def test_every_output_sees_every_input_by_exactly_one_path() -> None:
    layer = MicroFactorizedPointwise(64, 64, hidden=16).eval()
    for part in (layer.compress, layer.expand):
        nn.init.ones_(part[0].weight)
        part[1].eps = 0
    # One picture for each input channel; with all weights 1 an output counts the paths that lead to it.
    paths = layer(torch.eye(64)[:, :, None, None]).squeeze()
    assert torch.equal(paths, torch.ones(64, 64))


def test_column_and_row_are_one_kernel_of_rank_one() -> None:
    layer = MicroFactorizedDepthwise(3, 6, stride=2, kernel=5).eval()
    layer.column[1].eps = layer.row[1].eps = 0
    kernels = layer.column[0].weight * layer.row[0].weight  # (6, 1, 5, 1) · (6, 1, 1, 5)
    x = torch.randn(2, 3, 9, 9)
    torch.testing.assert_close(layer(x), F.conv2d(x, kernels, stride=2, padding=2, groups=3))


def test_the_identity_lies_beside_a_block_that_keeps_its_shape() -> None:
    block = MicroBlock(8, 8, expansion=2, hidden=4)
    nn.init.zeros_(block.mix.expand[1].weight)
    x = torch.randn(2, 8, 6, 6)
    assert torch.equal(block(x), x)


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (lambda: MicroFactorizedDepthwise(4, 6), "4 groups do not divide output channels 6; expected"),
        (
            lambda: MicroBlock(8, 8, hidden=4, groups=(3, 2)),
            "3 groups do not divide input channels 8, hidden channels 4; expected a number",
        ),
        (
            lambda: micro_macs(8, 8, 7, hidden=4, groups=(2,)),
            "A micro-factorized 1×1 got the groups (2,); expected one number for block A, which has no "
            "hidden channels, and two otherwise: pass 2.",
        ),
        (lambda: MicroBlock(8, 8, groups=(2, 2)), "and two otherwise: pass 1."),
    ],
)
def test_what_does_not_fit_is_refused(build: object, sentence: str) -> None:
    assert callable(build)
    with pytest.raises(SettingError, match=re.escape(sentence)):
        build()
