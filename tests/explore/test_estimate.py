import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.errors import ModelError
from course_lib.explore.estimate import StratifiedTestSet, signed_margins


def make_images(count: int = 2000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Scores of a model that is right on about nine images in ten, and the labels."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 10, count)
    scores = generator.normal(size=(count, 10)).astype(np.float32)
    scores[np.arange(count), labels] += 3.2
    return scores, labels


def test_signed_margin_worked_by_hand():
    scores = np.array([[2.0, 5.0, 1.0], [4.0, 0.0, 3.5]], np.float32)
    np.testing.assert_allclose(signed_margins(scores, np.array([1, 2])), [3.0, -0.5])


def test_worked_example_of_two_strata():
    # Classes 0 and 1, all right with equal margins, ten images each; the cuts give 1 + 2 + 7 a class.
    labels = np.repeat([0, 1], 10)
    scores = np.eye(2, dtype=np.float32)[labels] * 4
    images = StratifiedTestSet(scores, labels, first=12)
    assert [len(stratum) for stratum in images.strata] == [1, 2, 7, 1, 2, 7]
    # 12 · (0.05, 0.1, 0.35) a class, but at least two where there are two: 1 + 2 + 4.
    assert images.first == 14
    order = images.draw_order(np.random.default_rng(0))
    estimate = images.estimate(order, labels[order] == 0)
    assert (estimate.value, estimate.low, estimate.high) == (0.5, 0.5, 0.5)
    assert estimate.exact


@given(st.integers(50, 1500), st.integers(0, 2**32 - 1))
def test_every_order_holds_each_image_once(first: int, seed: int):
    images = StratifiedTestSet(*make_images(), first)
    order = images.draw_order(np.random.default_rng(seed))
    assert np.array_equal(np.sort(order), np.arange(2000))
    assert images.first == pytest.approx(first, abs=80)
    sample = order[: images.first]
    assert all(np.isin(stratum, sample).sum() >= min(2, len(stratum)) for stratum in images.strata)


def test_the_estimate_is_unbiased_and_its_interval_covers():
    scores, labels = make_images()
    images = StratifiedTestSet(scores, labels, first=300)
    generator = np.random.default_rng(1)
    noisy = scores + generator.normal(scale=2.0, size=scores.shape).astype(np.float32)
    correct = noisy.argmax(1) == labels
    truth = correct.mean()
    values, held = [], []
    for _ in range(400):
        order = images.draw_order(generator)[: images.first]
        estimate = images.estimate(order, correct[order])
        values.append(estimate.value)
        held.append(estimate.low <= truth <= estimate.high)
    standard_error = np.std(values) / np.sqrt(len(values))
    assert abs(np.mean(values) - truth) < 4 * standard_error
    assert 0.91 <= np.mean(held) <= 1.0


def test_stratifying_beats_a_simple_random_sample():
    scores, labels = make_images()
    images = StratifiedTestSet(scores, labels, first=300)
    generator = np.random.default_rng(2)
    correct = (scores + generator.normal(scale=0.7, size=scores.shape)).argmax(1) == labels
    stratified, simple = [], []
    for _ in range(200):
        order = images.draw_order(generator)[: images.first]
        stratified.append(images.estimate(order, correct[order]).value)
        simple.append(correct[generator.choice(2000, 300, replace=False)].mean())
    assert np.std(stratified) < 0.7 * np.std(simple)


def test_all_images_seen_is_exact():
    scores, labels = make_images(300)
    images = StratifiedTestSet(scores, labels, first=50)
    order = images.draw_order(np.random.default_rng(0))
    correct = scores.argmax(1) == labels
    estimate = images.estimate(order, correct[order])
    assert estimate.exact
    assert estimate.value == estimate.low == estimate.high == pytest.approx(correct.mean())


def test_a_unanimous_sample_leaves_some_doubt():
    scores, labels = make_images()
    images = StratifiedTestSet(scores, labels, first=300)
    sample = images.draw_order(np.random.default_rng(0))[: images.first]
    for answer in (True, False):
        estimate = images.estimate(sample, np.full(len(sample), answer))
        assert 0.0 <= estimate.low <= estimate.value <= estimate.high <= 1.0
        assert estimate.low < estimate.high


def test_an_output_without_one_row_an_image_is_refused():
    with pytest.raises(ModelError, match=r"shape \(3, 10\) for 4 images; expected one score a class"):
        StratifiedTestSet(np.zeros((3, 10), np.float32), np.zeros(4, np.int64), first=2)
