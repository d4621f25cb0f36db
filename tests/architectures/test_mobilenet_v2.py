from collections.abc import Callable

import pytest
import torch
from torch import nn

from course_lib.architectures import create_model
from course_lib.architectures.blocks.inverted_residual import inverted_residual_macs, inverted_residual_params
from course_lib.architectures.mobilenet_v2 import InvertedStage, MobileNetV2
from course_lib.benchmarking.macs import profile_layers


def test_a_small_table_by_hand() -> None:
    net = MobileNetV2(4, (InvertedStage(2, 6, 2, 2),), 10, num_classes=3)
    profile = profile_layers(net, torch.zeros(1, 1, 8, 8))
    stem, head = 64 * 9 * 4, 16 * 6 * 10
    first = inverted_residual_macs(4, 6, 8, 2, expanded=8)
    second = inverted_residual_macs(6, 6, 4, 1, expanded=12)
    assert first == 64 * 4 * 8 + 16 * (9 * 8 + 8 * 6)
    assert profile.macs == stem + first + second + head + 10 * 3
    blocks = inverted_residual_params(4, 6, expanded=8) + inverted_residual_params(6, 6, expanded=12)
    assert profile.params == (9 * 4 + 8) + blocks + (6 * 10 + 20) + (10 * 3 + 3)


@pytest.mark.slow
def test_the_published_network_is_torchvisions(same_as_torchvision: Callable[..., None]) -> None:
    model = create_model("mobilenet_v2_224", num_classes=1000)
    same_as_torchvision(model, "mobilenet_v2")
    profile = profile_layers(model, torch.zeros(1, 3, 224, 224))
    assert (profile.params, profile.macs) == (3_504_872, 300_774_272)


@pytest.mark.parametrize("width", [0.35, 0.75, 1.4])
def test_other_widths_are_torchvisions(width: float, same_as_torchvision: Callable[..., None]) -> None:
    model = create_model("mobilenet_v2_224", num_classes=1000, width=width)
    same_as_torchvision(model, "mobilenet_v2", side=32, width_mult=width)


def test_no_activation_follows_a_bottleneck() -> None:
    blocks = create_model("mobilenet_v2").blocks
    assert isinstance(blocks, nn.Sequential)
    for block in blocks:
        assert isinstance(list(block.project.children())[-1], nn.BatchNorm2d)
