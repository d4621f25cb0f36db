import pytest
import torch

from course_lib.architectures import create_model
from course_lib.architectures.blocks.shuffle_v1 import shuffle_v1_macs, shuffle_v1_params
from course_lib.architectures.multipliers import Stage
from course_lib.architectures.shufflenet_v1 import ShuffleNetV1
from course_lib.benchmarking.macs import profile_layers
from course_lib.errors import SettingError


def test_a_small_table_by_hand() -> None:
    net = ShuffleNetV1(6, (Stage(24, 2, 2),), 3, num_classes=4)
    profile = profile_layers(net, torch.zeros(1, 1, 8, 8))
    first = shuffle_v1_macs(6, 24, 8, 2, 3, grouped_entry=False)
    assert first == 64 * 6 * 6 + 16 * (9 * 6 + 6 * 18 // 3)
    second = shuffle_v1_macs(24, 24, 4, 1, 3)
    assert profile.macs == 64 * 9 * 6 + first + second + 24 * 4
    blocks = shuffle_v1_params(6, 24, 2, 3, grouped_entry=False) + shuffle_v1_params(24, 24, 1, 3)
    assert profile.params == (9 * 6 + 12) + blocks + (24 * 4 + 4)


@pytest.mark.slow
def test_the_published_network_has_the_papers_macs() -> None:
    profile = profile_layers(create_model("shufflenet_v1_224", 1000), torch.zeros(1, 3, 224, 224))
    assert (profile.params, profile.macs) == (1_865_728, 137_460_672)
    assert round(profile.macs / 1e6) == 137  # Table 1, g = 3


def test_every_output_sees_every_channel_of_the_input() -> None:
    net = ShuffleNetV1(6, (Stage(24, 2, 2),), 3, num_classes=4).double().eval()
    x = torch.randn(1, 6, 8, 8, dtype=torch.float64, requires_grad=True)
    for channel in range(24):
        (gradient,) = torch.autograd.grad(net.blocks(x)[0, channel].sum(), x)
        assert bool((gradient.abs().sum((0, 2, 3)) > 0).all()), channel


def test_a_stage_without_a_stride_is_refused() -> None:
    with pytest.raises(SettingError, match=r"got 24 → 48 channels at stride 1; expected equal"):
        ShuffleNetV1(6, (Stage(24, 1, 2), Stage(48, 1, 1)), 3, num_classes=4)
