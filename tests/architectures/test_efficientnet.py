from collections.abc import Callable

import pytest
import torch

from course_lib.architectures import create_model
from course_lib.architectures.blocks.mbconv import mbconv_macs, mbconv_params
from course_lib.architectures.efficientnet import EfficientNet, MBStage
from course_lib.benchmarking.macs import profile_layers


def test_a_small_table_by_hand() -> None:
    net = EfficientNet(4, (MBStage(2, 5, 8, 2, 2),), 10, num_classes=3)
    profile = profile_layers(net, torch.zeros(1, 1, 8, 8))
    first, second = mbconv_macs(4, 8, 8, 2, 5, 2), mbconv_macs(8, 8, 4, 1, 5, 2)
    assert first == 64 * 4 * 8 + 16 * (25 * 8 + 8 * 8) + 2 * 8 * 1
    assert profile.macs == 64 * 9 * 4 + first + second + 16 * 8 * 10 + 10 * 3
    blocks = mbconv_params(4, 8, 5, 2) + mbconv_params(8, 8, 5, 2)
    assert profile.params == (9 * 4 + 8) + blocks + (8 * 10 + 20) + (10 * 3 + 3)


@pytest.mark.slow
def test_the_published_network_is_torchvisions(same_as_torchvision: Callable[..., None]) -> None:
    model = create_model("efficientnet_224", num_classes=1000)
    same_as_torchvision(model, "efficientnet_b0")
    profile = profile_layers(model, torch.zeros(1, 3, 224, 224))
    assert (profile.params, profile.macs) == (5_288_548, 385_814_752)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "width", "depth"),
    [("efficientnet_b1", 1.0, 1.1), ("efficientnet_b2", 1.1, 1.2), ("efficientnet_b3", 1.2, 1.4)],
)
def test_compound_scaling_gives_the_larger_ones(
    name: str, width: float, depth: float, same_as_torchvision: Callable[..., None]
) -> None:
    model = create_model("efficientnet_224", num_classes=1000, width=width, depth=depth)
    same_as_torchvision(model, name, side=32)


def test_b1_has_the_parameters_of_its_worked_example() -> None:
    model = create_model("efficientnet_224", num_classes=1000, depth=1.1)
    assert sum(value.numel() for value in model.parameters()) == 7_794_184
