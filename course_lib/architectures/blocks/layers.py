"""What all blocks are made of: a convolution with batch norm, and the arithmetic of sizes and channels.

A convolution of kernel K from C_in to C_out channels in g groups that makes H'·W' outputs a channel costs
H'·W'·K²·(C_in/g)·C_out MACs and owns K²·(C_in/g)·C_out weights; its batch norm owns 2·C_out more. With
padding K//2 and an odd K the output has ⌈H/stride⌉ rows.

Worked example: 3×3 from 8 to 16 channels, stride 2, on 9×9 pixels. The output is 5×5, each of its 25 pixels
costs 9·8·16 = 1,152 MACs, together 28,800; the parameters are 1,152 + 2·16 = 1,184.

Left out: biases, for the norm has one; fire modules and squeeze-and-excitation, which have no norm, add
theirs.
"""

from torch import nn

from course_lib.errors import SettingError


def conv_bn(
    in_channels: int, out_channels: int, kernel: int, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    """Convolution that keeps the size at stride 1 (odd kernels), then batch norm; the norm has the bias."""
    conv = nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels))


def conv_bn_params(in_channels: int, out_channels: int, kernel: int, groups: int = 1) -> int:
    """Return the trainable numbers of `conv_bn`: K²·(C_in/g)·C_out weights, and 2·C_out of the norm."""
    return kernel**2 * (in_channels // groups) * out_channels + 2 * out_channels


def conv_macs(in_channels: int, out_channels: int, kernel: int, side: int, groups: int = 1) -> int:
    """Return the MACs of a convolution that makes ``side`` × ``side`` outputs a channel."""
    return side**2 * kernel**2 * (in_channels // groups) * out_channels


def output_side(resolution: int, stride: int) -> int:
    """Return ⌈resolution/stride⌉, the side of what an odd kernel with padding K//2 makes."""
    return -(-resolution // stride)


def round_channels(channels: float, multiple: int = 8) -> int:
    """Round to the nearest multiple, and one step up where that would take away more than 10 %.

    MobileNet's rule for width multipliers (Sandler et al., 2018): 0.35 · 32 = 11.2 becomes 16, because 8
    would be 29 % below; 0.75 · 24 = 18 becomes 24, because 16 would be 11 % below. The result is at least
    ``multiple``.

    Raises
    ------
    SettingError
        If ``channels`` is not above 0 or ``multiple`` is below 1.
    """
    if not channels > 0 or multiple < 1:
        raise SettingError(
            f"round_channels got {channels} channels and multiple {multiple}; expected channels above 0 and "
            "a multiple of at least 1: pass for example round_channels(0.75 * 24)."
        )
    rounded = max(multiple, int(channels + multiple / 2) // multiple * multiple)
    return rounded + multiple if rounded < 0.9 * channels else rounded


def check_groups(groups: int, **channels: int) -> None:
    """Refuse groups that do not divide every one of the channel counts, which are given by their names.

    Raises
    ------
    SettingError
        With the counts that do not divide, and the largest number of groups that would.
    """
    if groups < 1 or any(count % groups for count in channels.values()):
        fitting = max(g for g in range(1, max(groups, 1) + 1) if not any(c % g for c in channels.values()))
        counts = ", ".join(f"{name} {count}" for name, count in channels.items())
        raise SettingError(
            f"{groups} groups do not divide {counts}; expected a number that divides all of them, such as "
            f"{fitting}."
        )
