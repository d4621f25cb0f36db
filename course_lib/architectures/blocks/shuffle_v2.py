"""ShuffleNet V2's unit (Ma et al., 2018), designed by measured speed; its rules are in `design_rules`.

Channels are split in two halves. One passes untouched; the other goes through 1×1, depthwise 3×3, 1×1, all
of equal width and without groups. The halves are put beside each other and shuffled in two groups, so that
the next unit works on channels of both. There is no addition. Where the shape changes both halves start
from the whole input, the one beside with a depthwise 3×3 and a 1×1 of its own.

With B = C_out/2: stride 1 costs H·W·(2·B² + 9·B) MACs. Where the shape changes: H·W·C_in·B + H'·W'·(9·B +
B²) for the branch, and H'·W'·(9·C_in + C_in·B) beside it.

Worked example: 116 → 116 channels at 28×28: B = 58 and 784·(2·3,364 + 522) = 5,684,000 MACs.
"""

import torch
from torch import Tensor, nn

from course_lib.architectures.blocks.layers import conv_bn, conv_bn_params, output_side
from course_lib.architectures.blocks.shuffle_v1 import channel_shuffle
from course_lib.errors import SettingError


class ShuffleV2Block(nn.Module):
    """Split, convolve one half, concatenate, shuffle; (N, C_in, H, W) → (N, C_out, H/stride, W/stride).

    Raises
    ------
    SettingError
        If the output channels are odd, so that there are no halves.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        half = _half(out_channels)
        self.splits = stride == 1 and in_channels == out_channels
        if self.splits:
            self.beside = nn.Sequential()
        else:
            self.beside = nn.Sequential(
                conv_bn(in_channels, in_channels, 3, stride, in_channels),
                conv_bn(in_channels, half, 1),
                nn.ReLU(),
            )
        self.branch = nn.Sequential(
            conv_bn(half if self.splits else in_channels, half, 1),
            nn.ReLU(),
            conv_bn(half, half, 3, stride, half),
            conv_bn(half, half, 1),
            nn.ReLU(),
        )

    def forward(self, x: Tensor) -> Tensor:
        if self.splits:
            kept, changed = x.chunk(2, 1)
            joined = torch.cat([kept, self.branch(changed)], 1)
        else:
            joined = torch.cat([self.beside(x), self.branch(x)], 1)
        return channel_shuffle(joined, 2)


def shuffle_v2_macs(in_channels: int, out_channels: int, resolution: int, stride: int = 1) -> int:
    """Return the MACs for a square input of ``resolution`` pixels a side, by the formulas above."""
    half = _half(out_channels)
    if stride == 1 and in_channels == out_channels:
        return resolution**2 * (2 * half**2 + 9 * half)
    side = output_side(resolution, stride)
    branch = resolution**2 * in_channels * half + side**2 * (9 * half + half**2)
    return branch + side**2 * (9 * in_channels + in_channels * half)


def shuffle_v2_params(in_channels: int, out_channels: int, stride: int = 1) -> int:
    """Return the trainable numbers of `ShuffleV2Block`."""
    half = _half(out_channels)
    splits = stride == 1 and in_channels == out_channels
    entry = conv_bn_params(half if splits else in_channels, half, 1)
    branch = entry + conv_bn_params(half, half, 3, half) + conv_bn_params(half, half, 1)
    if splits:
        return branch
    depthwise = conv_bn_params(in_channels, in_channels, 3, in_channels)
    return branch + depthwise + conv_bn_params(in_channels, half, 1)


def _half(out_channels: int) -> int:
    if out_channels % 2:
        raise SettingError(
            f"A ShuffleNet V2 block got {out_channels} output channels; expected an even number, for it "
            f"works in halves: pass {out_channels + 1}."
        )
    return out_channels // 2
