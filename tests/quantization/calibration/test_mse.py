import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate

from course_lib.errors import DataError, SettingError
from course_lib.quantization import choose_qparams_from_range, fake_quantize, sqnr_db
from course_lib.quantization.calibration import MSEObserver, StreamingHistogram, expected_squared_error

DRAWS = ["normal", "laplace", "standard_exponential"]


def observed(x, bits, symmetric):
    observer = MSEObserver(bits, symmetric)
    for batch in np.array_split(x, 3):
        observer.observe(batch)
    return observer


def draw(name, size=50_000, seed=0):
    return getattr(np.random.default_rng(seed), name)(size=size).astype(np.float32)


def squared_error(x, low, high, bits, symmetric):
    qparams = choose_qparams_from_range(float(low), float(high), bits, symmetric=symmetric)
    return float(np.mean((x - fake_quantize(x, qparams).astype(np.float64)) ** 2))


# Worked by hand


def test_one_bin_by_hand():
    # 2 bits, symmetric, t = 1: grid -1, 0, 1. A bin [0, 2) of even spread: rounding errors of 1/12 on [0, 1),
    # ∫ (t - 1)² dt = 1/3 on [1, 2), so the mean is (1/12 + 1/3) / 2 = 5/24.
    histogram = StreamingHistogram(4)
    histogram.add(np.asarray([1.0, 6.0]))
    assert [each.tolist() for each in histogram.arrays()] == [[1, 0, 0, 1], [0, 2, 4, 6, 8]]
    # the second value, in [6, 8): ∫ (t - 1)² dt / 2 = (7³ - 5³) / 6 = 109/3
    expected = (5 / 24 + 109 / 3) / 2
    assert expected_squared_error(histogram, -1.0, 1.0, 2, symmetric=True) == pytest.approx(expected)


def test_few_bits_clip_an_outlier_and_many_keep_it():
    x = np.append(np.tile(np.linspace(-1, 1, 2001), 10), 4.0)
    assert observed(x, 3, True).range()[1] < 1.5
    assert observed(x, 12, True).range()[1] > 3.9


# Properties


@given(
    st.lists(st.floats(-50, 50, width=32), min_size=1, max_size=30),
    st.integers(2, 16),
    st.booleans(),
)
def test_the_range_holds_zero_and_lies_within_the_extremes(values, bits, symmetric):
    x = np.asarray(values, np.float32)
    low, high = observed(x, bits, symmetric).range()
    reach = np.abs(x).max()
    lowest, highest = (-reach, reach) if symmetric else (min(x.min(), 0.0), max(x.max(), 0.0))
    assert lowest <= low <= 0 <= high <= highest


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("name", DRAWS)
def test_more_bits_never_narrow_the_range_much_and_never_raise_the_error(name, symmetric):
    x = draw(name)
    widths = (2, 3, 4, 6, 8)
    ranges = [observed(x, bits, symmetric).range() for bits in widths]
    errors = [squared_error(x, *bounds, bits, symmetric) for bounds, bits in zip(ranges, widths, strict=True)]
    assert errors == sorted(errors, reverse=True)
    assert [high for _, high in ranges] == sorted(high for _, high in ranges)


@pytest.mark.parametrize("bits", [2, 4, 8, 16])
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("name", DRAWS)
def test_the_error_is_never_above_that_of_min_max(name, bits, symmetric):
    x = draw(name)
    ours = squared_error(x, *observed(x, bits, symmetric).range(), bits, symmetric)
    assert ours <= squared_error(x, x.min(), x.max(), bits, symmetric) * 1.01


# Independent oracles


@pytest.mark.parametrize("bits", [2, 3, 5])
@pytest.mark.parametrize(("low", "high", "symmetric"), [(-0.7, 1.1, False), (-0.9, 0.9, True)])
def test_scipy_integrates_the_same_error(bits, low, high, symmetric):
    histogram = StreamingHistogram(4)
    histogram.add(np.asarray([-1.0, -0.3, 0.2, 0.7, 0.7]))
    counts, edges = histogram.arrays()
    qparams = choose_qparams_from_range(low, high, bits, symmetric=symmetric)

    def error(x):
        return float((x - fake_quantize(np.asarray(x), qparams)) ** 2)

    steps = np.arange(-64, 64) * 0.5 * float(qparams.scale)
    expected = 0.0
    for count, left, right in zip(counts, edges, edges[1:], strict=False):
        breaks = [point for point in steps if left < point < right]
        expected += count * integrate.quad(error, left, right, points=breaks or None, limit=500)[0]
    expected /= (edges[1] - edges[0]) * counts.sum()
    ours = expected_squared_error(histogram, low, high, bits, symmetric=symmetric)
    assert ours == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("name", DRAWS)
def test_the_expected_error_is_that_of_the_values(name, bits):
    x = draw(name)
    histogram = StreamingHistogram()
    histogram.add(x)
    for share in (0.3, 0.6, 1.0):
        low, high = share * x.min(), share * x.max()
        ours = expected_squared_error(histogram, low, high, bits, symmetric=False)
        assert ours == pytest.approx(squared_error(x, low, high, bits, False), rel=0.03)


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("name", DRAWS)
def test_no_symmetric_range_is_better_than_one_per_cent(name, bits):
    x = draw(name, 20_000)
    errors = [squared_error(x, -t, t, bits, True) for t in np.linspace(0.005, 1, 200) * np.abs(x).max()]
    low, high = observed(x, bits, True).range()
    assert low == -high
    assert squared_error(x, low, high, bits, True) <= 1.01 * min(errors)


@pytest.mark.parametrize("bits", [2, 4])
@pytest.mark.parametrize("name", DRAWS)
def test_no_asymmetric_range_is_better_than_three_per_cent(name, bits):
    x = draw(name, 5_000)
    lows, highs = (np.linspace(0, 1, 41) * end for end in (min(x.min(), 0), max(x.max(), 0)))
    errors = [squared_error(x, low, high, bits, False) for low in np.unique(lows) for high in highs[1:]]
    assert squared_error(x, *observed(x, bits, False).range(), bits, False) <= 1.03 * min(errors)


def test_a_bell_at_four_bits_gains_four_decibels():
    x = draw("normal", 200_000)
    qparams = choose_qparams_from_range(*observed(x, 4, True).range(), 4, symmetric=True)
    # 4.7 standard deviations are the extremes; theory (Max 1960) puts the best even steps at 20.2 dB for 16
    # levels, and this grid has 15
    assert 18 < sqnr_db(x, fake_quantize(x, qparams)) < 20.2


# Errors


def test_what_counts_little_is_clipped():
    x = np.linspace(-4, 1, 2001)
    even, weighed = MSEObserver(4, False), MSEObserver(4, False)
    even.observe(x)
    weighed.observe(x, weights=np.where(x < -1, 0.0, 1.0))
    assert even.range()[0] < -3
    low, high = weighed.range()
    assert low == pytest.approx(-1, abs=0.1)
    assert high == pytest.approx(1, abs=0.15)


def test_no_data_and_bits_out_of_range_are_refused():
    with pytest.raises(DataError, match="No calibration data was observed"):
        MSEObserver(8, True).range()
    with pytest.raises(SettingError, match="bits is 1, but quantization takes"):
        MSEObserver(1, True)
