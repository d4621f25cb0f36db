"""The advice by hand, its interval against drawn samples, its sentences and errors."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.errors import DataError, SettingError
from course_lib.quantization.models.advice import advise, advise_paired


def answers(images, lost, gained, both_wrong=0):
    before, after = np.ones(images, bool), np.ones(images, bool)
    after[:lost] = False
    before[lost : lost + gained] = False
    wrong = slice(lost + gained, lost + gained + both_wrong)
    before[wrong] = after[wrong] = False
    return before, after


def test_two_accuracies():
    enough, train = advise(0.934, 0.925), advise(0.934, 0.9)
    assert (enough.train, train.train) == (False, True)
    assert enough.text == "PTQ is enough: the drop of 0.900 points is within the 2.00 that are accepted."
    assert train.text == "Go to QAT: the drop of 3.40 points is more than the 2.00 that are accepted."
    assert enough.interval_pt is enough.sure is None


def test_the_threshold_itself_is_accepted():
    assert not advise(0.93, 0.91).train  # 0.93 - 0.91 is a hair more than 0.02
    assert advise(0.93, 0.9099).train
    assert advise(0.93, 0.925, threshold_pt=0.4).train
    assert not advise(0.9, 0.95, threshold_pt=0).train


def test_the_worked_example():
    advice = advise_paired(*answers(1000, 30, 6))
    assert advice.drop_pt == pytest.approx(2.4)
    assert advice.interval_pt == pytest.approx((1.2147, 3.5758), abs=1e-4)
    assert advice.train
    assert advice.sure is False
    assert advice.text == (
        "Go to QAT: the drop of 2.40 points is more than the 2.00 that are accepted. "
        "The 95 % interval, 1.21 to 3.58, holds the threshold: more images would tell."
    )


def test_sure_on_either_side():
    few, many = advise_paired(*answers(10_000, 30, 6)), advise_paired(*answers(1000, 100, 6))
    assert (few.train, few.sure) == (False, True)
    assert (many.train, many.sure) == (True, True)
    assert "interval" not in few.text + many.text


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 50), st.integers(1, 500), st.floats(0, 10))
def test_properties(lost, gained, both_wrong, both_right, threshold):
    before, after = answers(lost + gained + both_wrong + both_right, lost, gained, both_wrong)
    advice = advise_paired(before, after, threshold_pt=threshold)
    low, high = advice.interval_pt
    assert low < high
    assert advice.drop_pt == pytest.approx(100 * (before.mean() - after.mean()))
    plain = advise(before.mean(), after.mean(), threshold_pt=threshold)
    assert plain.train == advice.train
    swapped = advise_paired(after, before, threshold_pt=threshold)
    assert swapped.interval_pt == pytest.approx((-high, -low))
    order = np.random.default_rng(0).permutation(len(before))
    assert advise_paired(before[order], after[order], threshold_pt=threshold) == advice


@pytest.mark.parametrize(("lost", "gained"), [(0.02, 0.01), (0.1, 0.02), (0.005, 0.0)])
def test_the_interval_covers_the_true_drop_as_often_as_it_says(lost, gained):
    generator = np.random.default_rng(1)
    held = 0
    for counts in generator.multinomial(1000, [lost, gained, 1 - lost - gained], size=2000):
        low, high = advise_paired(*answers(1000, counts[0], counts[1])).interval_pt
        held += low <= 100 * (lost - gained) <= high
    assert 0.93 <= held / 2000 <= 0.995


@pytest.mark.parametrize("accuracy", [93.0, -0.1, math.nan])
def test_no_fraction(accuracy):
    with pytest.raises(SettingError, match=r"quantized_accuracy=.* is outside \[0, 1\]; pass a fraction"):
        advise(0.9, accuracy)


@pytest.mark.parametrize("threshold", [-1, math.nan, math.inf])
def test_no_threshold(threshold):
    with pytest.raises(SettingError, match=r"threshold_pt=.* is not possible; pass points of at least 0"):
        advise(0.9, 0.9, threshold_pt=threshold)


@pytest.mark.parametrize("shapes", [((3,), (4,)), ((0,), (0,)), ((2, 2), (2, 2))])
def test_answers_that_are_no_pairs(shapes):
    with pytest.raises(DataError, match="expected one truth value an image, of the same images for both"):
        advise_paired(*(np.ones(shape, bool) for shape in shapes))
