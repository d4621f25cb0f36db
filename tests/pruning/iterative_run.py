"""One small iterative pruning run, the same at every call, also in a process that will be killed."""

from multiprocessing.connection import Connection
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.pruning import Schedule
from course_lib.pruning.iterative import IterativeConfig, Pruner, PruningRun, prune_iteratively
from course_lib.pruning.weight_pruner import WeightPruner
from course_lib.training import Augmentation, EpochRecord, TrainingConfig
from tests.pruning.small_nets import chain, pictures

TUNING = TrainingConfig(
    epochs=4,
    batch_size=16,
    learning_rate=0.02,
    averaging=0.8,
    augmentation=Augmentation(max_shift=1),
    seed=3,
)
CONFIG = IterativeConfig(TUNING)


def weight_pruner() -> WeightPruner:
    """Return three rounds to 90 % zeros."""
    return WeightPruner(Schedule(0.9, 3))


def run(
    checkpoint: Path | None = None, pruner: Pruner | None = None, config: IterativeConfig = CONFIG, **options
) -> PruningRun:
    """Prune the small network."""
    examples = pictures()
    return prune_iteratively(
        chain(), pruner or weight_pruner(), examples, examples, config, checkpoint=checkpoint, **options
    )


def run_with_ticks(folder: Path, pipe: Connection, pruner: Pruner) -> None:
    """Prune, asking for leave at each step of training, then save the result; for a process of its own."""
    torch.set_num_threads(1)

    def loss(scores: Tensor, labels: Tensor, inputs: Tensor) -> Tensor:
        pipe.send("step")
        pipe.recv()
        return F.cross_entropy(scores, labels)

    done = run(folder / "state", pruner, loss_function=loss)
    torch.save({"weights": done.model.state_dict(), "history": repr(done.history)}, folder / "done.pt")
    pipe.send("done")


def same_weights(first: nn.Module, second: nn.Module) -> bool:
    """Return whether two models hold the same bits."""
    one, other = first.state_dict(), second.state_dict()
    return list(one) == list(other) and all(torch.equal(one[name], other[name]) for name in one)


def epochs_seen(seen: list[tuple[int, int]]):
    """Return a callback that notes round and epoch."""

    def note(number: int, record: EpochRecord) -> None:
        seen.append((number, record.epoch))

    return note
