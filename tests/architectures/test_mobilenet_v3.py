from collections.abc import Callable

import pytest
import torch
from torch import nn

from course_lib.architectures import create_model
from course_lib.architectures.blocks.inverted_residual import inverted_residual_macs
from course_lib.architectures.mobilenet_v3 import MobileNetV3, SearchedBlock
from course_lib.benchmarking.macs import profile_layers


def test_a_small_table_by_hand() -> None:
    rows = (SearchedBlock(3, 8, 6, False, False, 2), SearchedBlock(5, 16, 6, True, True, 1))
    net = MobileNetV3(4, rows, 10, 7, num_classes=3)
    first = inverted_residual_macs(4, 6, 8, 2, expanded=8)
    second = 16 * (6 * 16 + 25 * 16 + 16 * 6) + 2 * 16 * 8  # a quarter of 16 is rounded up to 8
    expected = 64 * 9 * 4 + first + second + 16 * 6 * 10 + 10 * 7 + 7 * 3
    assert profile_layers(net, torch.zeros(1, 1, 8, 8)).macs == expected
    names = [type(module).__name__ for module in net.blocks.modules()]
    assert names.count("ReLU") == 2 + 1  # both of the first block, and the one inside the excitation
    assert names.count("Hardswish") == 2


@pytest.mark.slow
def test_the_published_network_is_torchvisions(same_as_torchvision: Callable[..., None]) -> None:
    model = create_model("mobilenet_v3_224", num_classes=1000)
    same_as_torchvision(model, "mobilenet_v3_small")
    profile = profile_layers(model, torch.zeros(1, 3, 224, 224))
    assert (profile.params, profile.macs) == (2_542_856, 56_510_400)


@pytest.mark.parametrize("width", [0.5, 0.75, 1.5])
def test_other_widths_are_torchvisions(width: float, same_as_torchvision: Callable[..., None]) -> None:
    model = create_model("mobilenet_v3_224", num_classes=1000, width=width)
    same_as_torchvision(model, "mobilenet_v3_small", side=32, width_mult=width)


def test_every_norm_has_the_papers_epsilon() -> None:
    norms = [
        module for module in create_model("mobilenet_v3").modules() if isinstance(module, nn.BatchNorm2d)
    ]
    assert {norm.eps for norm in norms} == {1e-3}
