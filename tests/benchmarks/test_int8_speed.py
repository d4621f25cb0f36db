"""The figures of one small network: which keys there are, and that advice is followed."""

import numpy as np
import pytest

from benchmarks import int8_speed
from benchmarks.int8_speed import model_figures


@pytest.mark.slow
def test_the_figures_of_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(int8_speed, "ROUNDS", {1: 30, 32: 30})
    monkeypatch.setattr(int8_speed, "CALIBRATION_IMAGES", 64)
    figures = model_figures("plain_conv", quick=True)
    for key in ("ratio", "ratio_batch_32", "all_int8_ratio", "all_int8_ratio_batch_32"):
        low, high = figures[f"{key}_interval"]
        assert 0 < low <= figures[key] <= high
    assert figures["ratio"] == pytest.approx(figures["float32_p50_ms"] / figures["int8_p50_ms"])
    assert set(figures["kept_in_float"]) <= {"features.0.0", "features.3.0", "features.6.0", "classifier"}
    assert all(np.isfinite(value) for value in figures["sqnr_float_db"].values())
    assert any("batch 1 " in sentence for sentence in figures["verdict"])
    assert any("batch 32" in sentence for sentence in figures["verdict_batch_32"])
