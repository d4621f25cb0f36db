import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from course_lib.architectures.blocks.shuffle_v1 import (
    ShuffleV1Block,
    channel_shuffle,
    shuffle_v1_macs,
    shuffle_v1_params,
)
from course_lib.errors import SettingError
from tests.architectures.blocks.counting import counted, output_size


def test_the_cost_by_hand() -> None:
    macs = 784 * 240 * 60 // 3 + 784 * 9 * 60 + 784 * 60 * 240 // 3
    assert shuffle_v1_macs(240, 240, 28, groups=3) == macs == 7_949_760
    # Stride 2 leaves 240 - 24 channels for the branch; the first 1×1 has no groups.
    macs = 784 * 24 * 60 + 196 * (9 * 60 + 60 * 216 // 3)
    assert shuffle_v1_macs(24, 240, 28, 2, 3, grouped_entry=False) == macs


@settings(max_examples=20)
@given(st.integers(1, 4), st.integers(1, 3), st.sampled_from([1, 2]), st.booleans(), st.integers(3, 9))
def test_the_cost_is_what_is_counted(
    groups: int, units: int, stride: int, grouped_entry: bool, size: int
) -> None:
    in_channels = 4 * groups * units
    out_channels = stride * in_channels
    block = ShuffleV1Block(in_channels, out_channels, stride, groups, grouped_entry)
    side = -(-size // stride)
    assert output_size(block, in_channels, size) == (out_channels, side, side)
    assert counted(block, in_channels, size) == (
        shuffle_v1_macs(in_channels, out_channels, size, stride, groups, grouped_entry),
        shuffle_v1_params(in_channels, out_channels, stride, groups, grouped_entry),
    )


def test_six_channels_in_two_groups_by_hand() -> None:
    x = torch.arange(6.0).reshape(1, 6, 1, 1)
    assert channel_shuffle(x, 2).flatten().tolist() == [0, 3, 1, 4, 2, 5]


@given(st.integers(1, 5), st.integers(1, 5))
def test_the_shuffle_is_torchs_and_its_own_counterpart_undoes_it(groups: int, each: int) -> None:
    x = torch.randn(2, groups * each, 3, 2)
    shuffled = channel_shuffle(x, groups)
    assert torch.equal(shuffled, nn.ChannelShuffle(groups)(x))
    assert torch.equal(channel_shuffle(shuffled, each), x)


@pytest.mark.parametrize("stride", [1, 2])
def test_the_block_is_its_steps_one_after_the_other(stride: int) -> None:
    block = ShuffleV1Block(8, 8 * stride, stride, groups=2).eval()
    entry, depthwise, leaving = (part[0].weight for part in (block.entry, block.depthwise, block.exit))
    norm = 1 / (1 + block.entry[1].eps) ** 0.5  # a norm that has seen nothing divides by √(1 + eps)
    x = torch.randn(2, 8, 6, 6)
    y = F.relu(norm * torch.cat([F.conv2d(x[:, :4], entry[:stride]), F.conv2d(x[:, 4:], entry[stride:])], 1))
    y = nn.ChannelShuffle(2)(y)
    y = norm * F.conv2d(y, depthwise, stride=stride, padding=1, groups=2 * stride)
    y = norm * F.conv2d(y, leaving, groups=2)
    expected = x + y if stride == 1 else torch.cat([F.avg_pool2d(x, 3, 2, 1), y], 1)
    torch.testing.assert_close(block(x), F.relu(expected))


def test_without_the_shuffle_groups_never_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    block = ShuffleV1Block(16, 16, 1, groups=2).eval()
    x = torch.randn(1, 16, 4, 4)
    other = x.clone()
    other[:, :8] += 1  # only the first group's inputs change
    assert not torch.equal(block(x)[:, 8:], block(other)[:, 8:])
    monkeypatch.setattr(
        "course_lib.architectures.blocks.shuffle_v1.channel_shuffle", lambda tensor, groups: tensor
    )
    assert torch.equal(block(x)[:, 8:], block(other)[:, 8:])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((8, 16, 1, 2), "A ShuffleNet V1 block got 8 → 16 channels at stride 1; expected equal channels at"),
        ((16, 16, 2, 2), "A ShuffleNet V1 block got 16 → 16 channels at stride 2; expected equal channels"),
        (
            (3, 3, 1, 1),
            "A ShuffleNet V1 block got 3 output channels; expected at least 4, for its bottleneck",
        ),
        (
            (24, 24, 1, 4),
            "4 groups do not divide input channels 24, bottleneck channels 6, channels of the branch 24; "
            "expected a number that divides all of them, such as 3.",
        ),
    ],
)
def test_channels_that_do_not_fit_are_refused(arguments: tuple[int, int, int, int], sentence: str) -> None:
    in_channels, out_channels, stride, groups = arguments
    with pytest.raises(SettingError, match=re.escape(sentence)):
        ShuffleV1Block(*arguments)
    with pytest.raises(SettingError, match=re.escape(sentence)):
        shuffle_v1_macs(in_channels, out_channels, 8, stride, groups)
