import pytest
import torch
from torch import nn

from course_lib.architectures import create_model
from course_lib.architectures.blocks.ghost import ghost_bottleneck_macs, ghost_bottleneck_params
from course_lib.architectures.ghostnet import GhostNet, GhostRow
from course_lib.benchmarking.macs import profile_layers


def test_a_small_table_by_hand() -> None:
    rows = (GhostRow(3, 8, 6, False, 2), GhostRow(3, 12, 6, True, 1))
    net = GhostNet(4, rows, 10, 0, num_classes=3)
    profile = profile_layers(net, torch.zeros(1, 1, 8, 8))
    first = ghost_bottleneck_macs(4, 8, 6, 8, 2)
    second = ghost_bottleneck_macs(6, 12, 6, 4, 1) + 2 * 12 * 4  # a quarter of 12 is 3, rounded up to 4
    assert profile.macs == 64 * 9 * 4 + first + second + 16 * 6 * 10 + 10 * 3
    excitation = 2 * 12 * 4 + 4 + 12
    blocks = ghost_bottleneck_params(4, 8, 6, 2) + ghost_bottleneck_params(6, 12, 6, 1) + excitation
    assert profile.params == (9 * 4 + 8) + blocks + (6 * 10 + 20) + (10 * 3 + 3)


@pytest.mark.slow
def test_the_published_network_has_the_papers_size() -> None:
    profile = profile_layers(create_model("ghostnet_224", 1000), torch.zeros(1, 3, 224, 224))
    assert (profile.params, profile.macs) == (5_182_508, 141_150_512)
    assert (round(profile.params / 1e5), round(profile.macs / 1e6)) == (52, 141)  # Table 7


def test_a_layer_between_average_and_classifier_only_where_it_is_asked_for() -> None:
    rows = (GhostRow(3, 8, 6, False, 2),)
    kinds = [
        [type(module) for module in GhostNet(4, rows, 10, hidden, num_classes=3).classifier]
        for hidden in (0, 7)
    ]
    assert kinds == [[nn.Linear], [nn.Linear, nn.ReLU, nn.Linear]]
