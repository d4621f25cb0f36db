import contextlib
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from onnxruntime.quantization.calibrate import HistogramCollector
from scipy import stats

from course_lib.errors import DataError, SettingError
from course_lib.quantization.calibration import EntropyObserver, kl_divergences

histograms = arrays(np.int64, st.integers(4, 40), elements=st.integers(0, 5)).filter(
    lambda counts: counts.any()
)


def observed(x, bits, symmetric):
    observer = EntropyObserver(bits, symmetric)
    for batch in np.array_split(x, 3):
        observer.observe(batch)
    return observer


def draw(name, size=100_000, seed=0):
    return getattr(np.random.default_rng(seed), name)(size=size).astype(np.float32)


def divergence_step_by_step(counts, first, last, levels):
    """Build P and Q bin by bin, as Migacz's pseudocode does, and let scipy compare them."""
    inside = counts[first:last].astype(float)
    p = inside.copy()
    p[0] += counts[:first].sum()
    p[-1] += counts[last:].sum()
    q = np.zeros_like(p)
    for level in range(levels):
        run = slice(level * p.size // levels, (level + 1) * p.size // levels)
        if (p[run] > 0).any():
            q[run] = np.where(p[run] > 0, inside[run].sum() / (p[run] > 0).sum(), 0)
    return stats.entropy(p, q) if inside.any() else np.inf


# Worked by hand


def test_the_worked_example():
    counts = np.asarray([4, 2, 1, 1])
    ours = kl_divergences(counts, np.asarray([0, 0, 0]), np.asarray([4, 2, 1]), 2)
    whole = 0.5 * np.log(4 / 3) + 0.25 * np.log(2 / 3)
    half = 0.5 * np.log(0.5 * 6 / 4) + 0.5 * np.log(0.5 * 6 / 2)
    assert ours[:2] == pytest.approx([whole, half])
    assert ours[:2] == pytest.approx([0.0425, 0.0589], abs=1e-4)
    assert ours[2] == np.inf  # fewer bins than levels


def test_a_long_thin_tail_is_cut_at_few_bits():
    x = np.append(draw("normal"), np.linspace(5, 60, 50)).astype(np.float32)
    assert 2 < observed(x, 4, True).range()[1] < 20
    low, high = observed(x, 4, False).range()
    assert -5 <= low < -2
    assert 2 < high < 20


# Properties


@given(histograms, st.integers(2, 4), st.data())
def test_scipy_finds_the_same_divergence(counts, levels, data):
    first = data.draw(st.integers(0, counts.size - levels))
    last = data.draw(st.integers(first + levels, counts.size))
    ours = kl_divergences(counts, np.asarray([first]), np.asarray([last]), levels)
    assert ours[0] == pytest.approx(divergence_step_by_step(counts, first, last, levels), abs=1e-12)


@given(histograms, st.integers(2, 4))
def test_a_divergence_is_never_negative(counts, levels):
    lasts = np.arange(levels, counts.size + 1)
    assert (kl_divergences(counts, np.zeros_like(lasts), lasts, levels) >= -1e-12).all()


@given(arrays(np.float32, st.integers(1, 50), elements=st.floats(-9, 9, width=32)), st.booleans())
def test_the_range_holds_zero_and_lies_within_the_extremes(x, symmetric):
    low, high = observed(x, 8, symmetric).range()
    reach = np.abs(x).max()
    lowest, highest = (-reach, reach) if symmetric else (min(x.min(), 0.0), max(x.max(), 0.0))
    assert lowest <= low <= 0 <= high <= highest


def test_zeros_change_nothing():
    x = draw("normal")
    with_zeros = np.concatenate([x, np.zeros(10 * x.size, np.float32)])
    for symmetric in (True, False):
        assert observed(with_zeros, 8, symmetric).range() == observed(x, 8, symmetric).range()


@pytest.mark.parametrize("symmetric", [True, False])
def test_a_grid_finer_than_the_histogram_keeps_the_extremes(symmetric):
    x = draw("normal", 1000)
    low, high = observed(x, 16, symmetric).range()
    assert max(-low, high) == np.abs(x).max()


# Independent oracles


@pytest.mark.parametrize("name", ["normal", "laplace", "standard_exponential"])
@pytest.mark.parametrize("bits", [4, 8])
def test_no_symmetric_range_is_better_than_two_per_cent(name, bits):
    observer = observed(draw(name), bits, True)
    counts, edges = observer.histogram.magnitudes(with_zeros=False)
    levels = 2 ** (bits - 1)
    lasts = np.arange(levels, counts.size + 1)
    all_of_them = kl_divergences(counts, np.zeros_like(lasts), lasts, levels)
    chosen = np.searchsorted(edges, observer.range()[1])
    assert all_of_them[chosen - levels] <= 1.02 * all_of_them.min()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["normal", "laplace"])
def test_onnx_runtime_finds_a_similar_range(name):
    x = draw(name, 200_000)
    collector = HistogramCollector("entropy", True, 2048, 256, 99.99, "same")
    with contextlib.redirect_stdout(io.StringIO()):
        collector.collect({"x": [x]})
        _, theirs, _, _ = collector.compute_collection_result()["x"]
    # its last run takes up the bins that do not divide evenly, and the divergence is flat near its least
    assert observed(x, 8, True).range()[1] == pytest.approx(float(theirs), rel=0.15)


# Errors


def test_no_data_and_bits_out_of_range_are_refused():
    with pytest.raises(DataError, match="No calibration data was observed"):
        EntropyObserver(8, True).range()
    with pytest.raises(SettingError, match="bits is 20, but quantization takes"):
        EntropyObserver(20, False)
