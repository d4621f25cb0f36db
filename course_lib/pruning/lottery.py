"""The lottery ticket experiment: does part of a network, at its first weights, train as well as the whole?

Frankle and Carbin (2019, section 1): train the dense network from θ₀ to θ_T, prune the smallest weights of
θ_T, put those that are left back to θ₀, and train them alone. What is claimed is that mask and first weights
belong together. So each ticket has two controls of the same sparsity, trained alike:

    ticket           mask from θ_T, weights from θ₀
    new weights      the same mask, weights drawn anew
    shuffled mask    weights from θ₀, the mask's entries permuted within each layer (Frankle et al. 2021)

Larger networks have to go back to the weights after some epochs instead of θ₀ (Frankle et al. 2020); each
ticket then still trains for all epochs. All runs of a seed see the same batches, augmented alike.

Left out: tickets carried over to other data or other networks.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import get_args

import torch
from torch import Tensor, nn

from course_lib.benchmarking import record_machine
from course_lib.errors import CheckpointError, SettingError
from course_lib.pruning.lottery_result import DENSE, Arm, LotteryResult, TicketRecord
from course_lib.pruning.masked import bake_masks, hold_masks, prunable_weights
from course_lib.pruning.masks import magnitude_masks
from course_lib.reproducibility import (
    seeded_torch,
    torch_generator,
    write_atomically,
    write_text_atomically,
)
from course_lib.training.config import TrainingConfig
from course_lib.training.evaluate import Examples, accuracy
from course_lib.training.fit import EpochRecord, fit

NEW_SEED = 1000
"""Added to a seed to draw the new weights and the permutations of its controls."""


@dataclass(frozen=True)
class LotteryConfig:
    """One experiment.

    Parameters
    ----------
    training
        Every run's; its seed is replaced by those of ``seeds``.
    sparsities
        Fractions of the weights of linear layers and convolutions to prune, in (0, 1), rising.
    seeds
        At least two.
    rewind_epochs
        Tickets go back to the weights after so many epochs of the dense run; 0 is θ₀.
    iterative
        True: each sparsity's mask comes from the trained ticket of the one before, as in the paper's main
        experiments. False: each comes from the dense network (one-shot).

    Raises
    ------
    SettingError
        If a number is out of its range.
    """

    training: TrainingConfig
    sparsities: tuple[float, ...] = (0.5, 0.8, 0.9)
    seeds: tuple[int, ...] = (0, 1, 2)
    rewind_epochs: int = 0
    iterative: bool = True

    def __post_init__(self) -> None:
        rising = list(self.sparsities) == sorted(set(self.sparsities))
        if not self.sparsities or not rising or not all(0 < each < 1 for each in self.sparsities):
            raise SettingError(
                f"sparsities are {self.sparsities}; expected at least one, rising, each between 0 and 1, "
                "such as (0.5, 0.8)."
            )
        if len(set(self.seeds)) != len(self.seeds) or len(self.seeds) < 2:
            raise SettingError(
                f"seeds are {self.seeds}; expected two different ones or more, for a single run shows no "
                "spread."
            )
        if not 0 <= self.rewind_epochs < self.training.epochs:
            raise SettingError(
                f"rewind_epochs is {self.rewind_epochs}, but the dense network trains for "
                f"{self.training.epochs} epochs; pass 0 or more, and fewer than these."
            )

    @property
    def runs(self) -> int:
        """How many networks are trained."""
        return len(self.seeds) * (1 + len(get_args(Arm)) * len(self.sparsities))


def draw_tickets(
    build: Callable[[], nn.Module],
    train: Examples,
    validation: Examples,
    test: Examples,
    config: LotteryConfig,
    folder: Path,
    *,
    on_record: Callable[[TicketRecord], None] | None = None,
    on_epoch: Callable[[EpochRecord], None] | None = None,
) -> LotteryResult:
    """Train everything that the experiment needs, ``config.runs`` networks.

    Parameters
    ----------
    build
        Makes the untrained network, with weights from torch's global random state.
    validation
        Watched after every epoch; decides nothing.
    test
        Judges each network once, when it is trained.
    folder
        Keeps the state of every run after each epoch. After an interruption the same call goes on from there
        and gives the same result.
    on_record, on_epoch
        Called after each network, and after each epoch of any, for progress.

    Raises
    ------
    CheckpointError
        If the folder belongs to another experiment, or a file in it is damaged.
    """
    _claim(folder, config, len(train.labels))
    runs = _Runs(train, validation, test, config.training, folder, on_record, on_epoch)
    for seed in config.seeds:
        rewound, dense = _train_dense(runs, build, seed, config.rewind_epochs)
        source = dense
        for sparsity in config.sparsities:
            masks = magnitude_masks(prunable_weights(source), sparsity)
            ticket = runs.train_one(seed, "ticket", sparsity, hold_masks(rewound, masks))
            fresh = _built(build, seed + NEW_SEED)
            runs.train_one(seed, "new weights", sparsity, hold_masks(fresh, masks))
            shuffled = shuffled_masks(masks, seed + NEW_SEED)
            runs.train_one(seed, "shuffled mask", sparsity, hold_masks(rewound, shuffled))
            source = ticket if config.iterative else dense
    machine = record_machine(torch.get_num_threads(), config.seeds[0])
    return LotteryResult(machine=machine, records=tuple(runs.records), images=len(test.labels))


def shuffled_masks(masks: Mapping[str, Tensor], seed: int) -> dict[str, Tensor]:
    """Return masks whose entries are permuted within each tensor: every layer keeps its sparsity."""
    generator = torch_generator(seed)
    return {
        name: mask.flatten()[torch.randperm(mask.numel(), generator=generator)].reshape(mask.shape)
        for name, mask in masks.items()
    }


class _Runs:
    """Trains one network after another and keeps what each came to."""

    def __init__(
        self,
        train: Examples,
        validation: Examples,
        test: Examples,
        training: TrainingConfig,
        folder: Path,
        on_record: Callable[[TicketRecord], None] | None,
        on_epoch: Callable[[EpochRecord], None] | None,
    ) -> None:
        self.train, self.validation, self.test, self.training = train, validation, test, training
        self.folder, self.on_record, self.on_epoch = folder, on_record, on_epoch
        self.records: list[TicketRecord] = []

    def path(self, seed: int, arm: str, sparsity: float) -> Path:
        return self.folder / f"{seed}-{arm.replace(' ', '-')}-{sparsity}.pt"

    def train_one(
        self,
        seed: int,
        arm: str,
        sparsity: float,
        start: nn.Module,
        after_epoch: Callable[[EpochRecord], None] | None = None,
    ) -> nn.Module:
        """Train a network in place and return the averaged one, with ordinary weights."""

        def show(epoch: EpochRecord) -> None:
            for call in (after_epoch, self.on_epoch):
                if call:
                    call(epoch)

        settings, state = replace(self.training, seed=seed), self.path(seed, arm, sparsity)
        run = fit(start, self.train, self.validation, settings, checkpoint=state, on_epoch=show)
        self.records.append(TicketRecord(seed, arm, sparsity, accuracy(run.model, self.test)))
        if self.on_record:
            self.on_record(self.records[-1])
        return bake_masks(run.model)


def _train_dense(
    runs: _Runs, build: Callable[[], nn.Module], seed: int, rewind_epochs: int
) -> tuple[nn.Module, nn.Module]:
    """Return the network at the weights that tickets go back to, and the trained one."""
    rewound, model = _built(build, seed), _built(build, seed)
    if rewind_epochs == 0:
        return rewound, runs.train_one(seed, DENSE, 0.0, model)
    kept = runs.folder / f"{seed}-rewound.pt"
    if not kept.exists():
        # A run that was killed after the epoch and before its weights were kept has to start again.
        runs.path(seed, DENSE, 0.0).unlink(missing_ok=True)

    def keep(epoch: EpochRecord) -> None:
        if epoch.epoch == rewind_epochs:
            write_atomically(kept, lambda target: torch.save(model.state_dict(), target))

    dense = runs.train_one(seed, DENSE, 0.0, model, keep)
    rewound.load_state_dict(torch.load(kept, weights_only=True))
    return rewound, dense


def _built(build: Callable[[], nn.Module], seed: int) -> nn.Module:
    with seeded_torch(seed):
        return build()


def _claim(folder: Path, config: LotteryConfig, images: int) -> None:
    """Write the experiment's settings into its folder, or compare them with those already there."""
    path, settings = folder / "settings.json", json.dumps({**asdict(config), "images": images}, indent=1)
    if not path.exists():
        write_text_atomically(path, settings)
    elif path.read_text(encoding="utf-8") != settings:
        raise CheckpointError(
            f"{folder} holds the runs of a lottery with other settings; delete it to start again, or pass "
            "another folder."
        )
