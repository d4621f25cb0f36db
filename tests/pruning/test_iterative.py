"""Iterative pruning: it reaches its target, stops at its floor, distils, and survives every death."""

import copy
import importlib
import multiprocessing
import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

import course_lib.pruning.iterative_state as iterative_state
from course_lib.errors import CheckpointError, SettingError
from course_lib.pruning import Schedule, magnitude_masks
from course_lib.pruning.iterative import IterativeConfig, prune_iteratively
from course_lib.pruning.masked import bake_masks, hold_masks, prunable_weights
from course_lib.pruning.weight_pruner import WeightPruner
from course_lib.training import accuracy, fit
from tests.pruning.iterative_run import (
    CONFIG,
    TUNING,
    epochs_seen,
    run,
    run_with_ticks,
    same_weights,
    weight_pruner,
)
from tests.pruning.small_nets import chain, pictures

fit_module = importlib.import_module("course_lib.training.fit")  # the package has a function of that name


class Killed(Exception):
    """Stands for the end of the process."""


@pytest.fixture(scope="module")
def whole():
    """Return a run that nothing interrupted."""
    return run()


def test_it_reaches_the_target_round_by_round(whole):
    amounts = [record.amount for record in whole.history]
    assert amounts == pytest.approx([Schedule(0.9, 3).at(step) for step in (1, 2, 3)], abs=0.002)
    zeros = sum(int((weight == 0).sum()) for weight in prunable_weights(whole.model).values())
    assert zeros == round(0.9 * sum(weight.numel() for weight in prunable_weights(whole.model).values()))
    assert whole.stopped_by == "target"
    assert not whole.model.training
    assert whole.dense_accuracy == accuracy(chain(), pictures())
    assert whole.history[-1].validation_accuracy == accuracy(whole.model, pictures())
    assert all(record.kept for record in whole.history)


def test_it_agrees_with_the_rounds_written_out(whole):
    model, examples = chain(), pictures()
    for number in (1, 2, 3):
        masks = magnitude_masks(prunable_weights(model), Schedule(0.9, 3).at(number))
        config = replace(TUNING, seed=TUNING.seed + number)
        model = bake_masks(fit(hold_masks(model, masks), examples, examples, config).model)
    for name, value in whole.model.state_dict().items():
        torch.testing.assert_close(value, model.state_dict()[name], rtol=1e-4, atol=1e-6)


def test_the_model_given_stays_as_it_was():
    net = chain()
    before = copy.deepcopy(net.state_dict())
    prune_iteratively(net, weight_pruner(), pictures(), pictures(), CONFIG)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert not net.training


def test_the_last_round_may_be_trained_longer():
    seen = []
    run(config=IterativeConfig(replace(TUNING, epochs=1), TUNING), on_epoch=epochs_seen(seen))
    assert seen == [(1, 1), (2, 1), (3, 1), (3, 2), (3, 3), (3, 4)]


def test_below_the_floor_the_model_of_the_round_before_is_returned(whole):
    """The floor lies between the first and the second of the accuracies, whatever these are."""
    scores = iter([0.9, 0.89, 0.5])
    records = []

    def judged(model, examples, device="cpu"):
        return next(scores)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("course_lib.pruning.iterative.accuracy", judged)
        tuning = replace(TUNING, epochs=1)
        patch.setattr("course_lib.training.objective.accuracy", judged)
        found = run(config=IterativeConfig(tuning, accuracy_floor=0.95), on_round=records.append)
    assert found.stopped_by == "floor"
    assert [record.kept for record in found.history] == [True, False]
    assert tuple(records) == found.history
    expected = run(pruner=FirstRound(), config=IterativeConfig(tuning))
    assert same_weights(found.model, expected.model)


class FirstRound(WeightPruner):
    """Only the first of the three rounds."""

    def __init__(self):
        super().__init__(Schedule(0.9, 3))

    @property
    def rounds(self):
        return 1


def test_without_a_round_above_the_floor_the_dense_model_is_returned():
    tuning = replace(TUNING, epochs=1, learning_rate=1e-6)
    pruner = WeightPruner(Schedule(0.99, 2, "one_shot"))
    net, examples = run().model, pictures()
    found = prune_iteratively(net, pruner, examples, examples, IterativeConfig(tuning, accuracy_floor=1.0))
    assert found.stopped_by == "floor"
    assert len(found.history) == 1
    assert same_weights(found.model, net)


def test_the_loss_can_imitate_the_dense_model():
    dense = chain()
    wanted = []

    def imitate(scores, labels, inputs):
        with torch.no_grad():
            wanted.append(dense(inputs))
        return F.mse_loss(scores, wanted[-1])

    found = run(loss_function=imitate)
    assert len(wanted) == 3 * TUNING.epochs * 4
    plain = run()
    inputs = torch.from_numpy(pictures().inputs)
    with torch.no_grad():
        errors = [F.mse_loss(one.model(inputs), dense(inputs)).item() for one in (found, plain)]
    assert errors[0] < errors[1]


def deaths_at(module, name, when):
    """Return a function in place of module.name that dies at its call number ``when``, before or after it."""
    genuine, calls = getattr(module, name), 0

    def mortal(*arguments):
        nonlocal calls
        calls += 1
        if calls == when[0] and when[1] == "before":
            raise Killed
        genuine(*arguments)
        if calls == when[0] and when[1] == "after":
            raise Killed

    return mortal


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("module", [iterative_state, fit_module])
@pytest.mark.parametrize("call", [1, 2, 4])
def test_a_death_around_any_write_changes_nothing(whole, tmp_path, module, moment, call):
    """Of the six writes of the state and the twelve of the training, these are one of each kind."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "write_atomically", deaths_at(module, "write_atomically", (call, moment)))
        with pytest.raises(Killed):
            run(tmp_path)
    resumed = run(tmp_path)
    assert resumed.history == whole.history
    assert same_weights(resumed.model, whole.model)
    assert [path.name for path in tmp_path.iterdir()] == ["rounds.pt"]


def test_what_was_done_is_not_done_again(whole, tmp_path):
    def die(record):
        if record.round == 2:
            raise Killed

    with pytest.raises(Killed):
        run(tmp_path, on_round=die)
    (tmp_path / ".rounds.pt.a1b2").write_bytes(b"left by a process that was killed")
    seen, records = [], []
    resumed = run(tmp_path, on_epoch=epochs_seen(seen), on_round=records.append)
    assert seen == [(3, epoch) for epoch in range(1, 5)]
    assert [record.round for record in records] == [3]
    assert same_weights(resumed.model, whole.model)
    assert [path.name for path in tmp_path.iterdir()] == ["rounds.pt"]
    again = run(tmp_path, on_epoch=epochs_seen(seen))
    assert len(seen) == 4
    assert same_weights(again.model, whole.model)
    assert again.dense_accuracy == whole.dense_accuracy


@pytest.mark.parametrize(
    ("other", "what"),
    [
        ({"config": IterativeConfig(replace(TUNING, seed=4))}, "other settings"),
        ({"pruner": WeightPruner(Schedule(0.8, 3))}, "other settings"),
        ({"pruner": WeightPruner(Schedule(0.9, 3), scope="local")}, "other settings"),
    ],
)
def test_a_folder_of_another_run_is_refused(tmp_path, other, what):
    with pytest.raises(Killed):
        run(tmp_path, on_round=lambda record: (_ for _ in ()).throw(Killed))
    content = (tmp_path / "rounds.pt").read_bytes()
    with pytest.raises(CheckpointError) as error:
        run(tmp_path, **other)
    assert str(error.value) == (
        f"{tmp_path} holds a run with {what}; give this run a folder of its own, or delete that one to start "
        "again."
    )
    assert (tmp_path / "rounds.pt").read_bytes() == content


def test_a_floor_out_of_range_is_refused():
    with pytest.raises(SettingError) as error:
        IterativeConfig(TUNING, accuracy_floor=95)
    assert str(error.value) == (
        "accuracy_floor is 95, but it is a fraction of the dense model's accuracy, from 0 to 1; try 0.95."
    )


@pytest.mark.slow
def test_ten_kills_at_random_moments_change_nothing(tmp_path: Path):
    """SIGKILL, which no process can catch, a random number of steps and of milliseconds into each life."""
    killed, whole = kill_ten_times(weight_pruner(), tmp_path)
    assert killed["history"] == whole["history"]
    assert same_tensors(killed["weights"], whole["weights"])


def kill_ten_times(pruner, folder):
    """Run, kill ten times, let the last life end; return what it left, and what a run in one piece leaves."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["torch", "course_lib.pruning.iterative", "course_lib.pruning.channel_pruner"]
    )
    chance = random.Random(0)

    def live(place, kill_after):
        ours, theirs = context.Pipe()
        process = context.Process(target=run_with_ticks, args=(place, theirs, pruner))
        process.start()
        theirs.close()
        if kill_after is not None:
            for _ in range(kill_after):
                ours.recv()
                ours.send("go")
            for _ in range(3):
                ours.send("go")
            process.join(chance.uniform(0, 0.05))
            process.kill()
        while kill_after is None and ours.recv() != "done":
            ours.send("go")
        process.join()
        return process.exitcode

    # Of the four steps of an epoch a life may take seven at most, so it ends one epoch and never two: ten of
    # them cannot finish the twelve epochs.
    exits = [live(folder / "killed", chance.randint(0, 4)) for _ in range(10)]
    assert exits == [-9] * 10
    assert not (folder / "killed" / "done.pt").exists()
    assert live(folder / "killed", None) == 0
    assert live(folder / "whole", None) == 0
    return [torch.load(folder / place / "done.pt", weights_only=True) for place in ("killed", "whole")]


def same_tensors(first, second):
    return list(first) == list(second) and all(torch.equal(first[name], second[name]) for name in first)
