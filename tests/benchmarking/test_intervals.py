import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from course_lib.benchmarking.intervals import Interval, median_interval, proportion_interval, ratio_interval
from course_lib.errors import MeasurementError, SettingError

POSITIVE = st.floats(0.01, 1000)
PAIRS = st.lists(st.tuples(POSITIVE, POSITIVE), min_size=1, max_size=40)


def test_an_interval_unpacks_and_answers_in() -> None:
    interval = Interval(1.0, 4.0, 0.95)
    low, high = interval
    assert (low, high, interval.half_width) == (1.0, 4.0, 1.5)
    assert 1.0 in interval
    assert 4.1 not in interval
    assert interval.text() == "1.00–4.00"


def test_proportion_by_hand() -> None:
    # p = 0.9, n = 100, z = 1.96: centre (0.9 + 0.0192)/1.0384, spread 1.96·√(0.0009 + 0.000096)/1.0384.
    low, high = proportion_interval(90, 100)
    assert low == pytest.approx(0.8256, abs=5e-5)
    assert high == pytest.approx(0.9448, abs=5e-5)


def test_all_or_none_still_has_a_width() -> None:
    assert proportion_interval(10, 10) == Interval(pytest.approx(0.7225, abs=5e-5), 1.0, 0.95)
    assert proportion_interval(0, 10).low == 0.0


@given(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_proportion_holds_its_estimate_and_mirrors(counts: tuple[int, int]) -> None:
    successes, total = counts
    interval, mirrored = proportion_interval(successes, total), proportion_interval(total - successes, total)
    assert 0 <= interval.low <= successes / total <= interval.high <= 1
    assert interval.low == pytest.approx(1 - mirrored.high, abs=1e-12)


@given(
    st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.floats(0.5, 0.999)
)
def test_proportion_agrees_with_scipy(counts: tuple[int, int], confidence: float) -> None:
    oracle = stats.binomtest(*counts).proportion_ci(confidence, method="wilson")
    assert tuple(proportion_interval(*counts, confidence)) == pytest.approx(
        (oracle.low, oracle.high), abs=1e-9
    )


def test_median_by_hand() -> None:
    # Ten samples: P(Bin(10, ½) ≤ 1) = 11/1024 ≤ 2.5 % but P(≤ 2) = 56/1024 is more, so the 2nd and 9th.
    assert median_interval(range(10, 0, -1)) == Interval(2.0, 9.0, 0.95)
    assert median_interval(range(6)) == Interval(0.0, 5.0, 0.95)


def test_too_few_samples_say_what_their_range_reaches() -> None:
    assert median_interval([3.0, 1.0, 2.0]) == Interval(1.0, 3.0, 0.75)
    assert median_interval([7.0]) == Interval(7.0, 7.0, 0.0)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=80))
def test_median_interval_holds_the_median_and_ignores_order(samples: list[float]) -> None:
    interval = median_interval(samples)
    assert interval.low <= np.median(samples) <= interval.high
    assert median_interval(samples[::-1]) == interval


@given(st.integers(1, 400), st.floats(0.5, 0.999))
def test_median_ranks_agree_with_scipy(count: int, confidence: float) -> None:
    low, high = median_interval(np.arange(1, count + 1), confidence)
    tail = stats.binom.cdf(np.arange(count), count, 0.5)
    expected = max(1, int(np.sum(tail <= (1 - confidence) / 2)))
    assert (low, high) == (expected, count + 1 - expected)


def test_ratio_of_a_constant_pair_is_that_constant() -> None:
    assert ratio_interval([2.0] * 8, [4.0] * 8) == Interval(0.5, 0.5, 0.95)


def test_ratio_of_few_pairs_is_their_range() -> None:
    assert ratio_interval([1.0, 6.0], [2.0, 3.0]) == Interval(0.5, 2.0, 0.5)


def test_a_slow_spell_of_the_machine_cancels() -> None:
    drift = np.exp(np.random.default_rng(0).normal(0, 1, 60))
    interval = ratio_interval(3 * drift, 2 * drift)
    assert interval.half_width < 1e-12
    assert interval.low == pytest.approx(1.5)


@settings(deadline=None, max_examples=50)
@given(PAIRS, st.floats(0.1, 10))
def test_ratio_scales_and_stays_inside_the_single_ratios(
    pairs: list[tuple[float, float]], factor: float
) -> None:
    top, bottom = np.array(pairs).T
    interval, scaled = ratio_interval(top, bottom), ratio_interval(factor * top, bottom)
    assert (top / bottom).min() * (1 - 1e-9) <= interval.low <= interval.high
    assert interval.high <= (top / bottom).max() * (1 + 1e-9)
    assert tuple(scaled) == pytest.approx([factor * end for end in interval], rel=1e-9)


def test_ratio_agrees_with_the_bootstrap_of_scipy() -> None:
    generator = np.random.default_rng(3)
    common = generator.lognormal(0, 0.3, 61)
    top, bottom = 2 * common * generator.lognormal(0, 0.1, 61), common * generator.lognormal(0, 0.1, 61)
    oracle = stats.bootstrap(
        (top, bottom),
        lambda a, b, axis: np.median(a, axis=axis) / np.median(b, axis=axis),
        paired=True,
        vectorized=True,
        method="percentile",
        n_resamples=20_000,
        rng=generator,
    ).confidence_interval
    assert tuple(ratio_interval(top, bottom, resamples=20_000)) == pytest.approx(tuple(oracle), rel=0.01)


def test_ratio_repeats_with_its_seed_only() -> None:
    generator = np.random.default_rng(0)
    top, bottom = generator.lognormal(size=(2, 40))
    assert ratio_interval(top, bottom, seed=1) == ratio_interval(top, bottom, seed=1)
    assert ratio_interval(top, bottom, seed=1) != ratio_interval(top, bottom, seed=2)


def test_both_sample_intervals_cover_the_truth_as_often_as_they_say() -> None:
    generator = np.random.default_rng(5)
    median_hits, ratio_hits = 0, 0
    for seed in range(400):
        common, own, other = generator.lognormal(0, 0.4, (3, 30))
        median_hits += 1.0 in median_interval(own)
        ratio_hits += 1.0 in ratio_interval(common * own, common * other, seed=seed, resamples=400)
    assert 0.93 <= median_hits / 400 <= 0.99
    assert 0.93 <= ratio_hits / 400 <= 0.995


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(SettingError, match=r"^successes=5 is more than total=3: pass successes first"):
        proportion_interval(5, 3)
    with pytest.raises(SettingError, match=r"^total=0 is not possible here"):
        proportion_interval(0, 0)
    with pytest.raises(
        SettingError, match=r"^confidence=95 is outside \(0, 1\): pass a fraction such as 0.95.$"
    ):
        median_interval([1.0], confidence=95)


def test_unusable_samples_are_refused() -> None:
    with pytest.raises(MeasurementError, match=r"^samples must be a list of at least one finite number"):
        median_interval([])
    with pytest.raises(MeasurementError, match=r"values that are not finite"):
        median_interval([1.0, float("nan")])
    with pytest.raises(MeasurementError, match=r"needs pairs but got 2 numerator and 1 denominator samples"):
        ratio_interval([1.0, 2.0], [1.0])
    with pytest.raises(MeasurementError, match=r"got a sample of zero or less"):
        ratio_interval([1.0], [0.0])
