"""A plain convolutional network with a flatten before its classifier (LeCun et al., 1998, with BN and ReLU).

The flatten makes it the course's model for what goes wrong when channels are removed: every channel of the
last convolution owns 49 columns of the classifier.
"""

from torch import Tensor, nn

from course_lib.architectures.blocks.layers import conv_bn
from course_lib.architectures.multipliers import Stage, scale_stages
from course_lib.registry import register_model


class PlainConvNet(nn.Module):
    """Conv 3×3, BN, ReLU, with 2×2 pooling after all but the last stage: (N, C, S, S) → (N, num_classes).

    Parameters
    ----------
    channels
        Output channels of each stage, three or more.
    repeats
        Convolutions of each stage.
    image_size
        Side S of the pictures, which the flatten before the classifier fixes.
    """

    def __init__(
        self,
        channels: tuple[int, ...],
        num_classes: int,
        in_channels: int = 1,
        image_size: int = 28,
        repeats: tuple[int, ...] = (1, 1, 1),
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before, side = in_channels, image_size
        for index, (out_channels, count) in enumerate(zip(channels, repeats, strict=True)):
            if index > 0:
                layers.append(nn.MaxPool2d(2))
                side //= 2
            for _ in range(count):
                layers += [conv_bn(before, out_channels, 3), nn.ReLU()]
                before = out_channels
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(before * side**2, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x).flatten(1))  # type: ignore[no-any-return]


@register_model("plain_conv")
def plain_conv(num_classes: int = 10, width: float = 1.0, depth: float = 1.0) -> PlainConvNet:
    """The course's plain baseline."""
    stages = scale_stages((Stage(16, 1, 1), Stage(32, 1, 2), Stage(32, 1, 2)), width, depth)
    channels, repeats, _ = zip(*stages, strict=True)
    return PlainConvNet(channels, num_classes, repeats=repeats)


@register_model("plain_conv_224", (3, 224, 224))
def plain_conv_224(num_classes: int = 10, width: float = 1.0, depth: float = 1.0) -> PlainConvNet:
    """Six stages, down to 7×7 before the flatten."""
    table = [Stage(channels, 1, 2) for channels in (16, 32, 64, 128, 256, 256)]
    channels, repeats, _ = zip(*scale_stages(table, width, depth), strict=True)
    return PlainConvNet(channels, num_classes, in_channels=3, image_size=224, repeats=repeats)
