import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from course_lib.errors import ModelError, SettingError
from course_lib.quantization import (
    PerTensor,
    choose_qparams,
    decode,
    encode,
    fake_quantize,
    sparse_bytes,
    split_channels,
    split_outliers,
    sqnr_db,
)

tensors = arrays(np.float32, array_shapes(max_dims=3, max_side=6), elements=st.floats(-100, 100, width=32))
fractions = st.floats(0, 1)


def int8(x):
    return fake_quantize(x, choose_qparams(x, 8, symmetric=True, granularity=PerTensor()))


def one_large_weight():
    weight = np.random.default_rng(0).choice([-0.1, 0.1], size=(10, 100)).astype(np.float32)
    weight[3, 7] = 100.0
    return weight


# Worked by hand


def test_the_worked_example():
    weight = one_large_weight()
    assert np.count_nonzero(int8(weight)) == 1  # only the outlier survives
    dense, sparse = split_outliers(weight, 0.001)
    assert np.abs(dense).max() == np.float32(0.1)
    assert sparse.sum() == sparse[3, 7] == 100
    rebuilt = int8(dense) + sparse
    assert np.abs(rebuilt - weight).max() <= 0.1 / 127 / 2 + 1e-7
    assert sparse_bytes(sparse) == 4 + 2  # the value, and the 307 zeros before it in 9 bits
    assert np.array_equal(decode(encode(sparse)), sparse)


def test_the_largest_and_among_equals_the_first_are_taken():
    dense, sparse = split_outliers(np.asarray([1.0, -3.0, 2.0, 3.0, -3.0]), 0.4)
    assert sparse.tolist() == [0, -3, 0, 3, 0]
    assert dense.tolist() == [1, 0, 2, 0, -3]


def test_the_share_is_rounded_up_to_whole_values():
    x = np.arange(1.0, 101.0)
    for fraction, count in [(0, 0), (0.001, 1), (0.07, 7), (0.071, 8), (1, 100)]:
        assert np.count_nonzero(split_outliers(x, fraction)[1]) == count


def test_the_channel_with_the_largest_value_is_halved():
    weight = np.asarray([[1.0, 8.0, 2.0], [3.0, -4.0, 1.0]])
    wider, channels = split_channels(weight, 0.6)
    # 8 -> 4 and 4; then 4 in channel 1 again -> 2 and 2
    assert channels.tolist() == [0, 1, 2, 1, 1]
    assert wider.tolist() == [[1, 2, 2, 4, 2], [3, -1, 1, -2, -1]]


# Properties


@given(tensors, fractions)
def test_the_two_parts_add_up_and_do_not_overlap(x, fraction):
    dense, sparse = split_outliers(x, fraction)
    assert (dense + sparse == x).all()
    assert ((dense == 0) | (sparse == 0)).all()
    kept = np.abs(sparse[sparse != 0])
    assert kept.size == 0 or kept.min() >= np.abs(dense).max()


@given(tensors, fractions)
def test_numpy_and_torch_split_alike(x, fraction):
    for ours, theirs in zip(
        split_outliers(x, fraction), split_outliers(torch.from_numpy(x), fraction), strict=True
    ):
        assert (theirs.numpy() == ours).all()
    for ours, theirs in zip(
        split_channels(x, fraction, 0), split_channels(torch.from_numpy(x), fraction, 0), strict=True
    ):
        assert (theirs.numpy() == ours).all()


@given(tensors, fractions, st.integers(-1, 0))
def test_halves_add_up_to_the_channel_that_they_came_from(x, fraction, axis):
    wider, channels = split_channels(x, fraction, axis)
    assert np.abs(wider).max() <= np.abs(x).max()
    total = np.zeros(np.moveaxis(x, axis, 0).shape)
    np.add.at(total, channels, np.moveaxis(wider, axis, 0))
    assert np.moveaxis(total, 0, axis) == pytest.approx(x, rel=1e-6, abs=1e-40)


def test_taking_more_apart_never_hurts_the_rest():
    x = np.random.default_rng(0).standard_t(3, size=4000).astype(np.float32)
    sqnr = []
    for fraction in (0, 0.001, 0.01, 0.05):
        dense, sparse = split_outliers(x, fraction)
        sqnr.append(sqnr_db(x, int8(dense) + sparse))
    assert sqnr == sorted(sqnr)


# Independent oracles


def test_torch_topk_finds_the_same_values():
    x = torch.randn(500, generator=torch.Generator().manual_seed(0))
    _, sparse = split_outliers(x, 0.05)
    assert sorted(sparse.nonzero().flatten().tolist()) == sorted(x.abs().topk(25).indices.tolist())


@pytest.mark.parametrize("fraction", [0.1, 0.5, 1.0])
def test_a_convolution_with_split_channels_computes_the_same(fraction):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 6, 8, 8, generator=generator)
    weight = torch.randn(4, 6, 3, 3, generator=generator)
    wider, channels = split_channels(weight, fraction)
    expected = torch.nn.functional.conv2d(x, weight)
    assert torch.allclose(torch.nn.functional.conv2d(x[:, channels], wider), expected, atol=1e-5)


# Errors


@pytest.mark.parametrize("fraction", [-0.1, 1.1, float("nan")])
def test_a_share_out_of_range_is_refused(fraction):
    for split in (split_outliers, split_channels):
        with pytest.raises(SettingError) as error:
            split(np.ones((2, 2)), fraction)
        assert str(error.value) == f"fraction is {fraction!r}, but it is a share from 0 to 1; try 0.005."


@pytest.mark.parametrize("shape", [(4,), (0, 3)])
def test_a_weight_without_the_axis_is_refused(shape):
    with pytest.raises(ModelError) as error:
        split_channels(np.ones(shape), 0.5)
    assert str(error.value) == (
        f"A weight of shape {shape} has no values along axis 1 to split; choose another axis."
    )
