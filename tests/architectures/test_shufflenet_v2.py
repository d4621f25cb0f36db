from collections.abc import Callable

import pytest
import torch

from course_lib.architectures import create_model
from course_lib.architectures.blocks.shuffle_v2 import shuffle_v2_macs, shuffle_v2_params
from course_lib.architectures.multipliers import Stage
from course_lib.architectures.shufflenet_v2 import ShuffleNetV2
from course_lib.benchmarking.macs import profile_layers


def test_a_small_table_by_hand() -> None:
    net = ShuffleNetV2(4, (Stage(8, 2, 2),), 10, num_classes=3)
    profile = profile_layers(net, torch.zeros(1, 1, 8, 8))
    first, second = shuffle_v2_macs(4, 8, 8, 2), shuffle_v2_macs(8, 8, 4, 1)
    assert second == 16 * (4 * 4 + 9 * 4 + 4 * 4)
    assert profile.macs == 64 * 9 * 4 + first + second + 16 * 8 * 10 + 10 * 3
    blocks = shuffle_v2_params(4, 8, 2) + shuffle_v2_params(8, 8, 1)
    assert profile.params == (9 * 4 + 8) + blocks + (8 * 10 + 20) + (10 * 3 + 3)


@pytest.mark.slow
def test_the_published_network_is_torchvisions(same_as_torchvision: Callable[..., None]) -> None:
    model = create_model("shufflenet_v2_224", num_classes=1000)
    same_as_torchvision(model, "shufflenet_v2_x1_0")
    profile = profile_layers(model, torch.zeros(1, 3, 224, 224))
    assert (profile.params, profile.macs) == (2_278_604, 144_907_992)


def test_the_stem_has_24_channels_at_every_width() -> None:
    for width in (0.5, 2):
        stem = create_model("shufflenet_v2_224", width=width).get_submodule("stem.0.0")
        assert isinstance(stem, torch.nn.Conv2d)
        assert stem.out_channels == 24
