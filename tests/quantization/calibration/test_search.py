import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.quantization.calibration.search import best_window


def bowl(first_best, last_best):
    return lambda first, last: (first - first_best) ** 2.0 + 3.0 * (last - last_best) ** 2


@given(st.integers(0, 300), st.integers(0, 300), st.floats(0, 1), st.floats(0, 1))
def test_the_bottom_of_a_bowl_is_found(left, right, a, b):
    best = round(a * left), left + round(b * right)
    assert best_window(bowl(*best), left, left + right + 1) == best


@pytest.mark.parametrize("value", [0.0, np.inf])
def test_the_widest_wins_ties(value):
    assert best_window(lambda first, last: np.full(first.shape, value), 40, 100) == (0, 99)


def test_only_windows_around_zero_are_tried():
    tried = []

    def cost(first, last):
        tried.extend(zip(first.tolist(), last.tolist(), strict=True))
        return (last - first).astype(float)

    assert best_window(cost, 70, 200) == (70, 70)
    assert all(0 <= first <= 70 <= last <= 199 for first, last in tried)
    assert len(tried) < 1000


def test_a_rough_cost_is_followed_with_small_steps():
    rng = np.random.default_rng(0)
    costs = rng.random(500)
    assert best_window(lambda first, last: costs[last], 0, 500, (1,)) == (0, int(costs.argmin()))
