from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from course_lib.architectures.depthwise import SeparableNet
from course_lib.architectures.residual import BasicBlock, ResidualNet
from course_lib.architectures.residual_blocks import ResidualBlock, find_residual_blocks
from course_lib.architectures.tracing import trace_steps
from course_lib.architectures.vision_transformer import VisionTransformer
from course_lib.data.torchvision_import import import_torchvision


def found(model: nn.Module) -> list[ResidualBlock]:
    return find_residual_blocks(trace_steps(model))


def test_the_blocks_of_the_course_are_found() -> None:
    blocks = found(ResidualNet(8, ((8, 1), (16, 2)), 10))
    assert blocks == [
        ResidualBlock("blocks.0", ("blocks.0.conv1.0", "blocks.0.conv2.0"), ""),
        ResidualBlock("blocks.1", ("blocks.1.conv1.0", "blocks.1.conv2.0"), ""),
    ]
    assert found(BasicBlock(4, 4, 1))[0].path == "add"


@pytest.mark.slow
@pytest.mark.parametrize(("name", "standard"), [("resnet18", 8), ("resnet34", 16), ("resnet50", 0)])
def test_the_blocks_of_torchvision_are_found(name: str, standard: int) -> None:
    import_torchvision()
    from torchvision import models
    from torchvision.models.resnet import BasicBlock as TheirBlock
    from torchvision.models.resnet import Bottleneck

    with torch.device("meta"):
        model = getattr(models, name)()
    blocks = found(model)
    theirs = [path for path, module in model.named_modules() if isinstance(module, (TheirBlock, Bottleneck))]
    assert [block.path for block in blocks] == theirs
    assert sum(not block.reason for block in blocks) == standard
    if name == "resnet50":
        assert blocks[0].reason == "its branch has the convolutions 1×1, 3×3, 1×1, not two dense k×k ones"
    else:
        assert blocks[0].convs == ("layer1.0.conv1", "layer1.0.conv2")


class Block(nn.Module):
    """Two convolutions, and an addition that a test chooses."""

    def __init__(self, join: Callable[["Block", Tensor], Tensor], **layers: nn.Module) -> None:
        super().__init__()
        self.join = join
        self.a, self.b = nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, x: Tensor) -> Tensor:
        return self.join(self, x)


def test_written_in_other_ways_a_block_is_the_same() -> None:
    spelled: list[Callable[[Block, Tensor], Tensor]] = [
        lambda self, x: x + self.b(self.a(x).relu()),
        lambda self, x: torch.add(self.b(self.a(x)), x).relu(),
        lambda self, x: self.b(self.a(x)).add_(x),
        lambda self, x: self.c(x) + self.b(torch.dropout(self.a(x), 0.1, False)),
        lambda self, x: self.b(self.a(x.relu())) + x,
    ]
    for join in spelled:
        (block,) = found(Block(join, c=nn.Conv2d(4, 4, 1)))
        assert (block.convs, block.reason) == (("a", "b"), "")


@pytest.mark.parametrize(
    ("join", "reason"),
    [
        (lambda self, x: x.tanh() + x, "no convolution in its branch"),
        (lambda self, x: self.a(x) + self.b(x), "k×k convolutions on both sides of its addition"),
        (lambda self, x: x + self.a(x), "its branch has the convolutions 3×3, not two dense k×k ones"),
        (
            lambda self, x: x + self.b(self.depthwise(x)),
            "its branch has the convolutions 3×3 in 4 groups, 3×3, not two dense k×k ones",
        ),
        (lambda self, x: x + self.a(self.a(x)), "a convolution that is called more than once"),
        (lambda self, x: x + self.odd(self.a(x)), "odd is a ParametrizedConv2d, not a plain Conv2d"),
        (
            lambda self, x: x + self.b(self.a(x) * self.depthwise(x)),
            "what it adds does not come from one step in two plain rows",
        ),
    ],
)
def test_what_is_no_standard_block_says_why(join, reason: str) -> None:
    depthwise = nn.Conv2d(4, 4, 3, padding=1, groups=4)
    (block,) = found(Block(join, depthwise=depthwise, odd=weight_norm(nn.Conv2d(4, 4, 3, padding=1))))
    assert (block.convs, block.reason) == ((), reason)


def test_blocks_that_are_mobile_already_and_attention_are_left() -> None:
    (block,) = found(SeparableNet(4, ((4, 1),), 10))
    assert (block.path, block.convs) == ("blocks.0", ())
    transformer = VisionTransformer(8, 4, dim=8, depth=1, heads=2, hidden=8, num_classes=3)
    assert all(block.reason and not block.convs for block in found(transformer))
