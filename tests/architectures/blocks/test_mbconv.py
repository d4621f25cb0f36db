import re
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from course_lib.architectures.blocks.mbconv import (
    MBConv,
    compound_scaling,
    mbconv_macs,
    mbconv_params,
    squeezed_channels,
)
from course_lib.data.torchvision_import import import_torchvision
from course_lib.errors import SettingError
from tests.architectures.blocks.counting import counted, with_weights_of

import_torchvision()


def test_the_cost_by_hand() -> None:
    # 16 → 96 channels inside, squeezed to 4.
    assert mbconv_macs(16, 24, 10) == 100 * (16 * 96 + 9 * 96 + 96 * 24) + 2 * 96 * 4 == 471_168
    assert squeezed_channels(16) == 4
    assert squeezed_channels(3) == 1


@settings(max_examples=15)
@given(
    *(st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 2]), st.sampled_from([3, 5])),
    *(st.integers(1, 6), st.sampled_from([0.25, 0.5]), st.integers(3, 9)),
)
def test_the_cost_is_what_is_counted(
    in_channels: int, out_channels: int, stride: int, kernel: int, expansion: int, ratio: float, size: int
) -> None:
    block = MBConv(in_channels, out_channels, stride, kernel, expansion, ratio)
    assert counted(block, in_channels, size) == (
        mbconv_macs(in_channels, out_channels, size, stride, kernel, expansion, ratio),
        mbconv_params(in_channels, out_channels, kernel, expansion, ratio),
    )


@pytest.mark.parametrize(("out_channels", "stride", "expansion"), [(16, 1, 6), (24, 2, 6), (8, 1, 1)])
def test_the_same_as_torchvisions(out_channels: int, stride: int, expansion: int) -> None:
    from torchvision.models.efficientnet import MBConv as Theirs
    from torchvision.models.efficientnet import MBConvConfig

    config = MBConvConfig(expansion, 5, stride, 16, out_channels, 1)
    ours, theirs = with_weights_of(
        MBConv(16, out_channels, stride, 5, expansion), Theirs(config, 0.0, partial(nn.BatchNorm2d))
    )
    x = torch.randn(2, 16, 7, 7)
    assert torch.equal(ours(x), theirs(x))


def test_compound_scaling_by_hand() -> None:
    assert compound_scaling(0) == (1, 1, 1)
    scaling = compound_scaling(2)
    assert scaling == pytest.approx((1.44, 1.21, 1.3225))
    assert scaling.depth * scaling.width**2 * scaling.resolution**2 == pytest.approx(1.9203**2, rel=1e-4)


@given(st.floats(0, 7), st.floats(0, 7))
def test_scaling_by_two_steps_multiplies(first: float, second: float) -> None:
    pairs = zip(compound_scaling(first), compound_scaling(second), strict=True)
    assert compound_scaling(first + second) == pytest.approx([a * b for a, b in pairs])


@pytest.mark.parametrize(("phi", "alpha"), [(-1, 1.2), (1, 0.9)])
def test_scaling_refuses_to_make_smaller(phi: float, alpha: float) -> None:
    sentence = (
        f"compound_scaling got phi {phi} and the bases {alpha}, 1.1, 1.15; expected phi at least 0 and bases "
        "of at least 1: for a smaller network pass a width below 1 to create_model."
    )
    with pytest.raises(SettingError, match=re.escape(sentence)):
        compound_scaling(phi, alpha)
