"""GhostNet (Han, Wang, Tian, Guo, Xu and Xu, 2020): half of every layer's maps come from cheap operations.

Maps of a trained network resemble one another, so a ghost module computes half of them by a 1×1 convolution
and draws the others from these by a depthwise 3×3. A bottleneck is two such modules with a strided depthwise
convolution between them where the resolution falls. Left out: dropout before the classifier.

Worked example: `ghostnet_224` with 1,000 classes has 5,182,508 parameters and 141.2 million MACs, which are
the 5.2 million and 141 million of the paper's Table 7.
"""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn

from course_lib.architectures.blocks.ghost import GhostBottleneck
from course_lib.architectures.blocks.layers import conv_bn, round_channels
from course_lib.architectures.blocks.squeeze_excitation import SqueezeExcitation
from course_lib.architectures.multipliers import scale_channels, scale_depth
from course_lib.registry import register_model


class GhostRow(NamedTuple):
    """A row of the paper's Table 1: kernel, hidden and output channels, squeeze-and-excitation?, stride."""

    kernel: int
    hidden: int
    channels: int
    squeeze: bool
    stride: int


class GhostNet(nn.Module):
    """Stem, ghost bottlenecks, 1×1 convolution, average, two linear layers: (N, C, H, W) → scores.

    Parameters
    ----------
    stem_channels, stem_stride
        Of the first 3×3 convolution.
    rows
        The table, one row a bottleneck.
    head_channels, hidden
        Channels of the last convolution, and of the linear layer before the classifier; with ``hidden`` 0
        there is no such layer.
    """

    def __init__(
        self,
        stem_channels: int,
        rows: Sequence[GhostRow],
        head_channels: int,
        hidden: int,
        num_classes: int,
        in_channels: int = 1,
        stem_stride: int = 1,
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv_bn(in_channels, stem_channels, 3, stem_stride), nn.ReLU())
        layers = []
        channels = stem_channels
        for row in rows:
            layers.append(_bottleneck(channels, row))
            channels = row.channels
        self.blocks = nn.Sequential(*layers)
        self.head = nn.Sequential(conv_bn(channels, head_channels, 1), nn.ReLU())
        self.pool = nn.AdaptiveAvgPool2d(1)
        between = [nn.Linear(head_channels, hidden), nn.ReLU()] if hidden else []
        self.classifier = nn.Sequential(*between, nn.Linear(hidden or head_channels, num_classes))

    def forward(self, x: Tensor) -> Tensor:
        features = self.head(self.blocks(self.stem(x)))
        return self.classifier(self.pool(features).flatten(1))  # type: ignore[no-any-return]


def _bottleneck(in_channels: int, row: GhostRow) -> GhostBottleneck:
    squeeze = SqueezeExcitation(row.hidden, round_channels(row.hidden / 4, 4)) if row.squeeze else None
    return GhostBottleneck(in_channels, row.hidden, row.channels, row.stride, row.kernel, squeeze)


def _scaled(stages: Sequence[Sequence[GhostRow]], width: float, depth: float) -> list[GhostRow]:
    return [
        row._replace(
            hidden=scale_channels(row.hidden, width, 4), channels=scale_channels(row.channels, width, 4)
        )
        for row in scale_depth(stages, depth)
    ]


@register_model("ghostnet")
def ghostnet(num_classes: int = 10, width: float = 1.0, depth: float = 1.0) -> GhostNet:
    """Three resolutions for 28×28 pictures, of which only the stem and one bottleneck see the first."""
    stages = (
        (GhostRow(3, 16, 16, False, 2),),
        (GhostRow(3, 48, 24, False, 1), GhostRow(3, 64, 24, False, 1)),
        (GhostRow(3, 96, 48, True, 2), GhostRow(3, 144, 48, True, 1)),
    )
    rows = _scaled(stages, width, depth)
    return GhostNet(scale_channels(8, width, 4), rows, scale_channels(128, width, 4), 0, num_classes)


@register_model("ghostnet_224", (3, 224, 224))
def ghostnet_224(num_classes: int = 10, width: float = 1.0, depth: float = 1.0) -> GhostNet:
    """The network 1.0× of the paper."""
    stages = (
        (GhostRow(3, 16, 16, False, 1),),
        (GhostRow(3, 48, 24, False, 2), GhostRow(3, 72, 24, False, 1)),
        (GhostRow(5, 72, 40, True, 2), GhostRow(5, 120, 40, True, 1)),
        (
            GhostRow(3, 240, 80, False, 2),
            GhostRow(3, 200, 80, False, 1),
            GhostRow(3, 184, 80, False, 1),
            GhostRow(3, 184, 80, False, 1),
        ),
        (GhostRow(3, 480, 112, True, 1), GhostRow(3, 672, 112, True, 1)),
        (
            GhostRow(5, 672, 160, True, 2),
            GhostRow(5, 960, 160, False, 1),
            GhostRow(5, 960, 160, True, 1),
            GhostRow(5, 960, 160, False, 1),
            GhostRow(5, 960, 160, True, 1),
        ),
    )
    rows = _scaled(stages, width, depth)
    stem, head = scale_channels(16, width, 4), scale_channels(960, width, 4)
    return GhostNet(stem, rows, head, 1280, num_classes, in_channels=3, stem_stride=2)
