"""A plain convolutional network with a flatten before its classifier (LeCun et al., 1998, with BN and ReLU).

The flatten makes it the course's model for what goes wrong when channels are removed: every channel of the
last convolution owns 49 columns of the classifier.
"""

from torch import Tensor, nn

from course_lib.architectures.residual import conv_bn
from course_lib.registry import register_model


class PlainConvNet(nn.Module):
    """Three times conv 3×3, BN, ReLU, with pooling after the first two: (N, 1, 28, 28) → (N, num_classes)."""

    def __init__(self, channels: tuple[int, int, int], num_classes: int) -> None:
        super().__init__()
        first, second, third = channels
        self.features = nn.Sequential(
            conv_bn(1, first, 3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            conv_bn(first, second, 3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            conv_bn(second, third, 3),
            nn.ReLU(),
        )
        self.classifier = nn.Linear(third * 7 * 7, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x).flatten(1))  # type: ignore[no-any-return]


@register_model("plain_conv")
def plain_conv(num_classes: int = 10) -> PlainConvNet:
    """The course's plain baseline."""
    return PlainConvNet((16, 32, 32), num_classes)
