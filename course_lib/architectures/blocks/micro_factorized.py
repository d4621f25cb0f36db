"""Micro-factorized convolutions (Li et al., MicroNet, 2021), for networks of a few million MACs.

A depthwise K×K kernel becomes K×1 then 1×K: 2·K instead of K² MACs for each output. A 1×1 matrix W (C × C)
becomes W = P·Φ·Qᵀ: grouped 1×1 from C to C/R channels, a shuffle Φ, grouped 1×1 back to C. With G = √(C/R)
groups each group of the second convolution gets exactly one channel of each group of the first, so that
every output still sees every input, by one path each. That costs 2·C²/(R·G) MACs a pixel instead of C².

A micro-block filters and then mixes. Block A, for early layers, lets the depthwise part make ``expansion``
times more channels and mixes with a single grouped 1×1 ("lite"); block B does the same with both factors;
block C has no expansion.

Left out: dynamic shift-max, the paper's activation, which adds shifted copies of the channels with weights
that an excitation makes for each picture; ReLU takes its place here, so the paper's accuracies do not
apply.

Worked example: C = 64, R = 4: 16 channels inside, G = 4. 64·16/4 + 16·64/4 = 512 MACs a pixel instead of
4,096. Depthwise 5×5 on 64 channels: 64·10 = 640 instead of 1,600.
"""

from math import gcd, sqrt

from torch import Tensor, nn

from course_lib.architectures.blocks.layers import check_groups, conv_bn, conv_bn_params, output_side
from course_lib.architectures.blocks.shuffle_v1 import channel_shuffle
from course_lib.errors import SettingError


def adaptive_groups(hidden: int, *channels: int) -> int:
    """Return the common divisor of all the counts that is nearest to √hidden, the smaller of two.

    The paper's G = √(C/R), for channels where that is no whole number or no divisor.
    """
    common = gcd(hidden, *channels)
    divisors = [g for g in range(1, common + 1) if common % g == 0]
    return min(divisors, key=lambda g: abs(g - sqrt(hidden)))


class MicroFactorizedDepthwise(nn.Module):
    """K×1, BN, 1×K, BN, each channel by itself; (N, C_in, H, W) → (N, C_out, H/stride, W/stride).

    ``out_channels`` must be a multiple of ``in_channels``: the K×1 part makes several channels of each.

    Raises
    ------
    SettingError
        If it is not.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, kernel: int = 3) -> None:
        super().__init__()
        check_groups(in_channels, **{"output channels": out_channels})
        half = kernel // 2
        self.column = nn.Sequential(
            nn.Conv2d(
                in_channels,
                out_channels,
                (kernel, 1),
                (stride, 1),
                (half, 0),
                groups=in_channels,
                bias=False,
            ),
            nn.BatchNorm2d(out_channels),
        )
        self.row = nn.Sequential(
            nn.Conv2d(
                out_channels,
                out_channels,
                (1, kernel),
                (1, stride),
                (0, half),
                groups=out_channels,
                bias=False,
            ),
            nn.BatchNorm2d(out_channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.row(self.column(x))  # type: ignore[no-any-return]


class MicroFactorizedPointwise(nn.Module):
    """Grouped 1×1 down, shuffle, grouped 1×1 up, each with BN; (N, C_in, H, W) → (N, C_out, H, W).

    Parameters
    ----------
    hidden
        Channels C/R between the two.
    groups
        Of the first and of the second 1×1; by default `adaptive_groups` for each.

    Raises
    ------
    SettingError
        If the groups do not divide the channels.
    """

    def __init__(
        self, in_channels: int, out_channels: int, hidden: int, groups: tuple[int, ...] | None = None
    ) -> None:
        super().__init__()
        first, second = _groups(in_channels, out_channels, hidden, groups)
        self.groups = first
        self.compress = conv_bn(in_channels, hidden, 1, groups=first)
        self.expand = conv_bn(hidden, out_channels, 1, groups=second)

    def forward(self, x: Tensor) -> Tensor:
        return self.expand(channel_shuffle(self.compress(x), self.groups))  # type: ignore[no-any-return]


class MicroBlock(nn.Module):
    """Filter with both factors of a depthwise kernel, then mix; (N, C_in, H, W) → (N, C_out, H/stride, …).

    Parameters
    ----------
    expansion
        Channels that the depthwise part makes of each input channel: above 1 in blocks A and B.
    hidden
        Channels inside the pointwise part; None for block A, which has a single grouped 1×1.
    groups
        Of each 1×1, so one number in block A and two in blocks B and C; by default `adaptive_groups`.

    Raises
    ------
    SettingError
        If the groups do not divide the channels.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int = 1,
        kernel: int = 3,
        expansion: int = 1,
        hidden: int | None = None,
        groups: tuple[int, ...] | None = None,
    ) -> None:
        super().__init__()
        wide = expansion * in_channels
        self.filter = nn.Sequential(MicroFactorizedDepthwise(in_channels, wide, stride, kernel), nn.ReLU())
        chosen = _groups(wide, out_channels, hidden, groups)
        self.mix = (
            nn.Sequential(conv_bn(wide, out_channels, 1, groups=chosen[0]), nn.ChannelShuffle(chosen[0]))
            if hidden is None
            else MicroFactorizedPointwise(wide, out_channels, hidden, chosen)
        )
        self.relu = nn.ReLU()
        self.keeps_shape = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.relu(self.mix(self.filter(x)))
        return x + y if self.keeps_shape else y


def micro_depthwise_macs(
    in_channels: int, out_channels: int, resolution: int, stride: int = 1, kernel: int = 3
) -> int:
    """Return K·C_out·(H'·W + H'·W'): the column shrinks the rows only, so W pixels are left for it."""
    check_groups(in_channels, **{"output channels": out_channels})
    side = output_side(resolution, stride)
    return kernel * out_channels * (side * resolution + side**2)


def micro_pointwise_macs(
    in_channels: int,
    out_channels: int,
    hidden: int | None,
    resolution: int,
    groups: tuple[int, ...] | None = None,
) -> int:
    """Return H·W·(C_in·M/G₁ + M·C_out/G₂) for M hidden channels; H·W·C_in·C_out/G without any (None)."""
    chosen = _groups(in_channels, out_channels, hidden, groups)
    if hidden is None:
        return resolution**2 * in_channels * out_channels // chosen[0]
    return resolution**2 * (in_channels * hidden // chosen[0] + hidden * out_channels // chosen[1])


def micro_macs(
    in_channels: int,
    out_channels: int,
    resolution: int,
    stride: int = 1,
    kernel: int = 3,
    expansion: int = 1,
    hidden: int | None = None,
    groups: tuple[int, ...] | None = None,
) -> int:
    """Return the MACs of `MicroBlock`: its depthwise part and its pointwise part."""
    wide = expansion * in_channels
    mixed = micro_pointwise_macs(wide, out_channels, hidden, output_side(resolution, stride), groups)
    return micro_depthwise_macs(in_channels, wide, resolution, stride, kernel) + mixed


def micro_params(
    in_channels: int,
    out_channels: int,
    kernel: int = 3,
    expansion: int = 1,
    hidden: int | None = None,
    groups: tuple[int, ...] | None = None,
) -> int:
    """Return the trainable numbers of `MicroBlock`."""
    wide = expansion * in_channels
    chosen = _groups(wide, out_channels, hidden, groups)
    depthwise = 2 * (kernel * wide + 2 * wide)
    if hidden is None:
        return depthwise + conv_bn_params(wide, out_channels, 1, chosen[0])
    compress = conv_bn_params(wide, hidden, 1, chosen[0])
    return depthwise + compress + conv_bn_params(hidden, out_channels, 1, chosen[1])


def _groups(
    in_channels: int, out_channels: int, hidden: int | None, groups: tuple[int, ...] | None
) -> tuple[int, ...]:
    """Return the groups of each 1×1, chosen or checked."""
    if hidden is None:
        ends = [{"input channels": in_channels, "output channels": out_channels}]
        chosen = groups or (adaptive_groups(out_channels, in_channels),)
    else:
        inside = {"hidden channels": hidden}
        ends = [{"input channels": in_channels, **inside}, {**inside, "output channels": out_channels}]
        chosen = groups or (adaptive_groups(hidden, in_channels), adaptive_groups(hidden, out_channels))
    if len(chosen) != len(ends):
        raise SettingError(
            f"A micro-factorized 1×1 got the groups {chosen}; expected one number for block A, which has no "
            f"hidden channels, and two otherwise: pass {len(ends)}."
        )
    for count, channels in zip(chosen, ends, strict=True):
        check_groups(count, **channels)
    return chosen
