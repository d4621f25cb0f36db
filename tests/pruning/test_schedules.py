"""Schedules: the published curve, its ends, and that it never goes back."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.errors import SettingError, UnknownNameError
from course_lib.pruning import Schedule
from course_lib.pruning.schedules import REMAINING

shapes = st.sampled_from(sorted(REMAINING))


def test_cubic_by_hand():
    schedule = Schedule(0.8, 4, "cubic")
    assert [schedule.at(step) for step in range(6)] == pytest.approx([0, 0.4625, 0.7, 0.7875, 0.8, 0.8])


def test_linear_and_one_shot_by_hand():
    linear = Schedule(0.9, 3, "linear", initial=0.3)
    assert [linear.at(step) for step in range(4)] == pytest.approx([0.3, 0.5, 0.7, 0.9])
    at_once = Schedule(0.9, 3, "one_shot", initial=0.3)
    assert [at_once.at(step) for step in range(4)] == pytest.approx([0.3, 0.9, 0.9, 0.9])


@given(st.floats(0, 1, exclude_max=True), st.floats(0, 1), st.integers(1, 30), shapes)
def test_it_rises_from_start_to_target(target, share, steps, shape):
    schedule = Schedule(target, steps, shape, initial=share * target)
    path = [schedule.at(step) for step in range(steps + 2)]
    assert path[0] == pytest.approx(schedule.initial)
    assert path[-2:] == [target, target]
    assert all(b >= a - 1e-12 for a, b in pairwise(path))


def test_the_cubic_is_the_polynomial_of_the_paper():
    # Zhu and Gupta 2018, eq. 1, written with t, t_0 = 0, n and Δt = 1.
    initial, final, n = 0.2, 0.95, 17
    expected = [np.polyval([initial - final, 0, 0, final], 1 - t / n) for t in range(n + 1)]
    schedule = Schedule(final, n, "cubic", initial=initial)
    assert [schedule.at(t) for t in range(n + 1)] == pytest.approx(expected)


@pytest.mark.parametrize(("initial", "target"), [(0, 1), (-0.1, 0.5), (0.6, 0.5), (0, float("nan"))])
def test_ends_out_of_range_are_refused(initial, target):
    with pytest.raises(SettingError) as error:
        Schedule(target, initial=initial)
    assert str(error.value) == (
        f"The schedule goes from {initial} to {target}; expected 0 ≤ initial ≤ target < 1."
    )


def test_steps_out_of_range_and_unknown_shapes_are_refused():
    with pytest.raises(SettingError) as error:
        Schedule(0.5, 0)
    assert str(error.value) == "steps is 0; a schedule needs at least 1 step to its target."
    with pytest.raises(SettingError) as error:
        Schedule(0.5).at(-1)
    assert str(error.value) == "step is -1; steps count from 0, before anything is pruned."
    with pytest.raises(UnknownNameError, match="known ones are cubic, linear, one_shot"):
        Schedule(0.5, shape="cosine")
