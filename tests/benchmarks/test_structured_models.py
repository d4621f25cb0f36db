"""The benchmark of channel removal: its counts, its verdicts, and the comparison with torch-pruning."""

import pytest
import torch
from torch import nn

from benchmarks import pruning_peers, structured_models
from benchmarks.structured_models import chosen_at_random, enliven, model_figures, models, summary
from course_lib.architectures import create_model, list_models
from course_lib.pruning.structure.dependency import DependencyGraph
from course_lib.pruning.structure.removal import remove

EXAMPLE = torch.zeros(1, 1, 28, 28)


def small() -> nn.Module:
    torch.manual_seed(0)
    return enliven(create_model("residual"))


def test_no_path_is_dead() -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 1), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))
    nn.init.zeros_(model[3].weight)
    enliven(model)
    assert not model.training
    for tensor in model.parameters():
        assert len(tensor.unique()) > 1
    assert bool((model[1].weight >= 0.5).all())
    assert bool((model[1].running_var >= 0.5).all())


def test_ratios_are_rounded_down_and_leave_one() -> None:
    graph = DependencyGraph(small(), EXAMPLE)
    chosen = chosen_at_random(graph, 0.5, seed=0)
    for group in graph.groups:
        assert len(set(chosen[group.name])) == group.channels // 2


def test_a_network_is_proved() -> None:
    figures = model_figures(small(), EXAMPLE, (0.25, 0.5))
    assert figures["status"] == "proved"
    assert 0 < figures["max_rel_diff"] <= 1e-5
    assert 0.2 < figures["params_kept"] < 0.3


def test_a_network_without_groups_is_refused_by_reason() -> None:
    figures = model_figures(nn.Sequential(nn.Flatten(), nn.Linear(784, 10)), EXAMPLE, (0.5,))
    assert figures == {"status": "refused", "reason": "no group of channels can be removed"}


def test_a_wrong_model_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(graph: DependencyGraph, chosen: dict[str, list[int]]) -> nn.Module:
        pruned = remove(graph, chosen)
        with torch.no_grad():
            pruned.get_submodule("classifier").weight.mul_(1.1)
        return pruned

    monkeypatch.setattr(structured_models, "remove", wrong)
    figures = model_figures(small(), EXAMPLE, (0.5,))
    assert figures["status"] == "wrong"
    assert summary({"a": figures})["wrong"] == 1


def test_counts() -> None:
    figures = {
        "resnet18": {"status": "proved", "max_rel_diff": 1e-7, "differs_from_torch_pruning": ""},
        "mine": {"status": "proved", "max_rel_diff": 3e-7, "differs_from_torch_pruning": "it stops"},
        "other": {"status": "refused", "reason": "because"},
    }
    counted = summary(figures)
    assert (counted["proved"], counted["proved_of_torchvision"], counted["refused"]) == (2, 1, 1)
    assert counted["same_as_torch_pruning"] == ["resnet18"]
    assert counted["max_rel_diff"] == 3e-7
    assert counted["wrong"] == 0


def test_all_networks_are_listed() -> None:
    assert {"resnet18", "vit_b_16", "residual", "vision_transformer"} <= set(models())
    assert {"mobilenet_v2", "mobilenet_v2_28"} <= set(models())
    assert len(structured_models.TORCHVISION) == 13
    assert len(models()) == 13 + len(list_models((1, 28, 28)))


def test_without_torch_pruning_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(structured_models, "has_peer", lambda: False)
    assert "differs_from_torch_pruning" not in model_figures(small(), EXAMPLE, (0.5,))
    assert "pip install" in summary({})["peer"]


@pytest.mark.skipif(not pruning_peers.has_peer(), reason=pruning_peers.HOW_TO_GET_IT)
def test_torch_pruning_removes_the_same() -> None:
    model = small()
    graph = DependencyGraph(model, EXAMPLE)
    chosen = chosen_at_random(graph, 0.5, seed=0)
    pruned = remove(graph, chosen)
    assert pruning_peers.difference(model, EXAMPLE, graph, chosen, pruned) == ""
    other = remove(graph, chosen_at_random(graph, 0.25, seed=0))
    assert "parameters instead of" in pruning_peers.difference(model, EXAMPLE, graph, chosen, other)
