import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy.cluster.vq import kmeans2, vq

from course_lib.errors import ModelError, SettingError
from course_lib.quantization import PerTensor, QParams, choose_qparams, encoded_sizes, fake_quantize
from course_lib.quantization.codebook import build_codebook, codebook_size_bytes, from_codebook, kmeans_line

shapes = array_shapes(min_dims=1, max_dims=3, max_side=6)
thousandths = arrays(np.int32, shapes, elements=st.integers(-100_000, 100_000))
tensors = thousandths.map(lambda values: (values / 1000).astype(np.float32))
bit_widths = st.integers(1, 5)


def distortion(x, codebook):
    return float(((x.astype(np.float64) - from_codebook(codebook)) ** 2).sum())


def best_distortion(x, count):
    """Return the smallest Σ (x − mean)² of all ways to cut the sorted values into ``count`` runs."""
    ordered = np.sort(x.astype(np.float64))
    return min(
        sum(((run - run.mean()) ** 2).sum() for run in np.split(ordered, cuts))
        for cuts in itertools.combinations(range(1, ordered.size), count - 1)
    )


# Worked by hand


def test_the_worked_example():
    x = np.asarray([0, 1, 2, 9], np.float32)
    codebook = build_codebook(x, 1)
    assert codebook.centroids.tolist() == [1, 9]
    assert codebook.codes.tolist() == [0, 0, 0, 1]
    assert from_codebook(codebook).tolist() == [1, 1, 1, 9]
    assert distortion(x, codebook) == 2
    assert codebook_size_bytes(codebook, huffman=False) == 2 * 4 + 1


def test_kept_zeros_have_code_zero():
    x = np.asarray([[0, 4, 0], [5, -1, -2]], np.float32)
    codebook = build_codebook(x, 2, keep_zeros=True)
    # Centroids start at [-2, 1.5, 5]: the middle one gets no value of {-2, -1, 4, 5}, and stays.
    assert codebook.centroids.tolist() == [0, -1.5, 1.5, 4.5]
    assert codebook.codes.tolist() == [[0, 3, 0], [3, 1, 1]]


def test_all_zero_and_all_equal_values_are_exact():
    for x in (np.zeros(5, np.float32), np.full(5, 0.1, np.float32)):
        for keep_zeros in (False, True):
            assert np.array_equal(from_codebook(build_codebook(x, 3, keep_zeros=keep_zeros)), x)


def test_huffman_size_by_hand():
    # Codes 0 to 3 occur 12, 2, 1, 1 times: 12 + 4 + 3 + 3 = 22 bits, 3 bytes, and a table of 4
    x = np.repeat(np.asarray([0, 1, 2, 3], np.float32), [12, 2, 1, 1])
    codebook = build_codebook(x, 2)
    assert codebook_size_bytes(codebook, huffman=True) == 4 * 4 + 3 + 4
    assert codebook_size_bytes(codebook, huffman=False) == 4 * 4 + 4


# Properties


@given(tensors, bit_widths, st.booleans())
def test_each_value_has_its_nearest_centroid(x, bits, keep_zeros):
    codebook = build_codebook(x, bits, keep_zeros=keep_zeros)
    assert (codebook.centroids.size, codebook.codes.shape) == (2**bits, x.shape)
    assert (codebook.centroids.dtype, codebook.codes.dtype, codebook.bits) == (np.float32, np.int32, bits)
    values = from_codebook(codebook)
    if keep_zeros:
        assert (values[x == 0] == 0).all()
        assert (codebook.codes[x != 0] > 0).all()
    free = x[x != 0] if keep_zeros else x.reshape(-1)
    centroids = codebook.centroids[1:] if keep_zeros else codebook.centroids
    distances = np.abs(free[:, None].astype(np.float64) - centroids)
    error = np.abs(free - (values[x != 0] if keep_zeros else values.reshape(-1)).astype(np.float64))
    assert error == pytest.approx(distances.min(axis=1), abs=1e-12)


@given(tensors, bit_widths)
def test_the_codebook_is_no_worse_than_the_even_grid_it_started_from(x, bits):
    start = np.linspace(x.min(), x.max(), 2**bits, dtype=np.float64)
    even = (np.abs(x[..., None].astype(np.float64) - start).min(axis=-1) ** 2).sum()
    assert distortion(x, build_codebook(x, bits)) <= even * (1 + 1e-5) + 1e-6


@given(tensors, bit_widths)
def test_centroids_ascend_and_lie_within_the_values(x, bits):
    centroids = kmeans_line(x.reshape(-1), 2**bits)
    assert (np.diff(centroids) >= 0).all()
    slack = 1e-4
    assert x.min() - slack <= centroids[0]
    assert centroids[-1] <= x.max() + slack


def test_as_many_centroids_as_evenly_spaced_values_are_exact():
    x = np.arange(16, dtype=np.float32)
    assert np.array_equal(from_codebook(build_codebook(x, 4)), x)


# Independent oracles


def test_scipy_finds_the_same_centroids_from_the_same_start():
    x = np.random.default_rng(0).normal(size=5000).astype(np.float32)
    codebook = build_codebook(x, 3)
    start = np.linspace(x.min(), x.max(), 8, dtype=np.float64)
    centroids, _ = kmeans2(x.astype(np.float64)[:, None], start[:, None], iter=300, minit="matrix")
    assert codebook.centroids == pytest.approx(centroids[:, 0], abs=1e-6)
    codes, _ = vq(x.astype(np.float64)[:, None], codebook.centroids.astype(np.float64)[:, None])
    assert np.array_equal(codebook.codes, codes)


def test_two_clear_clusters_are_found_as_by_trying_every_cut():
    rng = np.random.default_rng(1)
    for _ in range(20):
        x = np.concatenate([rng.normal(-3, 0.3, 6), rng.normal(2, 0.3, 5)]).astype(np.float32)
        assert distortion(x, build_codebook(x, 1)) == pytest.approx(best_distortion(x, 2), rel=1e-5)


def test_bell_shaped_weights_lose_less_than_on_the_even_grid():
    x = np.random.default_rng(2).normal(size=10_000).astype(np.float32)
    qparams = choose_qparams(x, 4, symmetric=False, granularity=PerTensor())
    on_grid = float(((x - fake_quantize(x, qparams)) ** 2).sum())
    assert distortion(x, build_codebook(x, 4)) < 0.6 * on_grid


def test_pruned_codes_can_be_stored_by_position():
    x = np.random.default_rng(3).normal(size=4000).astype(np.float32)
    x[np.abs(x) < 1.5] = 0
    codebook = build_codebook(x, 4, keep_zeros=True)
    grid = QParams(np.ones(1, np.float32), np.zeros(1, np.int32), 0, 15)
    assert encoded_sizes(codebook.codes, grid)["bitmap"] < codebook_size_bytes(codebook, huffman=False)
    assert codebook_size_bytes(codebook, huffman=True) < codebook_size_bytes(codebook, huffman=False)


# Errors


@pytest.mark.parametrize("bits", [0, 13, 2.5])
def test_a_width_out_of_range_is_refused(bits):
    with pytest.raises(SettingError) as error:
        build_codebook(np.ones(3, np.float32), bits)
    assert str(error.value) == (
        f"bits is {bits!r}, but a codebook takes a whole number from 1 to 12; try bits=4, which shares 16 "
        "values."
    )


@pytest.mark.parametrize("values", [[], [1.0, np.nan], [np.inf]])
def test_values_that_cannot_be_clustered_are_refused(values):
    with pytest.raises(ModelError) as error:
        build_codebook(np.asarray(values, np.float32), 4)
    assert str(error.value) == (
        f"These {len(values)} values cannot be clustered: at least one is needed, and none may be NaN or "
        "infinite; repair them first, for example with numpy.nan_to_num."
    )
