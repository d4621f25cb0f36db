import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from course_lib.errors import DataError, ModelError, SettingError
from course_lib.quantization.calibration import StreamingHistogram

values = arrays(
    np.float32,
    st.integers(1, 60),
    elements=st.floats(-1e6, 1e6, width=32)
    | st.floats(-(2.0**-126), 2.0**-126, width=32)
    | st.floats(-(2.0**126), 2.0**126, width=32),
)


def histogram_of(*batches, bins=2048):
    histogram = StreamingHistogram(bins)
    for batch in batches:
        histogram.add(np.asarray(batch, np.float32))
    return histogram


# Worked by hand


def test_the_worked_example():
    histogram = histogram_of([0.0, 0.5, 0.9], bins=4)
    assert [each.tolist() for each in histogram.arrays()] == [[1, 0, 1, 1], [0, 0.25, 0.5, 0.75, 1]]
    histogram.add(np.asarray([1.6]))
    assert [each.tolist() for each in histogram.arrays()] == [[1, 2, 0, 1], [0, 0.5, 1, 1.5, 2]]
    assert (histogram.lowest, histogram.highest) == (0.0, 1.6)
    assert (histogram.total, histogram.zeros) == (4, 1)


def test_a_negative_value_moves_the_first_bin():
    histogram = histogram_of([0.5, 3.0], [-1.0], bins=4)
    assert [each.tolist() for each in histogram.arrays()] == [[1, 1, 1], [-2, 0, 2, 4]]
    assert [each.tolist() for each in histogram.magnitudes()] == [[2, 1], [0, 2, 4]]


def test_values_far_from_zero_keep_the_bins_from_zero_on():
    counts, edges = histogram_of([5.0, 5.5, 7.0], bins=8).arrays()
    assert counts.tolist() == [0, 0, 0, 0, 0, 2, 0, 1]
    assert edges.tolist() == list(range(9))


def test_zeros_can_be_left_out():
    histogram = histogram_of([0.0, -0.0, 0.1, -1.0], bins=4)
    assert histogram.arrays()[0].tolist() == [1, 0, 3]
    assert histogram.arrays(with_zeros=False)[0].tolist() == [1, 0, 1]
    assert histogram.magnitudes(with_zeros=False)[0].tolist() == [1, 1]


def test_bounds_are_cut_to_the_values_and_hold_zero():
    histogram = histogram_of([-1.0, 3.0])
    assert histogram.bounds(-4.0, 4.0, symmetric=False) == (-1, 3)
    assert histogram.bounds(0.5, -0.5, symmetric=False) == (0, 0)
    assert histogram.bounds(0.0, 2.0, symmetric=True) == (-2, 2)
    assert histogram.bounds(0.0, 4.0, symmetric=True) == (-3, 3)


# Properties


@given(values, st.randoms(use_true_random=False), st.sampled_from([2, 16, 2048]))
def test_neither_order_nor_batches_change_the_counts(x, random, bins):
    at_once = histogram_of(x, bins=bins)
    shuffled = random.sample(list(x), len(x))
    in_parts = histogram_of(*np.array_split(np.asarray(shuffled), 5), bins=bins)
    for ours, theirs in zip(at_once.arrays(), in_parts.arrays(), strict=True):
        assert (ours == theirs).all()
    assert at_once.zeros == in_parts.zeros


@given(values, st.sampled_from([2, 7, 2048]))
def test_every_value_is_counted_once_in_its_bin(x, bins):
    counts, edges = histogram_of(x, x, bins=bins).arrays()
    assert counts.size <= bins
    assert counts.sum() == 2 * x.size
    for count, left, right in zip(counts, edges, edges[1:], strict=False):
        assert count == 2 * ((left <= x) & (x < right)).sum()


@given(values)
def test_the_bins_are_as_narrow_as_their_number_allows(x):
    _, edges = histogram_of(x, bins=64).arrays()
    width = edges[1] - edges[0]
    span = max(float(x.max()), 0.0) - min(float(x.min()), 0.0)
    assert width <= max(span / 31, 2.0**-149)
    assert 0.0 in edges


@given(values)
def test_magnitudes_are_those_of_the_absolute_values(x):
    counts, edges = histogram_of(x).magnitudes()
    expected = np.histogram(np.abs(x), edges)[0]
    on_an_edge = np.isin(np.abs(x[x < 0]), edges).sum()
    assert counts.sum() == expected.sum() == x.size
    assert np.abs(counts - expected).sum() <= 2 * on_an_edge


def test_memory_does_not_grow_with_the_data():
    histogram = StreamingHistogram()
    rng = np.random.default_rng(0)
    sizes = []
    for power in range(12):
        histogram.add(rng.normal(size=1000) * 2.0**power)
        sizes.append(sum(sys.getsizeof(part) for part in vars(histogram).values()))
    assert max(sizes) <= 8 * 2048 + 512
    assert sizes[-1] <= sizes[0] + 64


# Independent oracle


@pytest.mark.parametrize("bins", [100, 2048])
def test_numpy_counts_the_same_on_our_edges(bins):
    x = np.random.default_rng(bins).standard_t(3, size=200_000).astype(np.float32)
    counts, edges = histogram_of(*np.array_split(x, 7), bins=bins).arrays()
    expected, _ = np.histogram(x, edges)
    assert (counts == expected).all()


def test_torch_and_numpy_agree():
    x = np.random.default_rng(0).normal(size=(4, 5, 6)).astype(np.float32)
    ours, theirs = histogram_of(x), StreamingHistogram()
    theirs.add(torch.from_numpy(x))
    assert (ours.arrays()[0] == theirs.arrays()[0]).all()


# Errors


def test_weights_count_instead_of_ones():
    histogram = StreamingHistogram(4)
    histogram.add([0.0, 0.5, 0.9], weights=[1.0, 0.25, 2.0])
    counts, edges = histogram.arrays()
    assert counts.tolist() == [1.0, 0.0, 0.25, 2.0]
    assert edges.tolist() == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert (histogram.total, histogram.zeros) == (3.25, 1.0)
    assert histogram.arrays(with_zeros=False)[0].tolist() == [0.0, 0.0, 0.25, 2.0]


@given(arrays(np.float32, st.integers(1, 50), elements=st.floats(-8, 8, width=32)), st.integers(1, 5))
def test_a_weight_of_n_counts_like_n_values(x, n):
    weighed, repeated = StreamingHistogram(16), StreamingHistogram(16)
    weighed.add(x, weights=np.full(x.shape, n))
    repeated.add(np.repeat(x, n))
    np.testing.assert_array_equal(weighed.arrays()[0], repeated.arrays()[0])
    np.testing.assert_array_equal(weighed.magnitudes()[0], repeated.magnitudes()[0])


def test_nothing_counted_is_refused():
    histogram = histogram_of([])
    for read in (histogram.arrays, histogram.magnitudes):
        with pytest.raises(DataError, match="No calibration data was observed"):
            read()
    assert histogram.warning() is None


def test_a_refused_batch_leaves_the_counts_alone():
    histogram = histogram_of([1.0, 2.0])
    with pytest.raises(ModelError, match=r"^1 of these 2 activations"):
        histogram.add(np.asarray([np.nan, 100.0]))
    assert histogram.total == 2
    assert histogram.highest == 2


@pytest.mark.parametrize("bins", [1, 0, 2.5])
def test_too_few_bins_are_refused(bins):
    with pytest.raises(SettingError) as error:
        StreamingHistogram(bins)
    assert str(error.value) == f"A histogram of {bins!r} bins cannot be kept; choose 2 or more, such as 2048."
