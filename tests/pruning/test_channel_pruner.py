"""Rounds that remove channels: MACs fall as the schedule says, and killed runs end as whole ones."""

from dataclasses import replace
from functools import partial
from operator import attrgetter

import pytest
import torch

from course_lib.errors import CheckpointError, SettingError
from course_lib.pruning import Schedule
from course_lib.pruning.channel_pruner import ChannelPruner
from course_lib.pruning.importance import l2_norm, taylor
from course_lib.pruning.iterative import prune_iteratively
from course_lib.pruning.macs_target import macs_of
from course_lib.pruning.ranking import SelectionConfig
from course_lib.training import accuracy
from tests.pruning.iterative_run import CONFIG, epochs_seen, run, same_weights
from tests.pruning.small_nets import batches, chain, pictures, residual
from tests.pruning.test_iterative import Killed, kill_ten_times, same_tensors

INPUTS = torch.zeros(1, 1, 8, 8)
PRUNER = ChannelPruner(Schedule(0.6, 3, "linear"), INPUTS)


@pytest.fixture(scope="module")
def whole():
    """Return a run that nothing interrupted."""
    return run(pruner=PRUNER)


def test_macs_fall_as_the_schedule_says(whole):
    dense = macs_of(chain(), INPUTS)
    for record, left in zip(whole.history, (0.8, 0.6, 0.4), strict=True):
        assert 1 - record.amount <= left
    assert whole.history[-1].amount == 1 - macs_of(whole.model, INPUTS) / dense
    assert whole.history[-1].amount < 0.75
    assert whole.history[-1].validation_accuracy == accuracy(whole.model, pictures())
    shapes = {name: tuple(value.shape) for name, value in whole.model.state_dict().items()}
    assert shapes["first.weight"][0] == shapes["norm.weight"][0] == shapes["second.weight"][1] < 6


def test_a_round_with_nothing_to_remove_changes_nothing_but_the_copy():
    net = chain()
    choice = ChannelPruner(Schedule(0.0, 1), INPUTS).choose(net, 1, net)
    assert choice == {}
    copied = PRUNER.apply(net, choice)
    inputs = torch.from_numpy(pictures().inputs)
    with torch.no_grad():
        torch.testing.assert_close(copied(inputs), net(inputs))
    assert PRUNER.amount(copied, net) == 0


def test_importance_from_data_is_worked_out_anew_in_each_round():
    seen, labelled = [], batches(pictures())

    def importance(graph):
        seen.append(tuple(graph.graph.get_submodule("stem").weight.shape))
        return taylor(graph, labelled)

    pruner = ChannelPruner(
        Schedule(0.6, 2, "linear"), INPUTS, importance, SelectionConfig(protected=("inner",))
    )
    found = prune_iteratively(residual(), pruner, pictures(), pictures(), CONFIG)
    assert len(seen) == 2
    assert seen[1][0] < seen[0][0] == 5
    assert found.model.get_submodule("inner").out_channels == 3
    assert found.model.get_submodule("stem").out_channels == found.model.get_submodule("outer").out_channels


def test_a_killed_run_ends_as_a_whole_one(whole, tmp_path):
    def die(record):
        if record.round == 1:
            raise Killed

    with pytest.raises(Killed):
        run(tmp_path, PRUNER, on_round=die)
    seen = []
    resumed = run(tmp_path, PRUNER, on_epoch=epochs_seen(seen))
    assert seen[0] == (2, 1)
    assert resumed.history == whole.history
    assert same_weights(resumed.model, whole.model)


def test_settings_are_those_a_checkpoint_differs_in():
    assert PRUNER.settings() == ChannelPruner(Schedule(0.6, 3, "linear"), torch.ones(4, 1, 8, 8)).settings()
    assert PRUNER.settings() != ChannelPruner(Schedule(0.6, 3), INPUTS).settings()
    other = ChannelPruner(Schedule(0.6, 3, "linear"), INPUTS, selection=SelectionConfig(multiple_of=2))
    assert PRUNER.settings() != other.settings()
    assert PRUNER.settings()["importance"] == "course_lib.pruning.importance.l1_norm"
    named = ChannelPruner(
        Schedule(0.6, 3, "linear"), INPUTS, lambda graph: l2_norm(graph), importance_name="L2"
    )
    assert named.settings()["importance"] == "L2"


@pytest.mark.parametrize(
    ("importance", "what"),
    [
        (lambda graph: l2_norm(graph), "<lambda>"),
        (partial(l2_norm, roles=("out",)), "partial"),
        (attrgetter("groups"), "attrgetter"),
    ],
)
def test_an_importance_without_a_name_has_no_checkpoint(tmp_path, importance, what):
    pruner = ChannelPruner(Schedule(0.6, 3, "linear"), INPUTS, importance)
    with pytest.raises(SettingError) as error:
        run(tmp_path, pruner)
    assert str(error.value) == (
        f"The importance of this ChannelPruner is a {what}, whose name does not tell a checkpoint what it "
        'was given; name it, for example: ChannelPruner(…, importance_name="taylor, 500 images").'
    )
    assert not list(tmp_path.iterdir())


def test_a_run_with_another_importance_is_refused(tmp_path):
    def die(record):
        raise Killed

    with pytest.raises(Killed):
        run(tmp_path, PRUNER, on_round=die)
    with pytest.raises(CheckpointError) as error:
        run(tmp_path, replace(PRUNER, importance=l2_norm))
    assert str(error.value) == (
        f"{tmp_path} holds a run with other settings; give this run a folder of its own, or delete that one "
        "to start again."
    )


@pytest.mark.slow
def test_ten_kills_at_random_moments_change_nothing(tmp_path):
    killed, whole = kill_ten_times(PRUNER, tmp_path)
    assert killed["history"] == whole["history"]
    assert same_tensors(killed["weights"], whole["weights"])
