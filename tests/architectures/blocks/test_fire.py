import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.architectures.blocks.fire import Fire, fire_macs, fire_params
from course_lib.data.torchvision_import import import_torchvision
from tests.architectures.blocks.counting import counted, output_size, with_weights_of

import_torchvision()


def test_the_cost_by_hand() -> None:
    assert fire_macs(96, 16, 64, 64, 55) == 3_025 * (96 * 16 + 16 * 64 + 9 * 16 * 64) == 35_622_400
    assert fire_params(96, 16, 64, 64) == 11_776 + 16 + 64 + 64
    assert fire_params(96, 16, 64, 64, batch_norm=True) == 11_776 + 2 * (16 + 64 + 64)


@settings(max_examples=15)
@given(
    *(st.integers(1, 9), st.integers(1, 5), st.integers(1, 5), st.integers(1, 5)),
    *(st.integers(1, 9), st.booleans()),
)
def test_the_cost_is_what_is_counted(
    in_channels: int, squeezed: int, expanded_1x1: int, expanded_3x3: int, side: int, batch_norm: bool
) -> None:
    widths = in_channels, squeezed, expanded_1x1, expanded_3x3
    block = Fire(*widths, batch_norm).eval()
    assert output_size(block, in_channels, side) == (expanded_1x1 + expanded_3x3, side, side)
    assert counted(block, in_channels, side) == (fire_macs(*widths, side), fire_params(*widths, batch_norm))


def test_the_same_as_torchvisions() -> None:
    from torchvision.models.squeezenet import Fire as Theirs

    ours, theirs = with_weights_of(Fire(6, 3, 4, 5), Theirs(6, 3, 4, 5))
    x = torch.randn(2, 6, 7, 7)
    assert torch.equal(ours(x), theirs(x))


def test_the_input_must_have_its_channels() -> None:
    with pytest.raises(RuntimeError, match="to have 6 channels, but got 5 channels"):
        Fire(6, 3, 4, 5)(torch.zeros(1, 5, 7, 7))
