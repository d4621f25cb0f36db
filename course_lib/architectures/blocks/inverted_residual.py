"""Inverted residual with a linear bottleneck (Sandler et al., MobileNetV2, 2018).

A residual block of the older kind is wide at its ends and narrow inside. This one is narrow at its ends and
wide inside: 1×1 from C_in to E channels, depthwise K×K over E, 1×1 from E to C_out. The identity joins the
narrow ends, where few numbers must be kept in memory, and the depthwise convolution makes the wide middle
cheap. The last 1×1 has no activation ("linear"): ReLU after so few channels would destroy what they carry.

MACs: H·W·C_in·E + H'·W'·(K²·E + E·C_out). Where E = C_in there is no first 1×1, as in the paper's first
block. MobileNetV3 (Howard et al., 2019) puts a squeeze-and-excitation after the depthwise convolution, and
h-swish for the activation; EfficientNet's MBConv is this block with SiLU.

Worked example: 16 → 24 channels, E = 96, 3×3, stride 2, 28×28 pixels. Expand: 784·16·96 = 1,204,224;
depthwise: 196·9·96 = 169,344; project: 196·96·24 = 451,584; together 1,825,152 MACs.
"""

from collections.abc import Callable

from torch import Tensor, nn

from course_lib.architectures.blocks.layers import conv_bn, conv_bn_params, output_side
from course_lib.architectures.blocks.squeeze_excitation import (
    squeeze_excitation_macs,
    squeeze_excitation_params,
)


class InvertedResidual(nn.Module):
    """Expand, filter, project, with an identity beside it; (N, C_in, H, W) → (N, C_out, H/stride, W/stride).

    Parameters
    ----------
    expanded
        Channels E of the wide middle.
    activation
        What makes the layer after the first and after the second convolution.
    squeeze
        A module that keeps (N, E, H, W), put after the depthwise convolution; usually a `SqueezeExcitation`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int = 1,
        kernel: int = 3,
        *,
        expanded: int,
        activation: Callable[[], nn.Module] = nn.ReLU6,
        squeeze: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.expand = (
            nn.Identity()
            if expanded == in_channels
            else nn.Sequential(conv_bn(in_channels, expanded, 1), activation())
        )
        self.depthwise = nn.Sequential(conv_bn(expanded, expanded, kernel, stride, expanded), activation())
        self.squeeze = squeeze or nn.Identity()
        self.project = conv_bn(expanded, out_channels, 1)
        self.keeps_shape = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.project(self.squeeze(self.depthwise(self.expand(x))))
        return x + y if self.keeps_shape else y


def inverted_residual_macs(
    in_channels: int,
    out_channels: int,
    resolution: int,
    stride: int = 1,
    kernel: int = 3,
    *,
    expanded: int,
    squeezed: int = 0,
) -> int:
    """Return H·W·C_in·E + H'·W'·(K²·E + E·C_out) + 2·E·S; ``squeezed`` is S, 0 without the excitation."""
    expand = 0 if expanded == in_channels else resolution**2 * in_channels * expanded
    side = output_side(resolution, stride)
    rest = side**2 * (kernel**2 * expanded + expanded * out_channels)
    return expand + rest + squeeze_excitation_macs(expanded, squeezed)


def inverted_residual_params(
    in_channels: int, out_channels: int, kernel: int = 3, *, expanded: int, squeezed: int = 0
) -> int:
    """Return the trainable numbers of `InvertedResidual`; ``squeezed`` is S, 0 without the excitation."""
    expand = 0 if expanded == in_channels else conv_bn_params(in_channels, expanded, 1)
    depthwise = conv_bn_params(expanded, expanded, kernel, groups=expanded)
    project = conv_bn_params(expanded, out_channels, 1)
    return expand + depthwise + squeeze_excitation_params(expanded, squeezed) + project
