"""Grouped 1×1 convolutions and the channel shuffle (Zhang et al., ShuffleNet, 2018).

In a separable block nearly all MACs are in the 1×1 convolutions. In g groups they cost g times less, but
then no group ever sees another one. The shuffle repairs this: channels written as a table of g rows are
read by its columns, so that each group of the next convolution gets channels of every group. It moves
numbers and computes nothing.

The unit: grouped 1×1 to a quarter of C_out, shuffle, depthwise 3×3, grouped 1×1. At stride 1 the input is
added; at stride 2 it is averaged 3×3 and put beside the branch, which then makes only C_out − C_in
channels. With B = C_out/4 and M = C_out, or C_out − C_in at stride 2, the MACs are H·W·C_in·B/g +
H'·W'·(9·B + B·M/g).

Worked example: 240 → 240 channels, g = 3, 28×28, stride 1: B = 60. 784·240·60/3 = 3,763,200; 784·9·60 =
423,360; 784·60·240/3 = 3,763,200; together 7,949,760 MACs. Six channels shuffled in 2 groups: 0 1 2 | 3 4 5
become 0 3 1 4 2 5.
"""

import torch
from torch import Tensor, nn

from course_lib.architectures.blocks.layers import check_groups, conv_bn, conv_bn_params, output_side
from course_lib.errors import SettingError

BOTTLENECK = 4
"""The depthwise convolution works on a quarter of the output channels."""


def channel_shuffle(x: Tensor, groups: int) -> Tensor:
    """Read the channels, a table of ``groups`` rows, by its columns; (N, C, H, W) → (N, C, H, W)."""
    if groups == 1:
        return x  # one row read by its columns is what it was: no steps in the graph for nothing
    batch, channels, height, width = x.shape
    rows = x.view(batch, groups, channels // groups, height, width)
    return rows.transpose(1, 2).reshape(batch, channels, height, width)


class ShuffleV1Block(nn.Module):
    """ShuffleNet's unit; (N, C_in, H, W) → (N, C_out, H/stride, W/stride).

    Parameters
    ----------
    groups
        Groups of both 1×1 convolutions.
    grouped_entry
        Whether the first 1×1 has groups; in the first unit of the paper's networks, with 24 input channels,
        it has none.

    Raises
    ------
    SettingError
        If the groups do not divide the channels, or the channels do not fit the stride.
    """

    def __init__(
        self, in_channels: int, out_channels: int, stride: int, groups: int, grouped_entry: bool = True
    ) -> None:
        super().__init__()
        hidden, made, entry_groups = _widths(in_channels, out_channels, stride, groups, grouped_entry)
        self.groups = entry_groups
        self.entry = conv_bn(in_channels, hidden, 1, groups=entry_groups)
        self.depthwise = conv_bn(hidden, hidden, 3, stride, groups=hidden)
        self.exit = conv_bn(hidden, made, 1, groups=groups)
        self.shortcut = nn.Identity() if stride == 1 else nn.AvgPool2d(3, stride, 1)
        self.relu = nn.ReLU()
        self.adds = stride == 1

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.entry(x))
        y = self.exit(self.depthwise(channel_shuffle(y, self.groups)))
        beside = self.shortcut(x)
        joined = beside + y if self.adds else torch.cat([beside, y], 1)
        return self.relu(joined)  # type: ignore[no-any-return]


def shuffle_v1_macs(
    in_channels: int,
    out_channels: int,
    resolution: int,
    stride: int = 1,
    groups: int = 3,
    grouped_entry: bool = True,
) -> int:
    """Return H·W·C_in·B/g + H'·W'·(9·B + B·M/g), with B and M as above."""
    hidden, made, entry_groups = _widths(in_channels, out_channels, stride, groups, grouped_entry)
    side = output_side(resolution, stride)
    entry = resolution**2 * in_channels * hidden // entry_groups
    return entry + side**2 * (9 * hidden + hidden * made // groups)


def shuffle_v1_params(
    in_channels: int, out_channels: int, stride: int = 1, groups: int = 3, grouped_entry: bool = True
) -> int:
    """Return the trainable numbers of `ShuffleV1Block`."""
    hidden, made, entry_groups = _widths(in_channels, out_channels, stride, groups, grouped_entry)
    entry = conv_bn_params(in_channels, hidden, 1, entry_groups)
    return entry + conv_bn_params(hidden, hidden, 3, hidden) + conv_bn_params(hidden, made, 1, groups)


def _widths(
    in_channels: int, out_channels: int, stride: int, groups: int, grouped_entry: bool
) -> tuple[int, int, int]:
    """Return the channels of the bottleneck, those that the branch makes, and the groups of the first 1×1."""
    if (stride == 1 and out_channels != in_channels) or (stride > 1 and out_channels <= in_channels):
        raise SettingError(
            f"A ShuffleNet V1 block got {in_channels} → {out_channels} channels at stride {stride}; expected "
            "equal channels at stride 1, where the input is added, and more output channels than input "
            "channels at stride 2, where it is put beside."
        )
    hidden = out_channels // BOTTLENECK
    made = out_channels if stride == 1 else out_channels - in_channels
    if hidden < 1:
        raise SettingError(
            f"A ShuffleNet V1 block got {out_channels} output channels; expected at least {BOTTLENECK}, for "
            "its bottleneck has a quarter of them."
        )
    entering = {"input channels": in_channels} if grouped_entry else {}
    check_groups(groups, **entering, **{"bottleneck channels": hidden, "channels of the branch": made})
    return hidden, made, groups if grouped_entry else 1
