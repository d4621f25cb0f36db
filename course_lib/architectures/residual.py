"""Residual network for small images (He et al., 2016, section 4.2), the course's teacher.

Three stages of basic blocks; each stage halves the resolution and doubles the channels. y = ReLU(x + F(x)),
where F is conv 3×3 → BN → ReLU → conv 3×3 → BN, and x passes a strided 1×1 convolution where the shape
changes (their option B). Left out: bottleneck blocks, which pay only in much deeper networks.
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
    """Stem, three stages, global average, linear classifier: (N, 1, H, W) → (N, num_classes) scores.

    Parameters
    ----------
    width
        Channels of the first stage; the next two have 2 and 4 times as many.
    blocks_per_stage
        Basic blocks in each stage; the depth is 6 · blocks_per_stage + 2.
    """

    def __init__(self, width: int, blocks_per_stage: int, num_classes: int, in_channels: int = 1) -> None:
        super().__init__()
        self.stem = conv_bn(in_channels, width, 3)
        self.relu = nn.ReLU()
        stages = []
        channels = width
        for stage in range(3):
            for block in range(blocks_per_stage):
                out_channels = width * 2**stage
                stride = 2 if stage > 0 and block == 0 else 1
                stages.append(BasicBlock(channels, out_channels, stride))
                channels = out_channels
        self.blocks = nn.Sequential(*stages)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(channels, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        features = self.blocks(self.relu(self.stem(x)))
        return self.classifier(self.pool(features).flatten(1))  # type: ignore[no-any-return]


@register_model("residual")
def residual(num_classes: int = 10) -> ResidualNet:
    """ResNet-14 of width 16: the teacher of the zoo."""
    return ResidualNet(width=16, blocks_per_stage=2, num_classes=num_classes)
