"""MobileNetV2 (Sandler, Howard, Zhu, Zhmoginov and Chen, 2018): inverted residuals with linear bottlenecks.

The wide tensors live only inside a block, where a depthwise convolution makes them cheap; between the blocks,
and beside them as identities, run narrow ones without an activation. Left out: dropout before the classifier.

Worked example: `mobilenet_v2_224` with 1,000 classes has 3,504,872 parameters and 300.8 million MACs, which
are the 3.4 million and 300 million of the paper's Table 4.
"""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn

from course_lib.architectures.blocks.inverted_residual import InvertedResidual
from course_lib.architectures.blocks.layers import conv_bn
from course_lib.architectures.multipliers import blocks_of, scale_channels, scale_stages
from course_lib.registry import register_model


class InvertedStage(NamedTuple):
    """A row of the paper's Table 2: factor of the hidden channels t, channels c, repeats n, stride s."""

    expansion: int
    channels: int
    repeats: int
    stride: int


class MobileNetV2(nn.Module):
    """Stem, inverted residuals, 1×1 convolution, global average, linear classifier: (N, C, H, W) → scores.

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
        stages: Sequence[InvertedStage],
        head_channels: int,
        num_classes: int,
        in_channels: int = 1,
        stem_stride: int = 1,
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv_bn(in_channels, stem_channels, 3, stem_stride), nn.ReLU6())
        layers = []
        channels = stem_channels
        for stage, stride in blocks_of(stages):
            expanded = stage.expansion * channels
            layers.append(InvertedResidual(channels, stage.channels, stride, expanded=expanded))
            channels = stage.channels
        self.blocks = nn.Sequential(*layers)
        self.head = nn.Sequential(conv_bn(channels, head_channels, 1), nn.ReLU6())
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(head_channels, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        features = self.head(self.blocks(self.stem(x)))
        return self.classifier(self.pool(features).flatten(1))  # type: ignore[no-any-return]


@register_model("mobilenet_v2")
def mobilenet_v2(num_classes: int = 10, width: float = 1.0, depth: float = 1.0) -> MobileNetV2:
    """Three resolutions for 28×28 pictures, of which only the stem and one block see the first."""
    table = (InvertedStage(2, 16, 1, 2), InvertedStage(3, 24, 2, 1), InvertedStage(3, 48, 2, 2))
    stages = scale_stages(table, width, depth, multiple=4)
    return MobileNetV2(scale_channels(8, width, 4), stages, scale_channels(128, max(1, width)), num_classes)


@register_model("mobilenet_v2_224", (3, 224, 224))
def mobilenet_v2_224(num_classes: int = 10, width: float = 1.0, depth: float = 1.0) -> MobileNetV2:
    """The network of the paper; as there, the last convolution is never narrower than its 1,280 channels."""
    table = (
        InvertedStage(1, 16, 1, 1),
        InvertedStage(6, 24, 2, 2),
        InvertedStage(6, 32, 3, 2),
        InvertedStage(6, 64, 4, 2),
        InvertedStage(6, 96, 3, 1),
        InvertedStage(6, 160, 3, 2),
        InvertedStage(6, 320, 1, 1),
    )
    head = scale_channels(1280, max(1, width))
    stages = scale_stages(table, width, depth)
    return MobileNetV2(scale_channels(32, width), stages, head, num_classes, in_channels=3, stem_stride=2)
