"""One quick run: its figures are complete and the losses equal. Times decide nothing here."""

import json

import pytest

from benchmarks.teacher_cache import measure


@pytest.mark.slow
def test_the_quick_run_gives_json_with_equal_losses() -> None:
    found = json.loads(json.dumps(measure(quick=True), allow_nan=False))
    assert found["losses_equal"] is True
    low, high = found["speedup_interval"]
    assert 0 < low <= high
    assert found["speedup"] == pytest.approx(found["recomputed_epoch_s"] / found["cached_epoch_s"])
    assert found["rounds"] == len(found["cached_samples_s"]) == len(found["recomputed_samples_s"])
    assert found["view_bytes"] > 40 * found["images"]
