import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import special, stats

from course_lib.distillation.ranges import HIGHEST, LOWEST
from course_lib.distillation.response import soft_loss
from course_lib.errors import SettingError
from course_lib.explore.soft_targets import divergence_nats, entropy_bits, log_soft_targets, soft_targets

SCORES = arrays(np.float64, st.tuples(st.integers(1, 5), st.integers(2, 12)), elements=st.floats(-60, 60))
TEMPERATURE = st.floats(0.5, 20)
RANDOM = np.random.default_rng(1).normal(0, 5, (50, 10))


def test_the_worked_example() -> None:
    scores = np.array([[math.log(9), 0.0]])
    np.testing.assert_allclose(soft_targets(scores, 1.0), [[0.9, 0.1]])
    np.testing.assert_allclose(soft_targets(scores, 2.0), [[0.75, 0.25]])
    entropy = 0.75 * math.log2(4 / 3) + 0.25 * 2
    assert entropy_bits(log_soft_targets(scores, 2.0))[0] == pytest.approx(entropy)
    even = np.log([[0.5, 0.5]])
    found = divergence_nats(log_soft_targets(scores, 2.0), even)[0]
    assert found == pytest.approx(0.75 * math.log(1.5) + 0.25 * math.log(0.5))


@given(SCORES, TEMPERATURE)
def test_targets_sum_to_one_and_keep_the_order_of_the_scores(scores: np.ndarray, temperature: float) -> None:
    targets = soft_targets(scores, temperature)
    np.testing.assert_allclose(targets.sum(1), 1)
    ordered = np.take_along_axis(targets, scores.argsort(1), 1)
    assert (np.diff(ordered, axis=1) >= 0).all()


@given(SCORES, TEMPERATURE, TEMPERATURE)
def test_a_higher_temperature_never_lowers_the_entropy(scores: np.ndarray, one: float, other: float) -> None:
    cool, warm = (entropy_bits(log_soft_targets(scores, t)) for t in sorted((one, other)))
    assert (warm >= cool - 1e-9).all()
    assert (cool >= -1e-9).all()
    assert (warm <= math.log2(scores.shape[1]) + 1e-9).all()


@given(SCORES, TEMPERATURE, st.floats(-1000, 1000))
def test_adding_a_number_to_all_scores_changes_nothing(
    scores: np.ndarray, temperature: float, number: float
) -> None:
    moved = soft_targets(scores + number, temperature)
    np.testing.assert_allclose(moved, soft_targets(scores, temperature), atol=1e-9)


@pytest.mark.parametrize("temperature", [LOWEST, 0.5, 1.0, 4.0, 20.0, HIGHEST])
def test_scipy_finds_the_same(temperature: float) -> None:
    logs, student = (log_soft_targets(scores, temperature) for scores in (RANDOM, RANDOM[::-1]))
    np.testing.assert_allclose(logs, special.log_softmax(RANDOM / temperature, axis=1), atol=1e-9)
    np.testing.assert_allclose(entropy_bits(logs), stats.entropy(np.exp(logs), base=2, axis=1), atol=1e-9)
    expected = special.rel_entr(np.exp(logs), np.exp(student)).sum(1)
    if temperature >= 0.5:  # below, SciPy divides by targets that are no longer numbers above 0
        np.testing.assert_allclose(divergence_nats(logs, student), expected, atol=1e-9)
    assert np.isfinite(divergence_nats(logs, student)).all()


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0, 20.0])
def test_it_is_the_loss_that_students_are_trained_with(temperature: float) -> None:
    teacher, student = RANDOM, RANDOM[::-1].copy()
    logs = (log_soft_targets(scores, temperature) for scores in (teacher, student))
    trained = soft_loss(torch.from_numpy(student), torch.from_numpy(teacher), temperature)
    assert temperature**2 * divergence_nats(*logs).mean() == pytest.approx(float(trained))


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf"), 1e4])
def test_an_impossible_temperature_says_what_is_expected(temperature: float) -> None:
    with pytest.raises(SettingError) as caught:
        soft_targets(RANDOM, temperature)
    assert str(caught.value) == (
        f"temperature is {temperature:g}, but scores are divided by it; expected 0.01 to 1,000, and 3 to 10 "
        "to distil."
    )
