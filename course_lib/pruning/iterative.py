"""Prune a little, fine-tune, prune again: until the target is met, or the accuracy falls below a floor.

What a network loses when a fifth of it goes, a few epochs win back; what it loses when four fifths go at once
often stays lost (Han et al. 2015, section 3.3). So each round of `prune_iteratively` takes the trained model
of the round before, lets a pruner choose and take away, and trains what is left with `fit`. Two pruners are
here: `WeightPruner` (masks) and `ChannelPruner` (smaller layers).

>>> pruner = WeightPruner(Schedule(target=0.8, steps=4))                               # doctest: +SKIP
>>> run = prune_iteratively(model, pruner, train, validation, IterativeConfig(tuning)) # doctest: +SKIP
>>> run.model, run.history[-1].amount                                                  # doctest: +SKIP

With a floor of 0.95, a dense model of 90 % and rounds that end at 89, 88 and 84 %, the third falls below
0.95 · 90 = 85.5 % and the model of the second is returned.

With a folder for checkpoints a run can be killed at any moment: started again, it goes on from the last epoch
and ends with the same bits as if nothing had happened.
"""

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

import torch
from torch import nn

from course_lib.errors import SettingError
from course_lib.pruning.iterative_state import Choice, PruningState, RoundRecord
from course_lib.training.config import TrainingConfig
from course_lib.training.evaluate import Examples, accuracy
from course_lib.training.fit import EpochRecord, fit
from course_lib.training.objective import Loss, Objective, cross_entropy

StoppedBy: TypeAlias = Literal["target", "floor"]


class Pruner(Protocol):
    """One way to take something away from a model, a little more in each round."""

    @property
    def rounds(self) -> int:
        """How many rounds lead to the target."""

    def settings(self) -> Mapping[str, object]:
        """Return plain values that a checkpoint of another run would differ in."""

    def choose(self, model: nn.Module, round_number: int, dense: nn.Module) -> Choice:
        """Return what has to go in this round, counted from 1, from the model of the round before."""

    def apply(self, model: nn.Module, choice: Choice) -> nn.Module:
        """Return a copy of the model without what was chosen, ready to be trained."""

    def finish(self, trained: nn.Module) -> nn.Module:
        """Return a trained model as an ordinary one."""

    def amount(self, model: nn.Module, dense: nn.Module) -> float:
        """Return how much is gone, a fraction in the measure of the target."""


@dataclass(frozen=True)
class IterativeConfig:
    """How the rounds are trained, and when they stop early.

    Parameters
    ----------
    tuning
        Fine-tuning of each round; round r uses its seed + r.
    last_tuning
        That of the last round, where the model has to be at its best; None for the same as the others.
    accuracy_floor
        Fraction of the dense model's validation accuracy, in [0, 1], below which the rounds stop.

    Raises
    ------
    SettingError
        If the floor is outside [0, 1].
    """

    tuning: TrainingConfig
    last_tuning: TrainingConfig | None = None
    accuracy_floor: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.accuracy_floor <= 1:
            raise SettingError(
                f"accuracy_floor is {self.accuracy_floor}, but it is a fraction of the dense model's "
                "accuracy, from 0 to 1; try 0.95."
            )


@dataclass(frozen=True)
class PruningRun:
    """A pruned model in evaluation mode, the record of each round, and why the rounds ended.

    Attributes
    ----------
    model
        That of the last round above the floor; a copy of the dense model if there is none.
    dense_accuracy
        Validation accuracy of the model that was given, in [0, 1].
    history
        One record a round; the last one has ``kept=False`` where it fell below the floor.
    stopped_by
        ``"target"`` or ``"floor"``.
    """

    model: nn.Module
    dense_accuracy: float
    history: tuple[RoundRecord, ...]
    stopped_by: StoppedBy


def prune_iteratively(
    model: nn.Module,
    pruner: Pruner,
    train: Examples,
    validation: Examples,
    config: IterativeConfig,
    *,
    loss_function: Loss | Objective = cross_entropy,
    device: str = "cpu",
    checkpoint: Path | None = None,
    on_round: Callable[[RoundRecord], None] | None = None,
    on_epoch: Callable[[int, EpochRecord], None] | None = None,
) -> PruningRun:
    """Prune and fine-tune in turns, and return the last model above the accuracy floor.

    Parameters
    ----------
    model
        The trained, dense model; left as it is.
    pruner
        What goes in each round.
    train, validation
        Images to fine-tune on, and to judge the rounds by. Not the test images: the floor is a choice.
    loss_function
        As for `fit`; a loss that compares with the dense model's scores, or an objective that compares maps
        as well (`course_lib.distillation.imitation`), distils from it.
    checkpoint
        A folder of this run's own. Where it holds the state of the same run, that is continued.
    on_round
        Called after each round that is run, with its record.
    on_epoch
        Called after each epoch with the number of its round, from 1, and the epoch's record.

    Raises
    ------
    CheckpointError
        If ``checkpoint`` holds a damaged state, or that of another model or other settings.
    SettingError
        If there is a ``checkpoint``, and the pruner's importance has no name that it could be known by.
    ModelError
        Whatever the pruner raises for a model that it cannot handle.
    """
    dense = _ordinary(deepcopy(model).cpu())
    settings = {"config": asdict(config), "pruner": dict(pruner.settings())} if checkpoint else {}
    state = PruningState(checkpoint, settings, dense)
    if not state.load():
        state.dense_accuracy = accuracy(deepcopy(dense).to(device), validation, device)
    current = _restored(dense, pruner, state)
    while not state.floor_reached and len(state.history) < pruner.rounds:
        number = len(state.history) + 1
        if state.pending is None:
            state.pending = pruner.choose(current, number, dense)
            state.save()
        trained = fit(
            pruner.apply(current, state.pending),
            train,
            validation,
            _tuning(config, number, pruner.rounds),
            loss_function=loss_function,
            device=device,
            checkpoint=state.epochs_file(number),
            on_epoch=None if on_epoch is None else partial(on_epoch, number),
        )
        tuned = _ordinary(pruner.finish(trained.model.cpu()))
        reached = trained.history[-1].validation_accuracy
        kept = reached >= config.accuracy_floor * state.dense_accuracy
        record = RoundRecord(number, pruner.amount(tuned, dense), reached, kept)
        state.close_round(record, tuned)
        if kept:
            current = tuned
        if on_round:
            on_round(record)
    stopped_by: StoppedBy = "floor" if state.floor_reached else "target"
    return PruningRun(current, state.dense_accuracy, tuple(state.history), stopped_by)


def _tuning(config: IterativeConfig, number: int, rounds: int) -> TrainingConfig:
    tuning = config.last_tuning if config.last_tuning and number == rounds else config.tuning
    return replace(tuning, seed=tuning.seed + number)


def _restored(dense: nn.Module, pruner: Pruner, state: PruningState) -> nn.Module:
    """Return the model of the last round kept: the same removals once more, then its trained tensors."""
    model: nn.Module = deepcopy(dense)
    for choice in state.choices:
        model = _ordinary(pruner.finish(pruner.apply(model, choice)))
    state.restore_tensors(model)
    return model


def _ordinary(model: nn.Module) -> nn.Module:
    """Lay the tensors out as in a model that was just loaded, or sums would differ in their last bits."""
    for tensor in (*model.parameters(), *model.buffers()):
        tensor.data = tensor.data.clone(memory_format=torch.contiguous_format)
    return model.eval()
