"""Extents and kernels by hand, composed kernels against a run of the layers, MACs against counted ones."""

import pytest
import torch
from torch import nn

from course_lib.benchmarking.macs import profile_layers
from course_lib.errors import ModelError, SettingError
from course_lib.lowrank.extent import (
    Extent,
    check_rank,
    composed_kernel,
    dense_macs,
    extent_of,
    kernel,
)
from course_lib.reproducibility import torch_generator


def test_extents_by_hand():
    conv = nn.Conv2d(3, 4, 3, stride=2, padding=1)
    x = torch.zeros(2, 3, 9, 7)
    extent = extent_of(conv, x, conv(x))
    assert extent == Extent((2, 9, 7), (2, 5, 4))
    assert (extent.in_positions, extent.out_positions, extent.between_positions) == (126, 40, 2 * 5 * 7)
    assert extent_of(conv, x[0], conv(x[0])) == Extent((1, 9, 7), (1, 5, 4))


def test_a_linear_layer_counts_its_positions():
    layer = nn.Linear(6, 5)
    x = torch.zeros(2, 7, 6)
    assert extent_of(layer, x, layer(x)) == Extent((14, 1, 1), (14, 1, 1))


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Conv2d(3, 4, (3, 5), stride=(2, 1), padding=1), (1, 3, 9, 7)),
        (nn.Conv2d(4, 8, 3, groups=4), (1, 4, 6, 6)),
        (nn.Linear(6, 5), (1, 6)),
    ],
)
def test_macs_are_those_counted(layer, shape):
    x = torch.zeros(shape)
    extents = [extent_of(layer, x, layer(x))]
    assert dense_macs(layer, extents) == profile_layers(layer, x).macs


def test_a_composed_kernel_is_what_the_layers_compute():
    layers = nn.Sequential(
        nn.Conv2d(2, 3, (3, 1), bias=False),
        nn.Conv2d(3, 5, (1, 2), bias=False),
        nn.Conv2d(5, 4, 1, bias=False),
    ).double()
    x = torch.randn(2, 2, 6, 6, generator=torch_generator(0), dtype=torch.float64)
    composed = composed_kernel(layers)
    assert composed.shape == (4, 2, 3, 2)
    torch.testing.assert_close(nn.functional.conv2d(x, composed), layers(x))


def test_a_linear_layer_has_a_kernel_of_1x1():
    layer = nn.Linear(3, 2)
    assert kernel(layer).shape == (2, 3, 1, 1)
    assert kernel(layer).dtype == torch.float64


def test_weights_that_are_not_finite_are_refused():
    layer = nn.Linear(2, 1)
    nn.init.constant_(layer.weight, float("nan"))
    with pytest.raises(ModelError) as error:
        kernel(layer)
    assert str(error.value) == (
        "The weights of Linear(in_features=2, out_features=1, bias=True) hold NaN or infinite values, which "
        "have no factors; load or train them again."
    )


def test_groups_are_refused():
    with pytest.raises(ModelError, match="has 2 groups, each a small kernel of its own; only convolutions"):
        kernel(nn.Conv2d(2, 2, 3, groups=2))


@pytest.mark.parametrize("rank", [0, 4])
def test_a_rank_out_of_range(rank):
    with pytest.raises(SettingError) as error:
        check_rank("rank", rank, 3)
    assert str(error.value) == f"rank is {rank}, but this layer has ranks from 1 to 3; pass one of these."
