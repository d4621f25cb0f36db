"""MobileNetV3 (Howard, Sandler, Chu, Chen and others, 2019): searched blocks, attention to channels, h-swish.

The blocks are those of MobileNetV2. New are a squeeze-and-excitation in some of them, 5×5 kernels, the
activation h-swish x·ReLU6(x + 3)/6 where the pictures are small (there it costs little), and a head that
widens after the average, when there is only one pixel left. Which block has what was found by a search for
latency on a phone; here it is a table. Left out: dropout before the classifier.

Worked example: `mobilenet_v3_224` is the paper's small network; with 1,000 classes it has 2,542,856
parameters and 56.5 million MACs, which are the 2.5 million and 56 million of the paper's Table 3.
"""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn

from course_lib.architectures.blocks.inverted_residual import InvertedResidual
from course_lib.architectures.blocks.layers import conv_bn, round_channels
from course_lib.architectures.blocks.squeeze_excitation import SqueezeExcitation
from course_lib.architectures.multipliers import scale_channels, scale_depth
from course_lib.registry import register_model


class SearchedBlock(NamedTuple):
    """A row of the paper's Table 2: kernel, hidden and output channels, squeeze?, h-swish?, stride."""

    kernel: int
    expanded: int
    channels: int
    squeeze: bool
    hard_swish: bool
    stride: int


class MobileNetV3(nn.Module):
    """Stem, searched blocks, 1×1 convolution, average, two linear layers: (N, C, H, W) → scores.

    Parameters
    ----------
    stem_channels, stem_stride
        Of the first 3×3 convolution.
    rows
        The table, one row a block.
    head_channels, hidden
        Channels of the last convolution, and of the linear layer before the classifier.
    """

    def __init__(
        self,
        stem_channels: int,
        rows: Sequence[SearchedBlock],
        head_channels: int,
        hidden: int,
        num_classes: int,
        in_channels: int = 1,
        stem_stride: int = 1,
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv_bn(in_channels, stem_channels, 3, stem_stride), nn.Hardswish())
        layers = []
        channels = stem_channels
        for row in rows:
            layers.append(_block(channels, row))
            channels = row.channels
        self.blocks = nn.Sequential(*layers)
        self.head = nn.Sequential(conv_bn(channels, head_channels, 1), nn.Hardswish())
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(
            nn.Linear(head_channels, hidden), nn.Hardswish(), nn.Linear(hidden, num_classes)
        )
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eps = 1e-3  # as in the paper's own code

    def forward(self, x: Tensor) -> Tensor:
        features = self.head(self.blocks(self.stem(x)))
        return self.classifier(self.pool(features).flatten(1))  # type: ignore[no-any-return]


def _block(in_channels: int, row: SearchedBlock) -> InvertedResidual:
    activation = nn.Hardswish if row.hard_swish else nn.ReLU
    squeeze = SqueezeExcitation(row.expanded, round_channels(row.expanded // 4)) if row.squeeze else None
    return InvertedResidual(
        in_channels,
        row.channels,
        row.stride,
        row.kernel,
        expanded=row.expanded,
        activation=activation,
        squeeze=squeeze,
    )


def _scaled(
    stages: Sequence[Sequence[SearchedBlock]], width: float, depth: float, multiple: int = 8
) -> list[SearchedBlock]:
    return [
        row._replace(
            expanded=scale_channels(row.expanded, width, multiple),
            channels=scale_channels(row.channels, width, multiple),
        )
        for row in scale_depth(stages, depth)
    ]


@register_model("mobilenet_v3")
def mobilenet_v3(num_classes: int = 10, width: float = 1.0, depth: float = 1.0) -> MobileNetV3:
    """Three resolutions for 28×28 pictures; squeezes and h-swish from the second on."""
    stages = (
        (SearchedBlock(3, 16, 16, False, False, 2),),
        (SearchedBlock(3, 48, 24, False, False, 1), SearchedBlock(3, 64, 24, True, True, 1)),
        (SearchedBlock(5, 72, 40, True, True, 2), SearchedBlock(5, 96, 40, True, True, 1)),
    )
    rows = _scaled(stages, width, depth, multiple=4)
    head, hidden = scale_channels(96, width), scale_channels(64, width)
    return MobileNetV3(scale_channels(8, width, 4), rows, head, hidden, num_classes)


@register_model("mobilenet_v3_224", (3, 224, 224))
def mobilenet_v3_224(num_classes: int = 10, width: float = 1.0, depth: float = 1.0) -> MobileNetV3:
    """MobileNetV3-Small as in the paper."""
    stages = (
        (SearchedBlock(3, 16, 16, True, False, 2),),
        (SearchedBlock(3, 72, 24, False, False, 2), SearchedBlock(3, 88, 24, False, False, 1)),
        (
            SearchedBlock(5, 96, 40, True, True, 2),
            SearchedBlock(5, 240, 40, True, True, 1),
            SearchedBlock(5, 240, 40, True, True, 1),
        ),
        (SearchedBlock(5, 120, 48, True, True, 1), SearchedBlock(5, 144, 48, True, True, 1)),
        (
            SearchedBlock(5, 288, 96, True, True, 2),
            SearchedBlock(5, 576, 96, True, True, 1),
            SearchedBlock(5, 576, 96, True, True, 1),
        ),
    )
    rows = _scaled(stages, width, depth)
    head, hidden = 6 * rows[-1].channels, scale_channels(1024, width)
    stem = scale_channels(16, width)
    return MobileNetV3(stem, rows, head, hidden, num_classes, in_channels=3, stem_stride=2)
