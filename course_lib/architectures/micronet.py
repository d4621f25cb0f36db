"""MicroNet (Li, Chen, Dai, Liu and others, 2021): a few million MACs for pictures of 224×224.

Both kinds of convolution are factorized once more, a depthwise K×K into K×1 and 1×K, a 1×1 into two grouped
ones with a shuffle between. Early blocks widen inside their depthwise part, later ones are wide throughout.

Left out: dynamic shift-max, the paper's activation, in place of which ReLU stands; dropout. So neither the
paper's figures nor its accuracies apply: `micronet_224` is of the size of its smallest network, M0, for which
the paper states 4 million MACs and 1.0 million parameters, with rows of our own.

Worked example: `micronet_224` spends 2,392,768 MACs before its linear layers, 112,896 of them in the head's
grouped 1×1 from 96 to 384 channels: 49 pixels · 384 · 96/16.
"""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn

from course_lib.architectures.blocks.layers import conv_bn
from course_lib.architectures.blocks.micro_factorized import MicroBlock, adaptive_groups
from course_lib.architectures.multipliers import scale_channels, scale_depth
from course_lib.registry import register_model


class MicroRow(NamedTuple):
    """One block: kernel, expansion of its depthwise part, channels inside its 1×1 part and after it, stride.

    ``hidden`` 0 is the paper's block A, whose 1×1 part is not factorized; ``expansion`` 1 its block C.
    """

    kernel: int
    expansion: int
    hidden: int
    channels: int
    stride: int


class MicroNet(nn.Module):
    """Factorized stem, micro-blocks, grouped 1×1, average, two linear layers: (N, C, H, W) → scores.

    Parameters
    ----------
    stem_channels, stem_stride
        Of the first 3×1 and 1×3 convolutions; the first makes half of the channels.
    rows
        The table, one row a block.
    head_channels, hidden
        Channels of the last convolution, and of the linear layer before the classifier.
    """

    def __init__(
        self,
        stem_channels: int,
        rows: Sequence[MicroRow],
        head_channels: int,
        hidden: int,
        num_classes: int,
        in_channels: int = 1,
        stem_stride: int = 1,
    ) -> None:
        super().__init__()
        self.stem = _stem(in_channels, stem_channels, stem_stride)
        layers = []
        channels = stem_channels
        for row in rows:
            inside = row.hidden or None
            layers.append(MicroBlock(channels, row.channels, row.stride, row.kernel, row.expansion, inside))
            channels = row.channels
        self.blocks = nn.Sequential(*layers)
        groups = adaptive_groups(head_channels, channels)
        self.head = nn.Sequential(conv_bn(channels, head_channels, 1, groups=groups), nn.ReLU())
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(
            nn.Linear(head_channels, hidden), nn.Hardswish(), nn.Linear(hidden, num_classes)
        )

    def forward(self, x: Tensor) -> Tensor:
        features = self.head(self.blocks(self.stem(x)))
        return self.classifier(self.pool(features).flatten(1))  # type: ignore[no-any-return]


def _stem(in_channels: int, out_channels: int, stride: int) -> nn.Sequential:
    half = out_channels // 2
    return nn.Sequential(
        nn.Conv2d(in_channels, half, (3, 1), (stride, 1), (1, 0), bias=False),
        nn.BatchNorm2d(half),
        nn.Conv2d(half, out_channels, (1, 3), (1, stride), (0, 1), groups=half, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
    )


def _scaled(stages: Sequence[Sequence[MicroRow]], width: float, depth: float) -> list[MicroRow]:
    return [
        row._replace(
            hidden=scale_channels(row.hidden, width, 4) if row.hidden else 0,
            channels=scale_channels(row.channels, width, 4),
        )
        for row in scale_depth(stages, depth)
    ]


@register_model("micronet")
def micronet(num_classes: int = 10, width: float = 1.0, depth: float = 1.0) -> MicroNet:
    """Three resolutions for 28×28 pictures, of which only the stem and one block see the first."""
    wide = MicroRow(3, 1, 48, 192, 1)
    stages = (
        (MicroRow(3, 3, 0, 32, 2),),
        (MicroRow(3, 2, 16, 64, 1), MicroRow(3, 1, 16, 64, 1)),
        (MicroRow(3, 2, 48, 192, 2), wide, wide, wide),
    )
    rows = _scaled(stages, width, depth)
    stem, head = scale_channels(8, width, 4), scale_channels(192, width, 4)
    return MicroNet(stem, rows, head, scale_channels(48, width), num_classes)


@register_model("micronet_224", (3, 224, 224))
def micronet_224(num_classes: int = 10, width: float = 1.0, depth: float = 1.0) -> MicroNet:
    """About the size of the paper's M0."""
    stages = (
        (MicroRow(3, 4, 0, 8, 2),),
        (MicroRow(3, 4, 0, 12, 2),),
        (MicroRow(5, 4, 0, 16, 2), MicroRow(5, 4, 16, 32, 1)),
        (MicroRow(5, 4, 16, 64, 2), MicroRow(3, 4, 32, 96, 1)),
    )
    rows = _scaled(stages, width, depth)
    stem, head = scale_channels(4, width, 4), scale_channels(384, width, 4)
    hidden = scale_channels(640, width)
    return MicroNet(stem, rows, head, hidden, num_classes, in_channels=3, stem_stride=2)
