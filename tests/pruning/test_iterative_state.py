"""The state of a pruning run on disk: whole or refused, and of this run only."""

import hashlib

import numpy as np
import pytest
import torch
from torch import nn

from course_lib.errors import CheckpointError
from course_lib.pruning.iterative_state import PruningState, RoundRecord, fingerprint
from tests.pruning.iterative_run import same_weights
from tests.pruning.small_nets import chain

SETTINGS = {"config": {"epochs": 3, "kept": ("a", "b")}, "pruner": {"target": 0.5}}
MASKS = {"first.weight": torch.tensor([True, False])}


def closed(folder):
    """Return the state after one round that was kept and one that is under way."""
    state = PruningState(folder, SETTINGS, chain())
    state.dense_accuracy = 0.9
    state.pending = MASKS
    state.close_round(RoundRecord(1, 0.5, 0.88, True), chain(5))
    state.pending = {"second": torch.tensor([1, 3])}
    state.save()
    return state


def test_what_is_saved_comes_back(tmp_path):
    saved, loaded = closed(tmp_path), PruningState(tmp_path, SETTINGS, chain())
    assert loaded.load()
    assert loaded.history == saved.history == [RoundRecord(1, 0.5, 0.88, True)]
    assert loaded.dense_accuracy == 0.9
    assert [list(choice) for choice in loaded.choices] == [["first.weight"]]
    assert torch.equal(loaded.choices[0]["first.weight"], MASKS["first.weight"])
    assert loaded.pending["second"].tolist() == [1, 3]
    assert not loaded.floor_reached
    net = chain(5)
    nn.init.zeros_(net.first.weight)
    loaded.restore_tensors(net)
    assert same_weights(net, chain(5))


def test_a_round_below_the_floor_leaves_the_model_before(tmp_path):
    state = closed(tmp_path)
    state.close_round(RoundRecord(2, 0.7, 0.5, False), chain(4))
    again = PruningState(tmp_path, SETTINGS, chain())
    assert again.load()
    assert again.floor_reached
    assert len(again.choices) == 1
    net = chain(5)
    again.restore_tensors(net)
    assert same_weights(net, chain(5))


def test_only_what_is_under_way_stays_in_the_folder(tmp_path):
    for name in ("round_1.pt", "round_2.pt", ".rounds.pt.x1y2", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    closed(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"rounds.pt", "round_2.pt", "notes.txt"}


def test_without_a_folder_nothing_is_kept():
    state = closed(None)
    assert state.epochs_file(1) is None
    assert not PruningState(None, SETTINGS, chain()).load()


def test_an_empty_folder_is_a_new_run(tmp_path):
    assert not PruningState(tmp_path / "new", SETTINGS, chain()).load()


@pytest.mark.parametrize("damage", ["empty", "cut", "text", "list", "key"])
def test_a_damaged_state_is_refused(tmp_path, damage):
    closed(tmp_path)
    path = tmp_path / "rounds.pt"
    whole = path.read_bytes()
    if damage in ("list", "key"):
        torch.save([1] if damage == "list" else {"settings": SETTINGS}, path)
    else:
        path.write_bytes({"empty": b"", "cut": whole[: len(whole) // 2], "text": b"hello"}[damage])
    with pytest.raises(CheckpointError) as error:
        PruningState(tmp_path, SETTINGS, chain()).load()
    assert str(error.value) == (
        f"{tmp_path} holds no whole state of a pruning run; delete the folder to start again."
    )


@pytest.mark.parametrize(
    ("settings", "channels", "what"),
    [({**SETTINGS, "pruner": {"target": 0.6}}, 6, "other settings"), (SETTINGS, 5, "another model")],
)
def test_a_state_of_another_run_is_refused(tmp_path, settings, channels, what):
    closed(tmp_path)
    with pytest.raises(CheckpointError) as error:
        PruningState(tmp_path, settings, chain(channels)).load()
    assert str(error.value) == (
        f"{tmp_path} holds a run with {what}; give this run a folder of its own, or delete that one to start "
        "again."
    )


def test_tensors_that_do_not_fit_are_refused(tmp_path):
    state = closed(tmp_path)
    with pytest.raises(CheckpointError, match="holds no whole state"):
        state.restore_tensors(chain(3))


def test_a_fingerprint_by_hand():
    layer = nn.Linear(2, 1, bias=False)
    layer.weight.data = torch.tensor([[1.0, -2.0]])
    expected = hashlib.sha256(b"weight (1, 2) torch.float32" + np.float32([1, -2]).tobytes()).hexdigest()
    assert fingerprint(layer) == expected
    assert fingerprint(chain()) == fingerprint(chain().to(memory_format=torch.channels_last))
    changed = chain()
    changed.norm.running_mean[0] += 1
    assert fingerprint(changed) != fingerprint(chain())
