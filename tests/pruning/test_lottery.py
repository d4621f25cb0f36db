"""The experiment on a small network: what each arm starts from, masks that hold, resuming, and errors."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from course_lib.errors import CheckpointError, SettingError
from course_lib.pruning import lottery, magnitude_masks, sparsity_of
from course_lib.pruning.lottery import LotteryConfig, draw_tickets, shuffled_masks
from course_lib.pruning.masked import bake_masks, prunable_weights
from course_lib.reproducibility import seeded_torch
from course_lib.training import EpochRecord, Examples, TrainingConfig, TrainingRun, fit

TRAINING = TrainingConfig(epochs=3, batch_size=16, learning_rate=0.05, warmup_epochs=0.5, averaging=0.5)
CONFIG = LotteryConfig(TRAINING, sparsities=(0.5, 0.75), seeds=(3, 4))


class Killed(Exception):
    """Stands for a run that is cut off."""


def build() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(4 * 64, 2),
    )


def built(seed: int) -> nn.Module:
    with seeded_torch(seed):
        return build()


@pytest.fixture(scope="module")
def examples() -> Examples:
    """Return 48 noisy pictures, 8×8, of which class 1 is bright below."""
    random = np.random.default_rng(0)
    labels = np.arange(48) % 2
    inputs = random.normal(size=(48, 1, 8, 8)).astype(np.float32)
    inputs[:, :, 4:] += labels[:, None, None, None]
    return Examples(inputs, labels)


Starts = list[tuple[dict[str, Tensor], nn.Module]]


@pytest.fixture
def starts(monkeypatch: pytest.MonkeyPatch) -> Starts:
    """Collect the weights that every run starts from, and the model that comes out."""
    seen: Starts = []

    def watched(model: nn.Module, *args: object, **options: object) -> TrainingRun:
        first = weights_of(model)
        run = fit(model, *args, **options)  # type: ignore[arg-type]
        seen.append((first, bake_masks(run.model)))
        return run

    monkeypatch.setattr(lottery, "fit", watched)
    return seen


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    return prunable_weights(bake_masks(model))


def zeros(weights: dict[str, Tensor]) -> float:
    return sparsity_of(torch.cat([weight.flatten() for weight in weights.values()]))


def draw(examples: Examples, folder: Path, config: LotteryConfig = CONFIG, **options: Callable) -> object:
    return draw_tickets(build, examples, examples, examples, config, folder, **options)


def test_what_each_arm_starts_from(examples: Examples, starts: Starts, tmp_path: Path) -> None:
    draw(examples, tmp_path)
    assert len(starts) == CONFIG.runs == 14
    (dense, trained), (ticket, ticket_end), (new, _), (shuffled, _), (later, _), *_ = starts
    first, other = prunable_weights(built(3)), prunable_weights(built(3 + lottery.NEW_SEED))
    masks = magnitude_masks(prunable_weights(trained), 0.5)
    for name, mask in masks.items():
        assert torch.equal(dense[name], first[name])
        assert torch.equal(ticket[name], first[name] * mask)
        assert torch.equal(new[name], other[name] * mask)
        assert sparsity_of(shuffled[name]) == sparsity_of(mask)
        assert not torch.equal(shuffled[name] != 0, mask)
        kept = shuffled[name] != 0
        assert torch.equal(shuffled[name][kept], first[name][kept])
    # The next round prunes the trained ticket, and goes back to the first weights again.
    after = magnitude_masks(prunable_weights(ticket_end), 0.75)
    for name, mask in after.items():
        assert torch.equal(later[name], first[name] * mask)
        assert not (mask & ~masks[name]).any()


def test_what_is_pruned_stays_so_in_training(examples: Examples, starts: Starts, tmp_path: Path) -> None:
    draw(examples, tmp_path)
    sparsities = [0.0, *[0.5] * 3, *[0.75] * 3]
    for (first, end), sparsity in zip(starts, 2 * sparsities, strict=True):
        assert zeros(first) == pytest.approx(sparsity, abs=2e-3)
        after = prunable_weights(end)
        assert all(torch.equal(after[name] == 0, first[name] == 0) for name in first)
        assert not all(torch.equal(after[name], first[name]) for name in first)


def test_one_shot_masks_come_from_the_dense_network(
    examples: Examples, starts: Starts, tmp_path: Path
) -> None:
    draw(examples, tmp_path, replace(CONFIG, iterative=False))
    masks = magnitude_masks(prunable_weights(starts[0][1]), 0.75)
    assert all(torch.equal(starts[4][0][name] != 0, mask) for name, mask in masks.items())


def test_tickets_can_go_back_to_later_weights(examples: Examples, starts: Starts, tmp_path: Path) -> None:
    draw(examples, tmp_path, replace(CONFIG, rewind_epochs=2))
    model = built(3)
    raw: dict[str, Tensor] = {}

    def keep(epoch: EpochRecord) -> None:
        if epoch.epoch == 2:
            raw.update({name: weight.clone() for name, weight in prunable_weights(model).items()})

    fit(model, examples, examples, replace(TRAINING, seed=3), on_epoch=keep)
    masks = magnitude_masks(prunable_weights(starts[0][1]), 0.5)
    for name, mask in masks.items():
        torch.testing.assert_close(starts[1][0][name], raw[name] * mask)


@pytest.mark.slow
@pytest.mark.parametrize("rewind", [0, 1])
def test_a_run_that_was_killed_ends_as_if_it_had_not_been(
    examples: Examples, tmp_path: Path, rewind: int
) -> None:
    config = replace(CONFIG, rewind_epochs=rewind)
    whole = draw(examples, tmp_path / "whole", config)
    folder = tmp_path / "killed"
    for epochs in (1, 2, 5, 9, 13):
        left = iter(range(epochs))

        def kill(record: EpochRecord, left: object = left) -> None:
            if next(left, None) is None:  # type: ignore[call-overload]
                raise Killed

        with pytest.raises(Killed):
            draw(examples, folder, config, on_epoch=kill)
    seen: list[EpochRecord] = []
    resumed = draw(examples, folder, config, on_epoch=seen.append)
    assert resumed.records == whole.records
    assert 0 < len(seen) < TRAINING.epochs * CONFIG.runs


def test_weights_that_were_not_kept_are_trained_again(examples: Examples, tmp_path: Path) -> None:
    config = replace(CONFIG, rewind_epochs=1)
    whole = draw(examples, tmp_path, config)
    (tmp_path / "3-rewound.pt").unlink()
    seen: list[EpochRecord] = []
    assert draw(examples, tmp_path, config, on_epoch=seen.append).records == whole.records
    assert [record.epoch for record in seen] == [1, 2, 3]
    assert (tmp_path / "3-rewound.pt").exists()


def test_a_finished_experiment_is_only_read(examples: Examples, tmp_path: Path) -> None:
    whole = draw(examples, tmp_path)
    told: list[object] = []
    again = draw(examples, tmp_path, on_epoch=told.append, on_record=told.append)
    assert again.records == whole.records == tuple(told)


@given(st.integers(0, 100), st.floats(0, 0.99))
def test_shuffled_masks_keep_the_sparsity_of_each_layer(seed: int, sparsity: float) -> None:
    masks = magnitude_masks({"a": torch.arange(24.0).reshape(4, 6), "b": torch.ones(5)}, sparsity)
    shuffled = shuffled_masks(masks, seed)
    for name, mask in masks.items():
        assert shuffled[name].shape == mask.shape
        assert shuffled[name].sum() == mask.sum()
    assert all(torch.equal(shuffled[name], shuffled_masks(masks, seed)[name]) for name in masks)


def test_settings_out_of_range() -> None:
    with pytest.raises(SettingError) as error:
        LotteryConfig(TRAINING, sparsities=(0.8, 0.5))
    assert str(error.value) == (
        "sparsities are (0.8, 0.5); expected at least one, rising, each between 0 and 1, such as (0.5, 0.8)."
    )
    for sparsities in ((), (0.5, 1.0), (0.0,), (0.5, 0.5)):
        with pytest.raises(SettingError, match="expected at least one, rising, each between 0 and 1"):
            LotteryConfig(TRAINING, sparsities=sparsities)
    for seeds in ((1,), (2, 2)):
        with pytest.raises(SettingError, match="expected two different ones or more, for a single run shows"):
            LotteryConfig(TRAINING, seeds=seeds)
    with pytest.raises(SettingError) as error:
        LotteryConfig(TRAINING, rewind_epochs=3)
    assert str(error.value) == (
        "rewind_epochs is 3, but the dense network trains for 3 epochs; pass 0 or more, and fewer than these."
    )


def test_a_folder_of_another_experiment_is_refused(examples: Examples, tmp_path: Path) -> None:
    draw(examples, tmp_path)
    with pytest.raises(CheckpointError) as error:
        draw(examples, tmp_path, replace(CONFIG, iterative=False))
    assert str(error.value) == (
        f"{tmp_path} holds the runs of a lottery with other settings; delete it to start again, or pass "
        "another folder."
    )
