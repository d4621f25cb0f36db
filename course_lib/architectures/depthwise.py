"""Depthwise-separable network (Howard et al., MobileNets, 2017), the explorers' default model.

A K×K convolution from C_in to C_out channels costs K²·C_in·C_out MACs a pixel. Done as a depthwise K×K (one
filter a channel) and a pointwise 1×1, it costs K²·C_in + C_in·C_out: for 3×3 kernels and many channels,
eight to nine times less. Blocks that keep their shape have an identity beside them (Sandler et al., 2018).
"""

from torch import Tensor, nn

from course_lib.architectures.residual import conv_bn
from course_lib.registry import register_model


class SeparableBlock(nn.Module):
    """Depthwise 3×3 then pointwise 1×1, each with BN and ReLU; (N, C_in, H, W) → (N, C_out, H/stride, …)."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.depthwise = conv_bn(in_channels, in_channels, 3, stride, groups=in_channels)
        self.pointwise = conv_bn(in_channels, out_channels, 1)
        self.relu = nn.ReLU()
        self.keeps_shape = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.relu(self.pointwise(self.relu(self.depthwise(x))))
        return x + y if self.keeps_shape else y


class SeparableNet(nn.Module):
    """Strided stem, separable blocks, global average, linear classifier: (N, 1, H, W) → (N, num_classes).

    Parameters
    ----------
    stem_channels
        Channels after the first convolution, which halves the resolution.
    blocks
        (out_channels, stride) of each separable block.
    """

    def __init__(self, stem_channels: int, blocks: tuple[tuple[int, int], ...], num_classes: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv_bn(1, stem_channels, 3, stride=2), nn.ReLU())
        layers = []
        channels = stem_channels
        for out_channels, stride in blocks:
            layers.append(SeparableBlock(channels, out_channels, stride))
            channels = out_channels
        self.blocks = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(channels, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        features = self.blocks(self.stem(x))
        return self.classifier(self.pool(features).flatten(1))  # type: ignore[no-any-return]


@register_model("depthwise")
def depthwise(num_classes: int = 10) -> SeparableNet:
    """At most 40,000 parameters and 2 million MACs at 28×28."""
    return SeparableNet(16, ((32, 1), (64, 2), (96, 1), (96, 1), (128, 1)), num_classes)


@register_model("tiny")
def tiny(num_classes: int = 10) -> SeparableNet:
    """At most 10,000 parameters: the size of a microcontroller's model."""
    return SeparableNet(16, ((24, 1), (48, 2), (48, 1), (48, 1)), num_classes)
