"""ShuffleNet (Zhang, Zhou, Lin and Sun, 2018): grouped 1×1 convolutions, and a shuffle between them.

In a network of separable convolutions most MACs are those of the 1×1 ones. In G groups they cost 1/G, but no
group sees what the others do; the shuffle lets the groups of the next convolution read from all of them. So
the same MACs pay for more channels.

Worked example: `shufflenet_v1_224` is the paper's network 1× with three groups; with 1,000 classes it has
1,865,728 parameters and 137.5 million MACs, the
137 million of the paper's Table 1.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from course_lib.architectures.blocks.layers import conv_bn
from course_lib.architectures.blocks.shuffle_v1 import ShuffleV1Block
from course_lib.architectures.multipliers import Stage, blocks_of, scale_channels, scale_stages
from course_lib.registry import register_model

GROUPS = 3
"""The paper's choice for its comparisons with other networks."""
MULTIPLE = 4 * GROUPS
"""A quarter of a block's channels, its bottleneck, is cut into the groups."""


class ShuffleNetV1(nn.Module):
    """Stem, grouped and shuffled blocks, global average, classifier: (N, C, H, W) → scores.

    Parameters
    ----------
    stem_channels
        Of the first 3×3 convolution.
    stages
        The table of the blocks; every stage must have stride 2, for only such a block changes its channels.
    groups
        Of the 1×1 convolutions; the first one of all, whose input is narrow, has none.
    strided_stem
        Whether the stem quarters the resolution, by a stride of 2 and 3×3 max pooling, or keeps it.
    """

    def __init__(
        self,
        stem_channels: int,
        stages: Sequence[Stage],
        groups: int,
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
        layers: list[nn.Module] = []
        channels = stem_channels
        for stage, stride in blocks_of(stages):
            first = not layers
            layers.append(ShuffleV1Block(channels, stage.channels, stride, groups, grouped_entry=not first))
            channels = stage.channels
        self.blocks = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(channels, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        features = self.blocks(self.stem(x))
        return self.classifier(self.pool(features).flatten(1))  # type: ignore[no-any-return]


@register_model("shufflenet_v1")
def shufflenet_v1(num_classes: int = 10, width: float = 1.0, depth: float = 1.0) -> ShuffleNetV1:
    """Two stages for 28×28 pictures; the stem keeps their resolution."""
    stages = scale_stages((Stage(96, 3, 2), Stage(192, 5, 2)), width, depth, MULTIPLE)
    return ShuffleNetV1(scale_channels(12, width, GROUPS), stages, GROUPS, num_classes)


@register_model("shufflenet_v1_224", (3, 224, 224))
def shufflenet_v1_224(num_classes: int = 10, width: float = 1.0, depth: float = 1.0) -> ShuffleNetV1:
    """The network 1× of the paper, g = 3; its stem has 24 channels at every width."""
    table = (Stage(240, 4, 2), Stage(480, 8, 2), Stage(960, 4, 2))
    stages = scale_stages(table, width, depth, MULTIPLE)
    return ShuffleNetV1(24, stages, GROUPS, num_classes, in_channels=3, strided_stem=True)
