"""ShuffleNetV2 (Ma, Zhang, Zheng and Sun, 2018): blocks designed by measured speed instead of MACs.

A block sends half of its channels past its convolutions and shuffles the halves afterwards, so that reading
and writing memory, which MACs do not show, stays small. The stages' first blocks halve the resolution.

Worked example: `shufflenet_v2_224` with 1,000 classes has 2,278,604 parameters and 144.9 million MACs, which
are the 2.3 million and 146 million of the paper's Table 8.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from course_lib.architectures.blocks.layers import conv_bn
from course_lib.architectures.blocks.shuffle_v2 import ShuffleV2Block
from course_lib.architectures.multipliers import Stage, blocks_of, scale_channels, scale_stages
from course_lib.registry import register_model


class ShuffleNetV2(nn.Module):
    """Stem, shuffled blocks, 1×1 convolution, global average, classifier: (N, C, H, W) → scores.

    Parameters
    ----------
    stem_channels
        Of the first 3×3 convolution.
    stages
        The table of the blocks; every stage must have stride 2, for only such a block changes its channels.
    head_channels
        Channels of the 1×1 convolution before the average.
    strided_stem
        Whether the stem quarters the resolution, by a stride of 2 and 3×3 max pooling, or keeps it.
    """

    def __init__(
        self,
        stem_channels: int,
        stages: Sequence[Stage],
        head_channels: int,
        num_classes: int,
        in_channels: int = 1,
        strided_stem: bool = False,
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            conv_bn(in_channels, stem_channels, 3, 2 if strided_stem else 1),
            nn.ReLU(),
            nn.MaxPool2d(3, 2, 1) if strided_stem else nn.Identity(),
        )
        layers = []
        channels = stem_channels
        for stage, stride in blocks_of(stages):
            layers.append(ShuffleV2Block(channels, stage.channels, stride))
            channels = stage.channels
        self.blocks = nn.Sequential(*layers)
        self.head = nn.Sequential(conv_bn(channels, head_channels, 1), nn.ReLU())
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(head_channels, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        features = self.head(self.blocks(self.stem(x)))
        return self.classifier(self.pool(features).flatten(1))  # type: ignore[no-any-return]


@register_model("shufflenet_v2")
def shufflenet_v2(num_classes: int = 10, width: float = 1.0, depth: float = 1.0) -> ShuffleNetV2:
    """Two stages for 28×28 pictures; the stem keeps their resolution."""
    stages = scale_stages((Stage(48, 3, 2), Stage(96, 3, 2)), width, depth)
    return ShuffleNetV2(scale_channels(8, width, 4), stages, scale_channels(128, width), num_classes)


@register_model("shufflenet_v2_224", (3, 224, 224))
def shufflenet_v2_224(num_classes: int = 10, width: float = 1.0, depth: float = 1.0) -> ShuffleNetV2:
    """The network 1× of the paper."""
    stages = scale_stages((Stage(116, 4, 2), Stage(232, 8, 2), Stage(464, 4, 2)), width, depth)
    # The paper's stem has 24 channels at every width.
    return ShuffleNetV2(
        24, stages, scale_channels(1024, width), num_classes, in_channels=3, strided_stem=True
    )
