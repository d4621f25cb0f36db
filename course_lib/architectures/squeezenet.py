"""SqueezeNet (Iandola, Han and others, 2016): fire modules, AlexNet's accuracy in 1/50 of the size.

A fire module squeezes the channels by a 1×1 convolution before it widens them with 1×1 and 3×3 ones, so that
few channels reach the expensive kernels. There is no linear layer: a 1×1 convolution gives every class a map,
whose average is the score. Left out: dropout.

The paper has no batch norm, hence He's initialization and a learning rate of 0.04; its code puts a ReLU over
the class maps. `squeezenet_224` does the same. The small network has batch norm and no such ReLU, so that it
can be trained by the same recipe as the course's other families.

Worked example: `squeezenet_224` is version 1.1; with 1,000 classes it has 1,235,496 parameters, and
AlexNet has 61 million.
"""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn

from course_lib.architectures.blocks.fire import Fire
from course_lib.architectures.blocks.layers import conv_bn
from course_lib.architectures.multipliers import blocks_of, scale_channels, scale_stages
from course_lib.registry import register_model


class FireStage(NamedTuple):
    """Equal fire modules: squeezed and output channels, how many, and 2 where 3×3 max pooling comes first."""

    squeezed: int
    channels: int
    repeats: int
    stride: int


class SqueezeNet(nn.Module):
    """Stem, fire modules with pooling between them, class maps, global average: (N, C, H, W) → scores.

    Parameters
    ----------
    stem_channels
        Of the first 3×3 convolution.
    stages
        The table of the fire modules; half of their output channels come from each kind of kernel.
    published
        Whether it is built as the paper's own code does: no batch norm, a strided stem without padding, and a
        ReLU over the class maps.
    """

    def __init__(
        self,
        stem_channels: int,
        stages: Sequence[FireStage],
        num_classes: int,
        in_channels: int = 1,
        published: bool = False,
    ) -> None:
        super().__init__()
        stem = (
            nn.Conv2d(in_channels, stem_channels, 3, stride=2)
            if published
            else conv_bn(in_channels, stem_channels, 3)
        )
        self.stem = nn.Sequential(stem, nn.ReLU())
        layers: list[nn.Module] = []
        channels = stem_channels
        for stage, stride in blocks_of(stages):
            if stride == 2:
                layers.append(nn.MaxPool2d(3, 2, ceil_mode=True))
            half = stage.channels // 2
            layers.append(Fire(channels, stage.squeezed, half, half, batch_norm=not published))
            channels = stage.channels
        self.blocks = nn.Sequential(*layers)
        self.classifier = nn.Conv2d(channels, num_classes, 1)
        self.activation = nn.ReLU() if published else nn.Identity()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self._initialize()

    def forward(self, x: Tensor) -> Tensor:
        maps = self.activation(self.classifier(self.blocks(self.stem(x))))
        return self.pool(maps).flatten(1)  # type: ignore[no-any-return]

    def _initialize(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        nn.init.normal_(self.classifier.weight, std=0.01)


def _scaled(table: Sequence[FireStage], width: float, depth: float) -> list[FireStage]:
    stages = scale_stages(table, width, depth, multiple=16)
    return [stage._replace(squeezed=scale_channels(stage.squeezed, width)) for stage in stages]


@register_model("squeezenet")
def squeezenet(num_classes: int = 10, width: float = 1.0, depth: float = 1.0) -> SqueezeNet:
    """Two resolutions of fire modules for 28×28 pictures, 14×14 and 7×7."""
    table = (FireStage(16, 64, 2, 2), FireStage(24, 96, 2, 2))
    return SqueezeNet(scale_channels(8, width, 4), _scaled(table, width, depth), num_classes)


@register_model("squeezenet_224", (3, 224, 224))
def squeezenet_224(num_classes: int = 10, width: float = 1.0, depth: float = 1.0) -> SqueezeNet:
    """SqueezeNet 1.1: the paper's network with pooling earlier, 2.4 times fewer MACs."""
    table = (
        FireStage(16, 128, 2, 2),
        FireStage(32, 256, 2, 2),
        FireStage(48, 384, 2, 2),
        FireStage(64, 512, 2, 1),
    )
    stages = _scaled(table, width, depth)
    stem = scale_channels(64, width)
    return SqueezeNet(stem, stages, num_classes, in_channels=3, published=True)
