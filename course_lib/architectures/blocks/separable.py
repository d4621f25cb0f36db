"""Depthwise-separable convolution (Howard et al., MobileNets, 2017): filter each channel, then mix channels.

A K×K convolution from C_in to C_out channels costs K²·C_in·C_out MACs a pixel. Done as a depthwise K×K (one
filter a channel) and a pointwise 1×1, it costs K²·C_in + C_in·C_out, which is less by the factor K²·C_out /
(K² + C_out): for 3×3 kernels and many channels, eight to nine times. Blocks that keep their shape have an
identity beside them (Sandler et al., 2018).

Worked example: 3×3 from 8 to 16 channels on 10×10 pixels. Standard: 9·8·16·100 = 115,200 MACs. Separable:
(9·8 + 8·16)·100 = 20,000, less by the factor 9·16/(9 + 16) = 5.76.
"""

from torch import Tensor, nn

from course_lib.architectures.blocks.layers import conv_bn, conv_bn_params, output_side


class SeparableBlock(nn.Module):
    """Depthwise K×K then pointwise 1×1, each with BN and ReLU; (N, C_in, H, W) → (N, C_out, H/stride, …)."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, kernel: int = 3) -> None:
        super().__init__()
        self.depthwise = conv_bn(in_channels, in_channels, kernel, stride, groups=in_channels)
        self.pointwise = conv_bn(in_channels, out_channels, 1)
        self.relu = nn.ReLU()
        self.keeps_shape = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.relu(self.pointwise(self.relu(self.depthwise(x))))
        return x + y if self.keeps_shape else y


def separable_macs(
    in_channels: int, out_channels: int, resolution: int, stride: int = 1, kernel: int = 3
) -> int:
    """Return H'·W'·(K²·C_in + C_in·C_out), the MACs for a square input of ``resolution`` pixels a side."""
    side = output_side(resolution, stride)
    return side**2 * (kernel**2 * in_channels + in_channels * out_channels)


def separable_params(in_channels: int, out_channels: int, kernel: int = 3) -> int:
    """Return the trainable numbers of `SeparableBlock`."""
    depthwise = conv_bn_params(in_channels, in_channels, kernel, groups=in_channels)
    return depthwise + conv_bn_params(in_channels, out_channels, 1)


def separable_ratio(kernel: int, out_channels: int) -> float:
    """Return how many times fewer MACs separable takes than standard: K²·C_out / (K² + C_out).

    Neither C_in nor the resolution matters. With many channels it comes close to K².
    """
    return kernel**2 * out_channels / (kernel**2 + out_channels)
