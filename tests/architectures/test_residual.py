import pytest
import torch
from torch import nn

from course_lib.architectures.blocks.layers import conv_bn
from course_lib.architectures.residual import BasicBlock, ResidualNet
from course_lib.benchmarking.macs import profile_layers
from course_lib.data.torchvision_import import import_torchvision


def test_parameters_and_macs_by_hand() -> None:
    profile = profile_layers(BasicBlock(2, 3, stride=2), torch.zeros(1, 2, 8, 8))
    # Two 3×3 convolutions and the 1×1 one beside them, all with 4×4 outputs.
    weights = 9 * 2 * 3 + 9 * 3 * 3 + 2 * 3
    assert profile.macs == weights * 16
    assert profile.params == weights + 3 * 2 * 3


@pytest.mark.parametrize(("out_channels", "stride"), [(4, 1), (6, 1), (4, 2)])
def test_where_the_convolutions_give_nothing_the_shortcut_remains(out_channels: int, stride: int) -> None:
    block = BasicBlock(4, out_channels, stride).eval()
    nn.init.zeros_(block.conv2[1].weight)
    x = torch.randn(2, 4, 8, 8)
    torch.testing.assert_close(block(x), block.shortcut(x).relu())
    assert isinstance(block.shortcut, nn.Identity) == ((out_channels, stride) == (4, 1))


@pytest.mark.slow
@pytest.mark.parametrize(("out_channels", "stride"), [(4, 1), (6, 2)])
def test_a_block_is_torchvisions(out_channels: int, stride: int) -> None:
    import_torchvision()
    from torchvision.models import resnet

    ours = BasicBlock(4, out_channels, stride)
    changed = None if isinstance(ours.shortcut, nn.Identity) else conv_bn(4, out_channels, 1, stride)
    theirs = resnet.BasicBlock(4, out_channels, stride, changed)
    for mine, other in ((ours.conv1, "1"), (ours.conv2, "2")):
        getattr(theirs, f"conv{other}").load_state_dict(mine[0].state_dict())
        getattr(theirs, f"bn{other}").load_state_dict(mine[1].state_dict())
    if changed is not None:
        changed.load_state_dict(ours.shortcut.state_dict())
    x = torch.randn(2, 4, 9, 9)
    for mode in (True, False):
        torch.testing.assert_close(ours.train(mode)(x), theirs.train(mode)(x))


def test_the_stem_keeps_the_size_and_the_blocks_follow_their_strides() -> None:
    net = ResidualNet(4, ((4, 1), (6, 2)), num_classes=3)
    seen = []
    net.blocks.register_forward_hook(
        lambda module, inputs, output: seen.extend([inputs[0].shape, output.shape])
    )
    assert net(torch.zeros(2, 1, 28, 28)).shape == (2, 3)
    assert [tuple(shape) for shape in seen] == [(2, 4, 28, 28), (2, 6, 14, 14)]
    with pytest.raises(RuntimeError, match="to have 1 channels, but got 3 channels"):
        net(torch.zeros(2, 3, 28, 28))
