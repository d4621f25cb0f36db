"""The benchmark of the optimization levels: its keys, and one network for real."""

import pytest
import torch
from torch import nn

from benchmarks import ort_levels
from benchmarks.cli import Target, table_rows
from course_lib.architectures import list_zoo
from course_lib.errors import ParityError


def small() -> tuple[nn.Module, tuple[int, ...]]:
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10)).eval(), (1, 1, 8, 8)


def test_the_zoo_and_one_large_network_are_measured() -> None:
    assert list(ort_levels.networks()) == [*list_zoo(), "mobilenet_v2_224"]
    assert ort_levels.TARGETS["eager_over_ort.tiny"] == Target(low=2)
    assert "eager_over_ort.mobilenet_v2_224" not in ort_levels.TARGETS


@pytest.mark.slow
def test_figures_of_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ort_levels, "networks", lambda: {"small": small})
    figures = ort_levels.measure(quick=True)
    assert set(figures) == {*(f"{key}.small" for key in ort_levels.RATIOS), "models"}
    record = figures["models"]["small"]
    for key, name in ort_levels.RATIOS.items():
        low, high = record[f"{key}_interval"]
        assert 0 < low <= record[key] <= high
        assert record[key] == pytest.approx(record[f"{name}_p50_ms"] / record["all_p50_ms"])
        assert figures[f"{key}.small"] == record[key]


def test_a_ratio_below_two_reads_as_missed() -> None:
    (row,) = table_rows({"eager_over_ort.tiny": 1.9}, ort_levels.TARGETS)
    assert row[""] == "missed"


def test_levels_that_compute_something_else_are_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    model, shape = small()
    content = ort_levels.build_onnx(model, torch.zeros(shape))
    monkeypatch.setattr(ort_levels, "build_onnx", lambda *_: content)
    other = nn.Sequential(*model, nn.Hardtanh(0, 0.001)).eval()
    with pytest.raises(ParityError):
        ort_levels.race(other, shape, 6)
