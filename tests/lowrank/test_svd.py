"""SVD: by hand, against numpy's, exact at full rank, MACs against counted ones, and errors."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from course_lib.benchmarking.macs import profile_layers
from course_lib.errors import SettingError
from course_lib.lowrank.extent import composed_kernel, extent_of, kernel
from course_lib.lowrank.svd import (
    low_rank,
    principal_axes,
    squared_singular_values,
    svd_choices,
    svd_layers,
)
from course_lib.reproducibility import seeded_torch, torch_generator

CONVS = [
    {"kernel_size": 3, "padding": 1},
    {"kernel_size": (3, 2), "stride": (2, 1), "padding": (1, 0), "bias": False},
    {"kernel_size": 3, "dilation": 2, "padding": "same"},
    {"kernel_size": 1},
    {"kernel_size": 5, "padding": 2, "padding_mode": "reflect"},
]


def matrix(rows, columns, seed=0):
    return torch.randn(rows, columns, generator=torch_generator(seed), dtype=torch.float64)


def test_the_worked_example():
    left, right = low_rank(torch.tensor([[3.0, 0.0], [0.0, 1.0]]), 1)
    torch.testing.assert_close(left.abs(), torch.tensor([[3.0], [0.0]], dtype=torch.float64).sqrt())
    torch.testing.assert_close(left @ right, torch.tensor([[3.0, 0.0], [0.0, 0.0]], dtype=torch.float64))


@settings(max_examples=40)
@given(st.integers(1, 8), st.integers(1, 8), st.integers(0, 1000), st.data())
def test_no_matrix_of_this_rank_is_closer(rows, columns, seed, data):
    """The best error is the energy of the singular values left out (Eckart and Young), by numpy's SVD."""
    w = matrix(rows, columns, seed)
    rank = data.draw(st.integers(1, min(rows, columns)))
    left, right = low_rank(w, rank)
    values = np.linalg.svd(w.numpy(), compute_uv=False)
    assert left.shape == (rows, rank)
    assert right.shape == (rank, columns)
    assert float((w - left @ right).norm()) == pytest.approx(np.sqrt((values[rank:] ** 2).sum()), abs=1e-7)
    torch.testing.assert_close(left.norm(dim=0), right.norm(dim=1))
    assert squared_singular_values(w).numpy() == pytest.approx(values**2, abs=1e-9)


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 1000))
def test_the_error_falls_with_the_rank_to_nothing(rows, columns, seed):
    w = matrix(rows, columns, seed)
    ranks = range(1, min(rows, columns) + 1)
    errors = [float((w - torch.matmul(*low_rank(w, rank))).norm()) for rank in ranks]
    assert all(after <= before + 1e-12 for before, after in pairwise(errors))
    assert errors[-1] == pytest.approx(0, abs=1e-9)


def test_the_axes_are_orthonormal_and_sorted():
    squares, vectors = principal_axes(matrix(5, 3))
    torch.testing.assert_close(vectors.T @ vectors, torch.eye(5, dtype=torch.float64))
    assert squares.tolist() == sorted(squares.tolist(), reverse=True)
    assert squares.min() >= 0


@pytest.mark.parametrize("rows", [2, 5])
def test_zeros_have_factors_too(rows):
    left, right = low_rank(torch.zeros(rows, 3), 2)
    assert torch.equal(left @ right, torch.zeros(rows, 3, dtype=torch.float64))


@pytest.mark.parametrize("options", CONVS, ids=str)
def test_a_convolution_at_full_rank_is_itself(options):
    with seeded_torch(0):
        conv = nn.Conv2d(3, 6, **options).eval()
        x = torch.randn(2, 3, 9, 8)
    rank = min(6, kernel(conv).flatten(1).shape[1])
    layers = svd_layers(conv, rank)
    torch.testing.assert_close(layers(x), conv(x), atol=1e-5, rtol=1e-5)
    assert not layers[0].training


def test_a_linear_layer_becomes_two():
    with seeded_torch(0):
        layer = nn.Linear(5, 4)
        x = torch.randn(2, 7, 5)
    before = {name: value.clone() for name, value in layer.state_dict().items()}
    layers = svd_layers(layer, 2)
    assert [type(each) for each in layers] == [nn.Linear, nn.Linear]
    assert [each.bias is not None for each in layers] == [False, True]
    left, right = low_rank(layer.weight.detach(), 2)
    torch.testing.assert_close(layers(x), x @ (left @ right).T.float() + layer.bias)
    torch.testing.assert_close(layers(x), svd_layers(layer, 2)(x))
    torch.testing.assert_close(svd_layers(layer, 4)(x), layer(x))
    assert all(torch.equal(value, before[name]) for name, value in layer.state_dict().items())


@pytest.mark.parametrize("options", CONVS, ids=str)
def test_choices_tell_the_macs_and_the_energy(options):
    with seeded_torch(1):
        conv = nn.Conv2d(3, 6, **options)
        x = torch.randn(1, 3, 9, 8)
    choices = svd_choices(conv, [extent_of(conv, x, conv(x))])
    assert choices[-1].energy_kept == pytest.approx(1)
    for choice in choices:
        layers = svd_layers(conv, *choice.rank)
        assert profile_layers(layers, x).macs == choice.macs
        lost = (composed_kernel(layers) - kernel(conv)).square().sum() / kernel(conv).square().sum()
        assert float(lost) == pytest.approx(1 - choice.energy_kept, abs=1e-6)


def test_the_number_format_and_what_trains_are_kept():
    layer = nn.Linear(5, 4).to(torch.bfloat16).requires_grad_(False)
    layers = svd_layers(layer, 2)
    assert {each.weight.dtype for each in layers} == {torch.bfloat16}
    assert not layers[0].weight.requires_grad


@pytest.mark.parametrize("rank", [0, 4])
def test_a_rank_that_does_not_exist(rank):
    with pytest.raises(SettingError) as error:
        low_rank(torch.zeros(3, 5), rank)
    assert str(error.value) == f"rank is {rank}, but this layer has ranks from 1 to 3; pass one of these."
