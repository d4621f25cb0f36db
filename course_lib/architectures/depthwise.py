"""Depthwise-separable network (Howard et al., MobileNets, 2017), the explorers' default model.

A stem, which halves the resolution where time and memory are short, then separable blocks
(`blocks.separable`, where their cost is explained).
"""

from torch import Tensor, nn

from course_lib.architectures.blocks.layers import conv_bn
from course_lib.architectures.blocks.separable import SeparableBlock
from course_lib.architectures.multipliers import Stage, scale_blocks, scale_channels
from course_lib.registry import register_model


class SeparableNet(nn.Module):
    """Stem, separable blocks, global average, linear classifier: (N, C, H, W) → (N, num_classes).

    Parameters
    ----------
    stem_channels, stem_stride
        Of the first 3×3 convolution; with stride 1 it keeps the resolution.
    blocks
        (out_channels, stride) of each separable block.
    """

    def __init__(
        self,
        stem_channels: int,
        blocks: tuple[tuple[int, int], ...],
        num_classes: int,
        in_channels: int = 1,
        stem_stride: int = 2,
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv_bn(in_channels, stem_channels, 3, stem_stride), nn.ReLU())
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
def depthwise(num_classes: int = 10, width: float = 1.0, depth: float = 1.0) -> SeparableNet:
    """At most 40,000 parameters and 2 million MACs at 28×28."""
    stages = (Stage(32, 1, 1), Stage(64, 1, 2), Stage(96, 2, 1), Stage(128, 1, 1))
    return SeparableNet(scale_channels(16, width), scale_blocks(stages, width, depth), num_classes)


@register_model("tiny")
def tiny(num_classes: int = 10, width: float = 1.0, depth: float = 1.0) -> SeparableNet:
    """At most 10,000 parameters: the size of a microcontroller's model."""
    stages = (Stage(24, 1, 1), Stage(48, 1, 2), Stage(48, 2, 1))
    return SeparableNet(scale_channels(16, width), scale_blocks(stages, width, depth), num_classes)


@register_model("compact")
def compact(num_classes: int = 10, width: float = 1.0, depth: float = 1.0) -> SeparableNet:
    """At most 17,000 parameters, a tenth of the teacher's, and 6 million MACs, most at full resolution."""
    stages = (Stage(24, 3, 1), Stage(48, 4, 2), Stage(56, 1, 2))
    blocks = scale_blocks(stages, width, depth)
    return SeparableNet(scale_channels(16, width), blocks, num_classes, stem_stride=1)


@register_model("depthwise_224", (3, 224, 224))
def depthwise_224(num_classes: int = 10, width: float = 1.0, depth: float = 1.0) -> SeparableNet:
    """The paper's MobileNet, with identities: for 1,000 classes 4,231,976 parameters, 568.7 million MACs."""
    stages = (
        Stage(64, 1, 1),
        Stage(128, 2, 2),
        Stage(256, 2, 2),
        Stage(512, 6, 2),
        Stage(1024, 2, 2),
    )
    blocks = scale_blocks(stages, width, depth)
    return SeparableNet(scale_channels(32, width), blocks, num_classes, in_channels=3)
