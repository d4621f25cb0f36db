import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from course_lib.architectures.blocks import design_rules
from course_lib.architectures.blocks.design_rules import (
    DESIGN_RULES,
    elementwise_memory_access,
    least_pointwise_memory_access,
    pointwise_memory_access,
)


def test_the_worked_example() -> None:
    assert pointwise_memory_access(128, 128, 784) == 784 * 256 + 128 * 128 == 217_088
    assert pointwise_memory_access(32, 512, 784) == 442_880
    assert pointwise_memory_access(128, 512, 784, groups=4) == 518_144
    assert 32 * 512 == 128 * 512 // 4 == 128 * 128  # all three have equal MACs
    assert least_pointwise_memory_access(784 * 128 * 128, 784) == 217_088
    assert elementwise_memory_access(64, 784, inputs=2) == 3 * 64 * 784


@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 3_000))
def test_rule_one_no_layer_is_below_the_bound_and_equal_channels_reach_it(
    in_channels: int, out_channels: int, pixels: int
) -> None:
    macs = pixels * in_channels * out_channels
    access = pointwise_memory_access(in_channels, out_channels, pixels)
    bound = least_pointwise_memory_access(macs, pixels)
    assert access >= bound * (1 - 1e-12)
    if in_channels == out_channels:
        assert access == pytest.approx(bound)


@given(st.integers(1, 8), st.integers(1, 40), st.integers(1, 500))
def test_rule_two_more_groups_at_equal_macs_need_more_access(groups: int, unit: int, pixels: int) -> None:
    channels = groups * unit
    plain = pointwise_memory_access(channels, channels, pixels)
    grouped = pointwise_memory_access(channels, channels * groups, pixels, groups)
    assert grouped - plain == pixels * channels * (groups - 1)


def test_the_counts_are_the_sizes_of_the_tensors() -> None:
    conv = nn.Conv2d(6, 9, 1, groups=3, bias=False)
    x = torch.randn(1, 6, 4, 5)
    y = conv(x)
    assert pointwise_memory_access(6, 9, 20, 3) == x.numel() + y.numel() + conv.weight.numel()
    assert elementwise_memory_access(9, 20) == y.numel() + y.relu().numel()


def test_there_are_four_rules_and_each_function_that_they_name_exists() -> None:
    assert len(DESIGN_RULES) == 4
    assert [rule.counted_by is None for rule in DESIGN_RULES] == [False, False, True, False]
    assert all(callable(getattr(design_rules, rule.counted_by)) for rule in DESIGN_RULES if rule.counted_by)
