"""The benchmark of pruning: what its figures mean, and that they come from one run."""

import pytest
import torch
from torch import nn

from benchmarks import pruning
from benchmarks.pruning import CASES, pruner_of, stored_fraction, widths
from course_lib.pruning.channel_pruner import ChannelPruner
from course_lib.pruning.schedules import Schedule
from course_lib.pruning.weight_pruner import WeightPruner
from course_lib.training import Examples


def test_stored_bytes_by_hand() -> None:
    layer = nn.Linear(64, 1)  # 64 weights and a bias, 260 bytes
    layer.weight.data.zero_()
    layer.weight.data[0, :10] = 1.0
    layer.bias.data.fill_(1.0)
    # A bit for each weight, 8 bytes, and ten values; or ten gaps of 0 in a bit each, 2 bytes, which is less.
    assert stored_fraction(layer) == (2 + 40 + 4) / 260


@pytest.mark.parametrize("block", [8, 16])
def test_widths_are_multiples_of_the_block_of_this_cpu(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruning, "channel_block", lambda: block)
    pruner = pruner_of("macs2x", pruning.examples("train", 100))
    assert isinstance(pruner, ChannelPruner)
    assert pruner.selection.multiple_of == block


def test_the_cases_end_where_the_figures_say() -> None:
    assert {name: case.schedule.target for name, case in CASES.items()} == {
        "macs2x": 0.5,
        "sparsity80": 0.8,
        "sparsity90": 0.9,
    }
    assert CASES["sparsity90"].schedule.initial == CASES["sparsity80"].schedule.target
    pruner = pruner_of("sparsity80", pruning.examples("train", 100))
    assert pruner == WeightPruner(CASES["sparsity80"].schedule)
    config = CASES["macs2x"].config(quick=False)
    assert config.last_tuning is not None
    assert (config.tuning.epochs, config.last_tuning.epochs) == (3, 30)


def test_widths_are_listed_by_layer() -> None:
    net = nn.Sequential(nn.Conv2d(1, 3, 1), nn.ReLU(), nn.Conv2d(3, 5, 1))
    assert widths(net) == {"0": 3, "2": 5}


@pytest.mark.slow
def test_the_figures_of_a_small_network(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = torch.get_num_threads()
    test = pruning.examples("test", 200)

    def few(split: str, count: int | None = None) -> Examples:
        return Examples(*(part[: count or 200] for part in test))

    monkeypatch.setattr(pruning, "TEACHER", "tiny")
    monkeypatch.setattr(pruning, "THREADS", threads)
    monkeypatch.setattr(pruning, "examples", few)
    monkeypatch.setattr(pruning, "channel_block", lambda: 1)
    monkeypatch.setattr(pruning, "LATENCY_ROUNDS", {1: 50, 32: 50})
    for name, case in CASES.items():
        schedule = Schedule(case.schedule.target, 1, initial=case.schedule.initial)
        monkeypatch.setitem(CASES, name, pruning.replace(case, schedule=schedule))
    figures = pruning.measure(quick=True)
    assert figures["macs_gain"] >= 2
    assert figures["latency_gain_over_macs_gain"] == figures["latency_gain"] / figures["macs_gain"]
    assert figures["stored_fraction_90"] < figures["stored_fraction_80"] < 0.6
    assert figures["rounds"]["sparsity90"][-1]["amount"] == pytest.approx(0.9, abs=0.01)
    dense = figures["dense_accuracy"]
    for name, accuracy in figures["accuracies"].items():
        assert figures[f"{name}_drop_pt"] == pytest.approx(100 * (dense - accuracy))
