"""Residual network for small images (He et al., 2016), the course's teacher.

Basic blocks, y = ReLU(x + F(x)), where F is conv 3×3 → BN → ReLU → conv 3×3 → BN, and x passes a strided 1×1
convolution where the shape changes (their option B). As in their CIFAR networks the stem is a single
convolution and the first blocks work at full resolution. Left out: bottleneck blocks, which pay only in much
deeper networks.
"""

from torch import Tensor, nn

from course_lib.registry import register_model


def conv_bn(
    in_channels: int, out_channels: int, kernel: int, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    """Convolution that keeps the size at stride 1 (odd kernels), then batch norm; the norm has the bias."""
    conv = nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels))


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
    """Stem, basic blocks, global average, linear classifier: (N, 1, H, W) → (N, num_classes) scores.

    Parameters
    ----------
    stem_channels
        Channels after the first convolution, which keeps the resolution.
    blocks
        (out_channels, stride) of each basic block.
    """

    def __init__(self, stem_channels: int, blocks: tuple[tuple[int, int], ...], num_classes: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv_bn(1, stem_channels, 3), nn.ReLU())
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
def residual(num_classes: int = 10) -> ResidualNet:
    """The teacher of the zoo: five blocks, 16 to 64 channels."""
    return ResidualNet(16, ((16, 1), (32, 2), (32, 1), (64, 2), (64, 1)), num_classes)
