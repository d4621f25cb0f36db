"""The benchmark of pruning: what its figures mean, and that they come from one run."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from benchmarks import pruning
from benchmarks.pruning import CASES, pruner_of, stored_fraction, widths
from course_lib.architectures import load_pretrained
from course_lib.data import Dataset, load_dataset
from course_lib.errors import DataError
from course_lib.pruning.channel_pruner import ChannelPruner
from course_lib.pruning.macs_target import macs_of
from course_lib.pruning.structure.branches import remove_branches
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
    teacher = load_pretrained(pruning.TEACHER)
    pruner = pruner_of("macs2x", teacher, teacher, pruning.examples("train", 100))
    assert isinstance(pruner, ChannelPruner)
    assert pruner.selection.multiple_of == block


def test_the_cases_end_where_the_figures_say() -> None:
    assert {name: case.schedule.target for name, case in CASES.items()} == {
        "macs2x": 0.5,
        "sparsity80": 0.8,
        "sparsity90": 0.9,
    }
    assert CASES["sparsity90"].schedule.initial == CASES["sparsity80"].schedule.target
    pruner = pruner_of("sparsity80", nn.Identity(), nn.Identity(), pruning.examples("train", 100))
    assert pruner == WeightPruner(CASES["sparsity80"].schedule, scope="layer_adaptive")
    config = CASES["sparsity80"].config(10_000, quick=False)
    assert config.last_tuning is not None
    assert (config.tuning.epochs, config.last_tuning.epochs) == (6, 50)


def test_the_branch_and_the_channels_leave_half_of_the_macs() -> None:
    teacher = load_pretrained(pruning.TEACHER)
    start = remove_branches(teacher, [pruning.BRANCH], pruning.EXAMPLE)
    pruner = pruner_of("macs2x", start, teacher, pruning.examples("train", 100))
    smaller = pruner.apply(start, pruner.choose(start, 1, start))
    left = macs_of(smaller, pruning.EXAMPLE) / macs_of(teacher, pruning.EXAMPLE)
    assert 0.4 < left <= 0.5
    for path in pruning.STAGES:
        assert smaller.get_submodule(path).out_channels == teacher.get_submodule(path).out_channels


def test_without_the_full_set_the_shipped_images_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(name: str, split: str) -> Dataset:
        if name == "fashion-mnist-full":
            raise DataError("The full Fashion-MNIST is not here.")
        return load_dataset(name, split)

    monkeypatch.setattr(pruning, "load_dataset", missing)
    pruning.training_set.cache_clear()
    assert len(pruning.training_set(quick=False).labels) == 10_000
    expected = "The full Fashion-MNIST is not here. Fine-tuning goes on with the shipped images.\n"
    assert capsys.readouterr().err == expected
    pruning.training_set.cache_clear()


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
    monkeypatch.setattr(pruning, "BRANCH", "blocks.2")
    monkeypatch.setattr(pruning, "STAGES", ("stem.0.0",))
    monkeypatch.setattr(pruning, "MAPS", dict.fromkeys(CASES, ("stem.1",)))
    pruning.training_set.cache_clear()
    monkeypatch.setattr(pruning, "LATENCY_ROUNDS", {1: 50, 32: 50})
    for name, case in CASES.items():
        schedule = replace(case.schedule, steps=1)
        monkeypatch.setitem(CASES, name, replace(case, schedule=schedule))
    figures = pruning.measure(quick=True)
    assert figures["macs_gain"] >= 2
    assert figures["latency_gain_over_macs_gain"] == figures["latency_gain"] / figures["macs_gain"]
    assert figures["stored_fraction_90"] < figures["stored_fraction_80"] < 0.6
    assert figures["rounds"]["sparsity90"][-1]["amount"] == pytest.approx(0.9, abs=0.01)
    dense = figures["dense_accuracy"]
    for name, accuracy in figures["accuracies"].items():
        assert figures[f"{name}_drop_pt"] == pytest.approx(100 * (dense - accuracy))
        low, high = figures["drop_intervals_pt"][name]
        assert low < figures[f"{name}_drop_pt"] < high
    pruning.training_set.cache_clear()
