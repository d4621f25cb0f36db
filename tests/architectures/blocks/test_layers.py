import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from course_lib.architectures.blocks.layers import (
    check_groups,
    conv_bn,
    conv_bn_params,
    conv_macs,
    output_side,
    round_channels,
)
from course_lib.benchmarking.macs import conv2d_macs
from course_lib.errors import SettingError
from tests.architectures.blocks.counting import counted


@pytest.mark.parametrize(
    ("kernel", "stride", "size"), [(1, 1, 9), (3, 1, 9), (5, 1, 9), (3, 2, 5), (1, 2, 5)]
)
def test_conv_bn_keeps_the_size_at_stride_one_and_has_no_bias(kernel: int, stride: int, size: int) -> None:
    layer = conv_bn(2, 6, kernel, stride, groups=2)
    assert layer(torch.zeros(3, 2, 9, 9)).shape == (3, 6, size, size)
    assert isinstance(layer[0], nn.Conv2d)
    assert layer[0].bias is None
    assert layer[0].groups == 2


def test_the_cost_of_a_convolution_by_hand() -> None:
    assert output_side(9, 2) == 5
    assert conv_macs(8, 16, kernel=3, side=5) == 25 * 9 * 8 * 16 == 28_800
    assert conv_bn_params(8, 16, kernel=3) == 9 * 8 * 16 + 2 * 16 == 1_184


@settings(max_examples=20)
@given(
    st.integers(1, 4),
    st.integers(1, 4),
    st.sampled_from([1, 3, 5]),
    st.sampled_from([1, 2]),
    st.integers(1, 9),
)
def test_the_cost_is_what_is_counted(
    in_channels: int, out_channels: int, kernel: int, stride: int, size: int
) -> None:
    groups = 2
    layer = conv_bn(2 * in_channels, 2 * out_channels, kernel, stride, groups)
    side = output_side(size, stride)
    macs = conv_macs(2 * in_channels, 2 * out_channels, kernel, side, groups)
    params = conv_bn_params(2 * in_channels, 2 * out_channels, kernel, groups)
    assert counted(layer, 2 * in_channels, size) == (macs, params)
    assert macs == conv2d_macs(2 * in_channels, 2 * out_channels, (kernel, kernel), (side, side), groups)


@pytest.mark.parametrize(
    ("channels", "expected"),
    [(32, 32), (35.2, 32), (11.2, 16), (18, 24), (20, 24), (3, 8), (28, 32), (27, 32)],
)
def test_channels_are_rounded_to_eights(channels: float, expected: int) -> None:
    assert round_channels(channels) == expected


@given(st.floats(0.1, 5_000), st.integers(1, 32))
def test_rounding_never_takes_away_more_than_a_tenth(channels: float, multiple: int) -> None:
    rounded = round_channels(channels, multiple)
    assert rounded % multiple == 0
    assert rounded >= max(multiple, 0.9 * channels)
    assert rounded - channels <= multiple


@pytest.mark.parametrize(("channels", "multiple"), [(0, 8), (-1.5, 8), (16, 0)])
def test_rounding_refuses_what_is_no_number_of_channels(channels: float, multiple: int) -> None:
    sentence = f"round_channels got {channels} channels and multiple {multiple}; expected channels above 0"
    with pytest.raises(SettingError, match=sentence):
        round_channels(channels, multiple)


def test_groups_that_do_not_divide_are_refused_with_some_that_do() -> None:
    check_groups(4, input=8, output=12)
    with pytest.raises(
        SettingError, match=r"8 groups do not divide input 24, output 12; expected .* such as 6.$"
    ):
        check_groups(8, input=24, output=12)
    with pytest.raises(SettingError, match=r"0 groups do not divide input 24; expected .* such as 1.$"):
        check_groups(0, input=24)
