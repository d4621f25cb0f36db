"""The benchmark of the time that channel removal takes: its keys, and what it says without torch-pruning."""

import pytest
import torch

from benchmarks import pruning_speed
from benchmarks.pruning_peers import HOW_TO_GET_IT, has_peer, remove_half
from benchmarks.pruning_speed import figures
from course_lib.architectures import create_model

EXAMPLE = torch.zeros(1, 1, 28, 28)


def test_medians_are_of_the_rounds_after_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([(9.0, 9.0), (1.0, 2.0), (2.0, 3.0), (3.0, 7.0)])
    monkeypatch.setattr(pruning_speed, "ours", lambda model, example: next(times))
    monkeypatch.setattr(pruning_speed, "has_peer", lambda: True)
    monkeypatch.setattr(pruning_speed, "remove_half", lambda model, example: None)
    monkeypatch.setattr(pruning_speed, "seconds", lambda work: 10.0)
    found = figures(create_model("residual"), EXAMPLE, rounds=3)
    assert (found["resnet50_s"], found["graph_s"], found["removal_s"]) == (5.0, 2.0, 3.0)
    assert found["ratio_to_torch_pruning"] == 0.5
    assert found["samples_s"] == [3.0, 5.0, 10.0]


def test_without_torch_pruning_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruning_speed, "has_peer", lambda: False)
    found = figures(create_model("residual"), EXAMPLE, rounds=1)
    assert found["ratio_to_torch_pruning"] is None
    assert found["peer"] == HOW_TO_GET_IT
    assert found["resnet50_s"] > 0


@pytest.mark.skipif(not has_peer(), reason=HOW_TO_GET_IT)
def test_torch_pruning_removes_half() -> None:
    model = create_model("residual").eval()
    remove_half(model, EXAMPLE)
    assert model.get_submodule("stem.0.0").weight.shape[0] == 8
    assert model(EXAMPLE).shape == (1, 10)
