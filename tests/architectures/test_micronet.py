import pytest
import torch

from course_lib.architectures import create_model
from course_lib.architectures.blocks.micro_factorized import micro_macs, micro_params
from course_lib.architectures.micronet import MicroNet, MicroRow
from course_lib.benchmarking.macs import profile_layers


def test_a_small_table_by_hand() -> None:
    rows = (MicroRow(3, 2, 0, 8, 2), MicroRow(3, 1, 4, 8, 1))
    net = MicroNet(4, rows, 16, 6, num_classes=3)
    profile = profile_layers(net, torch.zeros(1, 1, 8, 8))
    stem = 64 * 3 * 2 + 64 * 3 * 4
    blocks = micro_macs(4, 8, 8, 2, expansion=2) + micro_macs(8, 8, 4, hidden=4)
    head = 16 * 8 * 16 // 4  # of 1, 2, 4 and 8 groups, 4 are the nearest to √16
    assert profile.macs == stem + blocks + head + 16 * 6 + 6 * 3
    made = micro_params(4, 8, expansion=2) + micro_params(8, 8, hidden=4)
    assert profile.params == (3 * 2 + 4) + (3 * 4 + 8) + made + (8 * 16 // 4 + 32) + (16 * 6 + 6) + (
        6 * 3 + 3
    )


@pytest.mark.slow
def test_the_large_network_is_smaller_than_the_papers_smallest() -> None:
    profile = profile_layers(create_model("micronet_224", 1000), torch.zeros(1, 3, 224, 224))
    assert (profile.params, profile.macs) == (901_818, 3_278_528)
    linear = 384 * 640 + 640 * 1000
    assert profile.macs - linear == 2_392_768
    assert profile.params < 1.0e6
    assert profile.macs < 4e6


def test_every_class_sees_every_channel_of_the_stem() -> None:
    net = create_model("micronet").double().eval()
    x = torch.randn(1, 8, 28, 28, dtype=torch.float64, requires_grad=True)
    features = net.get_submodule("head")(net.get_submodule("blocks")(x))
    (gradient,) = torch.autograd.grad(features.square().sum(), x)
    assert bool((gradient.abs().sum((0, 2, 3)) > 0).all())
