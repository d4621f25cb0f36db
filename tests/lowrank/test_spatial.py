"""Column and row: by hand, against numpy's SVD, exact at full rank, MACs against counted ones, and errors."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from course_lib.benchmarking.macs import profile_layers
from course_lib.errors import ModelError, SettingError
from course_lib.lowrank.extent import composed_kernel, extent_of, kernel
from course_lib.lowrank.spatial import spatial_choices, spatial_layers
from course_lib.reproducibility import seeded_torch

CONVS = [
    {"kernel_size": 3, "padding": 1},
    {"kernel_size": (3, 2), "stride": (2, 1), "padding": (1, 0), "bias": False},
    {"kernel_size": 3, "dilation": (2, 1), "padding": "same"},
    {"kernel_size": 5, "padding": (2, 1), "padding_mode": "reflect"},
    {"kernel_size": 3, "stride": 2, "padding": "valid"},
]


def make_conv(seed, options, channels=(3, 4)):
    with seeded_torch(seed):
        return nn.Conv2d(*channels, **options).eval(), torch.randn(2, channels[0], 9, 8)


def test_the_worked_example():
    conv = nn.Conv2d(1, 1, 3, bias=False)
    sobel = torch.tensor([[1.0, 0.0, -1.0], [2.0, 0.0, -2.0], [1.0, 0.0, -1.0]])
    conv.weight.data = sobel[None, None]
    column, row = spatial_layers(conv, 1)
    torch.testing.assert_close(column.weight.flatten() @ torch.ones(3), column.weight.sum())
    torch.testing.assert_close(
        column.weight.flatten() / column.weight.flatten()[0], torch.tensor([1.0, 2.0, 1.0])
    )
    torch.testing.assert_close(row.weight.flatten() / row.weight.flatten()[0], torch.tensor([1.0, 0.0, -1.0]))
    x = torch.zeros(1, 1, 3, 3)
    (choice,) = spatial_choices(conv, [extent_of(conv, x, conv(x))])[:1]
    # 3 columns are filtered by 3 weights, then one row by 3.
    assert (choice.macs, choice.energy_kept) == (12, pytest.approx(1))


@pytest.mark.parametrize("options", CONVS, ids=str)
def test_at_full_rank_it_is_the_convolution(options):
    conv, x = make_conv(0, options)
    height, width = conv.kernel_size
    layers = spatial_layers(conv, min(4 * width, 3 * height))
    torch.testing.assert_close(layers(x), conv(x), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("options", CONVS, ids=str)
def test_choices_tell_the_macs_and_the_energy(options):
    conv, x = make_conv(1, options)
    choices = spatial_choices(conv, [extent_of(conv, x[:1], conv(x[:1]))])
    assert choices[-1].energy_kept == pytest.approx(1)
    for choice in choices:
        layers = spatial_layers(conv, *choice.rank)
        assert profile_layers(layers, x).macs == choice.macs
        lost = (composed_kernel(layers) - kernel(conv)).square().sum() / kernel(conv).square().sum()
        assert float(lost) == pytest.approx(1 - choice.energy_kept, abs=1e-6)


@settings(max_examples=25)
@given(st.integers(0, 1000), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3))
def test_no_column_and_row_of_this_rank_are_closer(seed, height, width, rank):
    """Any such pair is a product of matrices (o·x, r) and (r, i·y); numpy's SVD gives the closest."""
    conv, _ = make_conv(seed, {"kernel_size": (height, width)})
    weight = kernel(conv).numpy()
    rows = [weight[:, :, :, x].reshape(4, -1) for x in range(width)]
    values = np.linalg.svd(np.concatenate(rows), compute_uv=False)
    lost = (composed_kernel(spatial_layers(conv, rank)) - kernel(conv)).square().sum()
    assert float(lost) == pytest.approx((values[rank:] ** 2).sum(), abs=1e-6)


def test_1x1_kernels_have_no_columns_and_rows():
    assert spatial_choices(nn.Conv2d(3, 4, 1), []) == []
    assert spatial_choices(nn.Linear(3, 4), []) == []


def test_the_convolution_itself_stays():
    conv, _ = make_conv(2, CONVS[0])
    before = conv.weight.clone()
    spatial_layers(conv, 1)[0].weight.data.zero_()
    assert torch.equal(conv.weight, before)


def test_groups_are_refused():
    with pytest.raises(ModelError, match="has 3 groups, each a small kernel of its own"):
        spatial_layers(nn.Conv2d(3, 3, 3, groups=3), 1)


def test_a_rank_that_does_not_exist():
    with pytest.raises(SettingError) as error:
        spatial_layers(nn.Conv2d(3, 4, 3), 10)
    assert str(error.value) == "rank is 10, but this layer has ranks from 1 to 9; pass one of these."
