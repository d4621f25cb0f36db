"""The figures of an experiment made by hand, and one quick run."""

import json

import pytest

from benchmarks.lottery import figures, measure, settings
from tests.pruning.test_lottery_result import make_result


def test_figures_are_points_with_intervals() -> None:
    found = figures(make_result())
    assert found["gain_on_dense_at_50_pt"] == pytest.approx(-9)
    assert found["gain_on_new_weights_at_50_pt"] == pytest.approx(3)
    low, high = found["gain_on_new_weights_at_50_pt_interval"]
    assert (low + high) / 2 == pytest.approx(3)
    assert len(found["records"]) == 8


def test_the_full_run_has_three_seeds_and_sparsities() -> None:
    assert settings(quick=False).runs == 30


@pytest.mark.slow
def test_the_quick_run_gives_json() -> None:
    found = json.loads(json.dumps(measure(quick=True), allow_nan=False))
    assert len(found["records"]) == settings(quick=True).runs
    assert {"gain_on_dense_at_50_pt", "gain_on_shuffled_mask_at_50_pt_interval"} <= set(found)
