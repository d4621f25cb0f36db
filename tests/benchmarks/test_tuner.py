"""The benchmark of the tuner: its keys, who counts as slower, and that the check uses rounds of its own."""

from typing import Any

import pytest
import torch
from torch import nn

from benchmarks import tuner
from benchmarks.cli import table_rows
from course_lib.export.onnx_export import build_onnx


def small() -> tuple[nn.Module, tuple[int, ...]]:
    return nn.Sequential(nn.Flatten(), nn.Linear(9, 4)).eval(), (1, 1, 3, 3)


def record(ratio: float, low: float, high: float) -> dict[str, Any]:
    return {"ratio": ratio, "ratio_interval": [low, high], "kept_default": False, "setting": "threads=1"}


@pytest.mark.parametrize(("low", "slower"), [(0.9, False), (1.0, False), (1.01, True)])
def test_slower_means_the_whole_interval(low: float, slower: bool) -> None:
    assert tuner.is_slower(record(1.1, low, 1.2)) is slower


def test_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    records = {"tiny": record(0.5, 0.4, 0.6), "depthwise": record(1.25, 1.1, 1.3)}
    found = iter(records.values())
    monkeypatch.setattr(tuner, "networks", lambda: {**dict.fromkeys(records, small), "large": None})
    monkeypatch.setattr(tuner, "examine", lambda *_: next(found))
    figures = tuner.measure(quick=True)
    assert figures == {
        "slower_beyond_noise": 1,
        "defaults_kept": 0,
        "gain.tiny": 2.0,
        "gain.depthwise": 0.8,
        "models": records,
    }
    assert table_rows(figures, tuner.TARGETS)[0][""] == "missed"


@pytest.mark.slow
def test_a_network_is_tuned_for_real() -> None:
    model, shape = small()
    figures = tuner.examine(build_onnx(model, torch.zeros(shape)), shape, quick=True)
    low, high = figures["ratio_interval"]
    assert low <= figures["ratio"] <= high
    assert figures["kept_default"] == (figures["setting"] == "default")
    if figures["kept_default"]:
        assert (low, figures["ratio"], high) == (1, 1, 1)
