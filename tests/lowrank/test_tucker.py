"""Tucker-2: by hand, against SVDs of the unfoldings, exact at full rank, counted MACs, HOOI, and errors."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from course_lib.benchmarking.macs import profile_layers
from course_lib.errors import SettingError
from course_lib.lowrank.extent import composed_kernel, extent_of, kernel
from course_lib.lowrank.tucker import tucker2, tucker_choices, tucker_energy, tucker_layers
from course_lib.reproducibility import seeded_torch, torch_generator


def weight_of(seed, out_channels=4, in_channels=3, size=2):
    generator = torch_generator(seed)
    return torch.randn(out_channels, in_channels, size, size, generator=generator, dtype=torch.float64)


def lost_energy(weight, left, core, right):
    rebuilt = torch.einsum("abhw,oa,ib->oihw", core, left, right)
    return float((weight - rebuilt).square().sum() / weight.square().sum())


def test_the_worked_example():
    weight = torch.tensor([[3.0, 0.0], [0.0, 1.0]])[:, :, None, None]
    left, core, right = tucker2(weight, 1, 1)
    assert left.abs().flatten().tolist() == [1, 0]
    assert right.abs().flatten().tolist() == [1, 0]
    assert core.abs().item() == pytest.approx(3)
    assert lost_energy(weight.double(), left, core, right) == pytest.approx(0.1)
    assert tucker_energy(weight).tolist() == [[9, 0], [0, 1]]


def test_the_subspaces_are_those_of_the_unfoldings():
    """HOSVD's axes are numpy's left singular vectors of W unfolded along either axis, up to their sign."""
    weight = weight_of(1)
    left, _, right = tucker2(weight, 2, 2)
    for axes, unfolded in (
        (left, weight.numpy().reshape(4, -1)),
        (right, weight.numpy().transpose(1, 0, 2, 3).reshape(3, -1)),
    ):
        vectors = np.linalg.svd(unfolded)[0][:, :2]
        assert np.abs((vectors * axes.numpy()).sum(axis=0)) == pytest.approx([1, 1])


@settings(max_examples=30)
@given(st.integers(0, 1000), st.integers(1, 3), st.integers(1, 4))
def test_energy_of_a_corner_is_what_the_ranks_keep(seed, rank_in, rank_out):
    weight = weight_of(seed)
    factors = tucker2(weight, rank_in, rank_out)
    kept = tucker_energy(weight)[:rank_in, :rank_out].sum() / weight.square().sum()
    assert lost_energy(weight, *factors) == pytest.approx(1 - float(kept), abs=1e-9)


@settings(max_examples=30)
@given(st.integers(0, 1000), st.integers(1, 2), st.integers(1, 3))
def test_more_rank_and_more_steps_never_lose_more(seed, rank_in, rank_out):
    weight = weight_of(seed)
    lost = lost_energy(weight, *tucker2(weight, rank_in, rank_out))
    assert lost_energy(weight, *tucker2(weight, rank_in + 1, rank_out)) <= lost + 1e-12
    assert lost_energy(weight, *tucker2(weight, rank_in, rank_out + 1)) <= lost + 1e-12
    once = lost_energy(weight, *tucker2(weight, rank_in, rank_out, steps=1))
    twice = lost_energy(weight, *tucker2(weight, rank_in, rank_out, steps=2))
    assert twice <= once + 1e-12
    assert once <= lost + 1e-12


def test_the_steps_find_factors_where_nothing_moves():
    """At the optimum each subspace is the best one for the other: numpy's SVD finds no better."""
    weight = weight_of(3)
    assert lost_energy(weight, *tucker2(weight, 1, 2, steps=1)) < lost_energy(weight, *tucker2(weight, 1, 2))
    left, core, right = tucker2(weight, 1, 2, steps=200)
    projected = np.einsum("oihw,ib->obhw", weight.numpy(), right.numpy()).reshape(4, -1)
    values = np.linalg.svd(projected, compute_uv=False)
    assert float(core.square().sum()) == pytest.approx((values[:2] ** 2).sum())
    torch.testing.assert_close(left.T @ left, torch.eye(2, dtype=torch.float64))


CONVS = [
    {"kernel_size": 3, "padding": 1},
    {"kernel_size": (3, 2), "stride": (2, 1), "padding": (1, 0), "bias": False},
    {"kernel_size": 3, "dilation": 2, "padding": "same", "padding_mode": "circular"},
]


@pytest.mark.parametrize("options", CONVS, ids=str)
def test_layers_choices_and_counted_macs(options):
    with seeded_torch(0):
        conv = nn.Conv2d(3, 5, **options).eval()
        x = torch.randn(2, 3, 9, 8)
    torch.testing.assert_close(tucker_layers(conv, 3, 5)(x), conv(x), atol=1e-5, rtol=1e-5)
    choices = tucker_choices(conv, [extent_of(conv, x[:1], conv(x[:1]))])
    assert choices[-1].rank == (3, 5)
    for choice in choices:
        layers = tucker_layers(conv, *choice.rank)
        assert profile_layers(layers, x).macs == choice.macs
        lost = (composed_kernel(layers) - kernel(conv)).square().sum() / kernel(conv).square().sum()
        assert float(lost) == pytest.approx(1 - choice.energy_kept, abs=1e-6)


def test_1x1_kernels_are_left_to_the_svd():
    assert tucker_choices(nn.Conv2d(3, 4, 1), []) == []


@pytest.mark.parametrize(
    ("ranks", "message"),
    [
        ((4, 1), "rank_in is 4, but this layer has ranks from 1 to 3; pass one of these."),
        ((1, 0), "rank_out is 0, but this layer has ranks from 1 to 4; pass one of these."),
    ],
)
def test_ranks_that_do_not_exist(ranks, message):
    with pytest.raises(SettingError) as error:
        tucker2(weight_of(0), *ranks)
    assert str(error.value) == message


def test_fewer_than_no_steps():
    with pytest.raises(SettingError) as error:
        tucker2(weight_of(0), 1, 1, steps=-1)
    assert str(error.value) == "steps is -1, but HOOI takes 0 or more of them; pass for example steps=2."
