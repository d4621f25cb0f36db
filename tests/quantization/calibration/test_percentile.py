import contextlib
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from onnxruntime.quantization.calibrate import HistogramCollector

from course_lib.errors import SettingError
from course_lib.quantization.calibration import PercentileObserver
from course_lib.quantization.calibration.percentile import quantile

values = arrays(np.float32, st.integers(1, 200), elements=st.floats(-100, 100, width=32))


def observed(x, symmetric, percentile):
    observer = PercentileObserver(symmetric, percentile)
    for batch in np.array_split(x, 3):
        observer.observe(batch)
    return observer


# Worked by hand


def test_quantiles_by_hand():
    # 4 values below 1, 4 below 2, none below 3, 2 below 4
    counts, edges = np.asarray([4, 4, 0, 2]), np.arange(5.0)
    assert [quantile(counts, edges, share) for share in (0, 0.2, 0.4, 0.6, 0.8, 0.9, 1)] == pytest.approx(
        [0, 0.5, 1, 1.5, 2, 3.5, 4]
    )


def test_one_outlier_in_a_thousand_is_left_out():
    x = np.append(np.linspace(-0.1, 0.1, 999), 100.0)
    low, high = observed(x, False, 99.8).range()
    width = 100 / 1024
    assert -0.1 <= low <= 0 < high <= 0.1 + width
    assert observed(x, False, 100).range() == pytest.approx((-0.1, 100))


# Properties


@given(values)
def test_all_of_the_values_are_min_max(x):
    low, high = min(0.0, float(x.min())), max(0.0, float(x.max()))
    assert observed(x, False, 100).range() == (low, high)
    assert observed(x, True, 100).range() == (-max(-low, high), max(-low, high))


@given(values, st.floats(50.1, 100), st.booleans())
def test_keeping_fewer_values_never_widens_the_range(x, percentile, symmetric):
    low, high = observed(x, symmetric, percentile).range()
    lowest, highest = observed(x, symmetric, 100).range()
    assert lowest <= low <= 0 <= high <= highest


@given(values, st.floats(51, 100))
def test_at_least_this_share_lies_inside(x, percentile):
    observer = observed(x, True, percentile)
    _, edges = observer.histogram.arrays()
    top = observer.range()[1] + (edges[1] - edges[0])
    assert (np.abs(x) <= top).mean() >= percentile / 100 - 1e-9


# Independent oracles


@pytest.mark.parametrize("percentile", [60, 99, 99.9, 99.99])
@pytest.mark.parametrize("draw", ["normal", "laplace", "standard_exponential"])
def test_numpy_percentile_is_met_within_one_bin(percentile, draw):
    x = getattr(np.random.default_rng(0), draw)(size=100_000)
    observer = observed(x, False, percentile)
    _, edges = observer.histogram.arrays()
    outside = (100 - percentile) / 2
    expected = np.percentile(x, [outside, 100 - outside], method="inverted_cdf")
    assert np.abs(np.subtract(observer.range(), np.clip(expected, [-np.inf, 0], [0, np.inf]))).max() <= (
        edges[1] - edges[0]
    )
    top = np.percentile(np.abs(x), percentile, method="inverted_cdf")
    assert abs(observed(x, True, percentile).range()[1] - top) <= edges[1] - edges[0]


@pytest.mark.parametrize("symmetric", [True, False])
def test_onnx_runtime_finds_the_same_range(symmetric):
    x = np.random.default_rng(1).laplace(size=100_000).astype(np.float32)
    collector = HistogramCollector("percentile", symmetric, 2048, 128, 99.9, "same")
    with contextlib.redirect_stdout(io.StringIO()):
        collector.collect({"x": [x]})
        low, high, *_ = collector.compute_collection_result()["x"]
    ours = observed(x, symmetric, 99.9)
    width = max(np.diff(ours.histogram.arrays()[1])[0], np.diff(collector.histogram_dict["x"][1])[0])
    assert ours.range() == pytest.approx((float(low), float(high)), abs=2 * width)


# Errors


@pytest.mark.parametrize("percentile", [50, 100.1, 0, float("nan")])
def test_a_percentile_out_of_range_is_refused(percentile):
    with pytest.raises(SettingError) as error:
        PercentileObserver(True, percentile)
    assert str(error.value) == (
        f"percentile is {percentile!r}, but it is the share of values to keep, above 50 and at most 100; "
        "try 99.99."
    )
