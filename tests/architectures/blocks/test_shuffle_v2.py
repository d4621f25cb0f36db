import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.architectures.blocks.shuffle_v2 import ShuffleV2Block, shuffle_v2_macs, shuffle_v2_params
from course_lib.data.torchvision_import import import_torchvision
from course_lib.errors import SettingError
from tests.architectures.blocks.counting import counted, output_size, with_weights_of

import_torchvision()


def test_the_cost_by_hand() -> None:
    assert shuffle_v2_macs(116, 116, 28) == 784 * (2 * 58**2 + 9 * 58) == 5_684_000
    assert shuffle_v2_params(116, 116) == 2 * 58**2 + 9 * 58 + 3 * 2 * 58


@settings(max_examples=20)
@given(st.integers(1, 8), st.integers(1, 4), st.sampled_from([1, 2]), st.integers(3, 9))
def test_the_cost_is_what_is_counted(in_channels: int, half: int, stride: int, size: int) -> None:
    block = ShuffleV2Block(in_channels, 2 * half, stride)
    side = -(-size // stride)
    assert output_size(block, in_channels, size) == (2 * half, side, side)
    assert counted(block, in_channels, size) == (
        shuffle_v2_macs(in_channels, 2 * half, size, stride),
        shuffle_v2_params(in_channels, 2 * half, stride),
    )


@pytest.mark.parametrize(("in_channels", "out_channels", "stride"), [(8, 8, 1), (6, 8, 2), (8, 8, 2)])
def test_the_same_as_torchvisions(in_channels: int, out_channels: int, stride: int) -> None:
    from torchvision.models.shufflenetv2 import InvertedResidual as Theirs

    ours, theirs = with_weights_of(
        ShuffleV2Block(in_channels, out_channels, stride), Theirs(in_channels, out_channels, stride)
    )
    x = torch.randn(2, in_channels, 7, 7)
    assert torch.equal(ours(x), theirs(x))


def test_one_half_passes_untouched() -> None:
    x = torch.randn(2, 8, 5, 5)
    assert torch.equal(ShuffleV2Block(8, 8, 1)(x)[:, ::2], x[:, :4])


def test_an_odd_number_has_no_halves() -> None:
    sentence = "A ShuffleNet V2 block got 7 output channels; expected an even number.*: pass 8"
    with pytest.raises(SettingError, match=sentence):
        ShuffleV2Block(8, 7, 1)
    with pytest.raises(SettingError, match=sentence):
        shuffle_v2_params(8, 7)
