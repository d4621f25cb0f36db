import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from course_lib.architectures.blocks.squeeze_excitation import (
    SqueezeExcitation,
    squeeze_excitation_macs,
    squeeze_excitation_params,
)
from course_lib.data.torchvision_import import import_torchvision
from tests.architectures.blocks.counting import counted, with_weights_of

import_torchvision()


def test_the_cost_by_hand() -> None:
    assert squeeze_excitation_macs(64, 16) == 2 * 64 * 16 == 2_048
    assert squeeze_excitation_params(64, 16) == 2_048 + 16 + 64
    assert squeeze_excitation_macs(64, 0) == squeeze_excitation_params(64, 0) == 0


@settings(max_examples=10)
@given(st.integers(1, 12), st.integers(1, 5), st.integers(1, 9))
def test_the_cost_is_what_is_counted_at_any_resolution(channels: int, squeezed: int, side: int) -> None:
    expected = squeeze_excitation_macs(channels, squeezed), squeeze_excitation_params(channels, squeezed)
    assert counted(SqueezeExcitation(channels, squeezed), channels, side) == expected


def test_a_gate_by_hand() -> None:
    block = SqueezeExcitation(2, 1)
    for conv, weight, bias in [(block.reduce, [1.0, 1.0], [0.0]), (block.excite, [1.0, -1.0], [0.0, 0.0])]:
        conv.weight = nn.Parameter(torch.tensor(weight).reshape(conv.weight.shape))
        conv.bias = nn.Parameter(torch.tensor(bias))
    x = torch.tensor([[[[0.0, 1.0]], [[0.5, 0.5]]]])
    # The means 0.5 and 0.5 add up to 1, so the gates are h-sigmoid(1) = 4/6 and h-sigmoid(-1) = 2/6.
    torch.testing.assert_close(block(x), x * torch.tensor([4 / 6, 2 / 6]).reshape(1, 2, 1, 1))


def test_the_same_as_torchvision() -> None:
    from torchvision.ops import SqueezeExcitation as Theirs

    ours, theirs = with_weights_of(
        SqueezeExcitation(6, 3, nn.SiLU, nn.Sigmoid), Theirs(6, 3, activation=nn.SiLU)
    )
    x = torch.randn(2, 6, 5, 5)
    assert torch.equal(ours(x), theirs(x))


def test_h_swish_follows_its_formula_and_ends_in_the_identity() -> None:
    x = torch.linspace(-5, 5, 101)
    h_swish = x * nn.functional.relu6(x + 3) / 6
    torch.testing.assert_close(nn.Hardswish()(x), h_swish)
    torch.testing.assert_close(nn.Hardswish()(x[x >= 3]), x[x >= 3])
    assert float((h_swish - nn.functional.silu(x)).abs().max()) < 0.15
