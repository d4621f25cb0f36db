"""Residual network for small images (He et al., 2016), the course's teacher.

Basic blocks, y = ReLU(x + F(x)), where F is conv 3×3 → BN → ReLU → conv 3×3 → BN, and x passes a strided 1×1
convolution where the shape changes (their option B). As in their CIFAR networks the stem is a single
convolution and the first blocks work at full resolution. Left out: bottleneck blocks, which pay only in much
deeper networks.
"""

from torch import Tensor, nn

from course_lib.architectures.blocks.layers import conv_bn
from course_lib.architectures.multipliers import Stage, scale_blocks, scale_channels
from course_lib.registry import register_model


class BasicBlock(nn.Module):
    """Two 3×3 convolutions beside an identity, (N, C_in, H, W) → (N, C_out, H/stride, W/stride)."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = conv_bn(in_channels, out_channels, 3, stride)
        self.conv2 = conv_bn(out_channels, out_channels, 3)
        self.relu = nn.ReLU()
        unchanged = stride == 1 and in_channels == out_channels
        self.shortcut = nn.Identity() if unchanged else conv_bn(in_channels, out_channels, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        residual: Tensor = self.conv2(self.relu(self.conv1(x)))
        return self.relu(self.shortcut(x) + residual)  # type: ignore[no-any-return]


class ResidualNet(nn.Module):
    """Stem, basic blocks, global average, linear classifier: (N, C, H, W) → (N, num_classes) scores.

    Parameters
    ----------
    stem_channels, stem_stride
        Of the first 3×3 convolution; with stride 1 it keeps the resolution.
    blocks
        (out_channels, stride) of each basic block.
    """

    def __init__(
        self,
        stem_channels: int,
        blocks: tuple[tuple[int, int], ...],
        num_classes: int,
        in_channels: int = 1,
        stem_stride: int = 1,
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv_bn(in_channels, stem_channels, 3, stem_stride), nn.ReLU())
        layers = []
        channels = stem_channels
        for out_channels, stride in blocks:
            layers.append(BasicBlock(channels, out_channels, stride))
            channels = out_channels
        self.blocks = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(channels, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        features = self.blocks(self.stem(x))
        return self.classifier(self.pool(features).flatten(1))  # type: ignore[no-any-return]


@register_model("residual")
def residual(num_classes: int = 10, width: float = 1.0, depth: float = 1.0) -> ResidualNet:
    """The teacher of the zoo: five blocks, 16 to 64 channels."""
    stages = (Stage(16, 1, 1), Stage(32, 2, 2), Stage(64, 2, 2))
    return ResidualNet(scale_channels(16, width), scale_blocks(stages, width, depth), num_classes)


@register_model("residual_224", (3, 224, 224))
def residual_224(num_classes: int = 10, width: float = 1.0, depth: float = 1.0) -> ResidualNet:
    """The blocks of ResNet-18; a strided 3×3 stem and a strided first stage stand for its 7×7 and pooling."""
    stages = (Stage(64, 2, 2), Stage(128, 2, 2), Stage(256, 2, 2), Stage(512, 2, 2))
    blocks = scale_blocks(stages, width, depth)
    return ResidualNet(scale_channels(64, width), blocks, num_classes, in_channels=3, stem_stride=2)
