"""EfficientNet (Tan and Le, 2019): MBConv blocks, scaled in width, depth and resolution together.

MBConv is the inverted residual with a squeeze-and-excitation and the activation SiLU, x·sigmoid(x). The
network B0 was found by a search; the larger ones follow from it by compound scaling: with `create_model` the
factors are ``width`` and ``depth``, and the resolution is that of the pictures. Left out: dropout and
stochastic depth.

Worked example: `efficientnet_224` is B0; with 1,000 classes it has 5,288,548 parameters and 385.8 million
MACs, which are the 5.3 million and 390 million of the paper's Table 2. B1 is ``depth=1.1``: 7,794,184
parameters.
"""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn

from course_lib.architectures.blocks.layers import conv_bn
from course_lib.architectures.blocks.mbconv import MBConv
from course_lib.architectures.multipliers import blocks_of, scale_channels, scale_stages
from course_lib.registry import register_model


class MBStage(NamedTuple):
    """A row of the paper's Table 1: factor of the hidden channels, kernel, channels, repeats, stride."""

    expansion: int
    kernel: int
    channels: int
    repeats: int
    stride: int


class EfficientNet(nn.Module):
    """Stem, MBConv blocks, 1×1 convolution, global average, linear classifier: (N, C, H, W) → scores.

    Parameters
    ----------
    stem_channels, stem_stride
        Of the first 3×3 convolution.
    stages
        The table of the blocks.
    head_channels
        Channels of the 1×1 convolution before the average.
    """

    def __init__(
        self,
        stem_channels: int,
        stages: Sequence[MBStage],
        head_channels: int,
        num_classes: int,
        in_channels: int = 1,
        stem_stride: int = 1,
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv_bn(in_channels, stem_channels, 3, stem_stride), nn.SiLU())
        layers = []
        channels = stem_channels
        for stage, stride in blocks_of(stages):
            layers.append(MBConv(channels, stage.channels, stride, stage.kernel, stage.expansion))
            channels = stage.channels
        self.blocks = nn.Sequential(*layers)
        self.head = nn.Sequential(conv_bn(channels, head_channels, 1), nn.SiLU())
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(head_channels, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        features = self.head(self.blocks(self.stem(x)))
        return self.classifier(self.pool(features).flatten(1))  # type: ignore[no-any-return]


@register_model("efficientnet")
def efficientnet(num_classes: int = 10, width: float = 1.0, depth: float = 1.0) -> EfficientNet:
    """Three resolutions for 28×28 pictures, with B0's pattern of kernels."""
    table = (MBStage(1, 3, 16, 1, 2), MBStage(3, 3, 24, 2, 1), MBStage(3, 5, 40, 2, 2))
    stages = scale_stages(table, width, depth, multiple=4)
    return EfficientNet(scale_channels(8, width, 4), stages, scale_channels(128, width), num_classes)


@register_model("efficientnet_224", (3, 224, 224))
def efficientnet_224(num_classes: int = 10, width: float = 1.0, depth: float = 1.0) -> EfficientNet:
    """EfficientNet-B0 as in the paper."""
    table = (
        MBStage(1, 3, 16, 1, 1),
        MBStage(6, 3, 24, 2, 2),
        MBStage(6, 5, 40, 2, 2),
        MBStage(6, 3, 80, 3, 2),
        MBStage(6, 5, 112, 3, 1),
        MBStage(6, 5, 192, 4, 2),
        MBStage(6, 3, 320, 1, 1),
    )
    stages = scale_stages(table, width, depth)
    head = 4 * stages[-1].channels
    return EfficientNet(scale_channels(32, width), stages, head, num_classes, in_channels=3, stem_stride=2)
