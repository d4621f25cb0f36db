"""Ghost module and bottleneck (Han et al., GhostNet, 2020): some channels are made from the others.

Many feature maps of a trained network look like shifted or sharpened copies of one another. So an ordinary
convolution makes only m = ⌈C_out/s⌉ of them, and a cheap depthwise d×d convolution makes s − 1 "ghosts" of
each. MACs: H·W·(K²·C_in·m + d²·m·(s − 1)), about s times fewer than K²·C_in·C_out.

The bottleneck is two ghost modules, wide between them, with a strided depthwise convolution there when it
shrinks the picture, and a squeeze-and-excitation where asked for. Beside it the identity, or, where the
shape changes, a depthwise and a 1×1 convolution.

Worked example: a 1×1 ghost module 16 → 48 channels, s = 2, d = 3 at 28×28: m = 24, and 784·(16·24 + 9·24) =
470,400 MACs, where the plain 1×1 takes 784·16·48 = 602,112. With few input channels the ghosts are not much
cheaper than what they replace.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from course_lib.architectures.blocks.layers import conv_bn, conv_bn_params, output_side
from course_lib.architectures.blocks.squeeze_excitation import (
    squeeze_excitation_macs,
    squeeze_excitation_params,
)
from course_lib.errors import SettingError


class GhostModule(nn.Module):
    """A convolution that makes some channels, and a depthwise one that makes the rest from them.

    (N, C_in, H, W) → (N, C_out, H, W).

    Parameters
    ----------
    kernel, cheap_kernel
        Sides K and d of the ordinary and of the depthwise kernels; odd.
    ratio
        One ordinary channel for every ``ratio`` channels, s ≥ 2.
    activation
        What makes the layer after either convolution; nn.Identity for none.

    Raises
    ------
    SettingError
        If ``ratio`` is below 2.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int = 1,
        ratio: int = 2,
        cheap_kernel: int = 3,
        activation: Callable[[], nn.Module] = nn.ReLU,
    ) -> None:
        super().__init__()
        made = _made(out_channels, ratio)
        ghosts = conv_bn(made, made * (ratio - 1), cheap_kernel, groups=made)
        self.ordinary = nn.Sequential(conv_bn(in_channels, made, kernel), activation())
        self.ghosts = nn.Sequential(ghosts, activation())
        self.surplus = made * ratio > out_channels
        self.out_channels = out_channels

    def forward(self, x: Tensor) -> Tensor:
        ordinary = self.ordinary(x)
        both = torch.cat([ordinary, self.ghosts(ordinary)], 1)
        return both[:, : self.out_channels] if self.surplus else both


class GhostBottleneck(nn.Module):
    """Two ghost modules beside an identity; (N, C_in, H, W) → (N, C_out, H/stride, W/stride).

    Parameters
    ----------
    hidden
        Channels between the two modules.
    kernel
        Side of the strided depthwise kernel and of the one beside the modules.
    squeeze
        A module that keeps (N, hidden, H, W), put before the second ghost module.
    """

    def __init__(
        self,
        in_channels: int,
        hidden: int,
        out_channels: int,
        stride: int,
        kernel: int = 3,
        squeeze: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.expand = GhostModule(in_channels, hidden)
        self.shrink = conv_bn(hidden, hidden, kernel, stride, hidden) if stride > 1 else nn.Identity()
        self.squeeze = squeeze or nn.Identity()
        self.project = GhostModule(hidden, out_channels, activation=nn.Identity)
        self.shortcut = (
            nn.Identity()
            if stride == 1 and in_channels == out_channels
            else nn.Sequential(
                conv_bn(in_channels, in_channels, kernel, stride, in_channels),
                conv_bn(in_channels, out_channels, 1),
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        y = self.project(self.squeeze(self.shrink(self.expand(x))))
        return self.shortcut(x) + y  # type: ignore[no-any-return]


def ghost_module_macs(
    in_channels: int,
    out_channels: int,
    resolution: int,
    kernel: int = 1,
    ratio: int = 2,
    cheap_kernel: int = 3,
) -> int:
    """Return H·W·(K²·C_in·m + d²·m·(s − 1)) with m = ⌈C_out/s⌉."""
    made = _made(out_channels, ratio)
    return resolution**2 * (kernel**2 * in_channels * made + cheap_kernel**2 * made * (ratio - 1))


def ghost_module_params(
    in_channels: int, out_channels: int, kernel: int = 1, ratio: int = 2, cheap_kernel: int = 3
) -> int:
    """Return the trainable numbers of `GhostModule`."""
    made = _made(out_channels, ratio)
    ghosts = conv_bn_params(made, made * (ratio - 1), cheap_kernel, groups=made)
    return conv_bn_params(in_channels, made, kernel) + ghosts


def ghost_bottleneck_macs(
    in_channels: int,
    hidden: int,
    out_channels: int,
    resolution: int,
    stride: int = 1,
    kernel: int = 3,
    squeezed: int = 0,
) -> int:
    """Return the MACs of `GhostBottleneck`; ``squeezed`` channels in the excitation, 0 without one."""
    side = output_side(resolution, stride)
    modules = ghost_module_macs(in_channels, hidden, resolution) + ghost_module_macs(
        hidden, out_channels, side
    )
    shrink = side**2 * kernel**2 * hidden if stride > 1 else 0
    same = stride == 1 and in_channels == out_channels
    beside = 0 if same else side**2 * in_channels * (kernel**2 + out_channels)
    return modules + shrink + squeeze_excitation_macs(hidden, squeezed) + beside


def ghost_bottleneck_params(
    in_channels: int, hidden: int, out_channels: int, stride: int = 1, kernel: int = 3, squeezed: int = 0
) -> int:
    """Return the trainable numbers of `GhostBottleneck`."""
    modules = ghost_module_params(in_channels, hidden) + ghost_module_params(hidden, out_channels)
    shrink = conv_bn_params(hidden, hidden, kernel, hidden) if stride > 1 else 0
    excitation = squeeze_excitation_params(hidden, squeezed)
    if stride == 1 and in_channels == out_channels:
        return modules + shrink + excitation
    depthwise = conv_bn_params(in_channels, in_channels, kernel, in_channels)
    return modules + shrink + excitation + depthwise + conv_bn_params(in_channels, out_channels, 1)


def _made(out_channels: int, ratio: int) -> int:
    if ratio < 2:
        raise SettingError(
            f"A ghost module got ratio {ratio}; expected at least 2: an ordinary channel and a ghost of it."
        )
    return -(-out_channels // ratio)
