from collections.abc import Callable

import pytest
import torch
from torch import nn

from course_lib.architectures import create_model
from course_lib.architectures.blocks.fire import fire_macs, fire_params
from course_lib.architectures.squeezenet import FireStage, SqueezeNet
from course_lib.benchmarking.macs import profile_layers


def test_a_small_table_by_hand() -> None:
    net = SqueezeNet(4, (FireStage(3, 8, 2, 2),), num_classes=5)
    profile = profile_layers(net, torch.zeros(1, 1, 8, 8))
    first, second = fire_macs(4, 3, 4, 4, 4), fire_macs(8, 3, 4, 4, 4)
    assert first == 16 * 3 * (4 + 4 + 9 * 4)
    assert profile.macs == 64 * 9 * 4 + first + second + 16 * 8 * 5
    blocks = sum(fire_params(channels, 3, 4, 4, batch_norm=True) for channels in (4, 8))
    assert profile.params == (9 * 4 + 8) + blocks + (8 * 5 + 5)


@pytest.mark.slow
def test_the_published_network_is_torchvisions(same_as_torchvision: Callable[..., None]) -> None:
    model = create_model("squeezenet_224", num_classes=1000)
    nn.init.normal_(model.get_submodule("classifier").weight)
    same_as_torchvision(model, "squeezenet1_1")
    profile = profile_layers(model, torch.zeros(1, 3, 224, 224))
    assert (profile.params, profile.macs) == (1_235_496, 349_151_936)


def test_a_score_is_the_average_of_its_map() -> None:
    net = SqueezeNet(4, (FireStage(3, 8, 1, 2),), num_classes=5).eval()
    x = torch.randn(2, 1, 8, 8)
    maps = net.classifier(net.blocks(net.stem(x)))
    torch.testing.assert_close(net(x), maps.mean((2, 3)))


def test_only_the_small_network_has_norms() -> None:
    for name, expected in (("squeezenet", True), ("squeezenet_224", False)):
        kinds = {type(module) for module in create_model(name).modules()}
        assert (nn.BatchNorm2d in kinds) == expected
