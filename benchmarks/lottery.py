"""Do winning tickets win? The lottery ticket experiment on the zoo's smallest network, over several seeds.

The network of 8,600 parameters is trained on the 10,000 training images that ship with the course, pruned in
rounds to each sparsity, and trained again from its first weights; against the same mask with new weights, and
against masks shuffled within each layer (see `course_lib.pruning.lottery`). Figures are points of accuracy on
the 10,000 test images, tickets less controls, with 95 % intervals over the seeds, which few seeds leave wide.

The states of all runs are kept in ``runs/lottery``, so a run that was stopped goes on where it was. A quick
run takes few images and epochs and says nothing about tickets.
"""

import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from benchmarks.cli import run
from course_lib.architectures import create_model
from course_lib.data import load_dataset
from course_lib.pruning.lottery import LotteryConfig, draw_tickets
from course_lib.pruning.lottery_result import DENSE, LotteryResult, TicketRecord
from course_lib.training import Augmentation, Examples, TrainingConfig

THREADS = 2
MODEL = "tiny"
FOLDER = Path("runs/lottery")
CONTROLS = (DENSE, "new weights", "shuffled mask")


def settings(quick: bool) -> LotteryConfig:
    """Return the experiment: 30 networks of 8 epochs each, or the quick one."""
    training = TrainingConfig(
        epochs=1 if quick else 8,
        learning_rate=0.1,
        weight_decay=5e-5,
        averaging=0.95,
        augmentation=Augmentation(max_shift=1),
    )
    return LotteryConfig(training, sparsities=(0.5,) if quick else (0.5, 0.8, 0.9), seeds=(0, 1, 2))


def examples(split: str, count: int | None) -> Examples:
    """Return the first images of a split of the shipped data as model inputs."""
    dataset = load_dataset("fashion-mnist", split)
    return Examples(dataset.inputs(slice(count)), dataset.labels[:count])


def experiment(quick: bool, folder: Path) -> LotteryResult:
    """Train all networks, with a progress bar."""
    config, count = settings(quick), 300 if quick else None
    train, validation, test = (examples(split, count) for split in ("train", "validation", "test"))
    with tqdm(total=config.runs, desc=MODEL, unit="network", file=sys.stderr) as bar:

        def show(record: TicketRecord) -> None:
            bar.set_postfix(arm=record.arm, sparsity=record.sparsity, accuracy=f"{record.accuracy:.2%}")
            bar.update()

        build = partial(create_model, MODEL)
        return draw_tickets(build, train, validation, test, config, folder, on_record=show)


def measure(quick: bool) -> dict[str, Any]:
    """Return what tickets gain on each control at each sparsity, in points, and all accuracies."""
    torch.set_num_threads(THREADS)
    if quick:
        with tempfile.TemporaryDirectory() as folder:
            return figures(experiment(quick, Path(folder)))
    return figures(experiment(quick, FOLDER))


def figures(result: LotteryResult) -> dict[str, Any]:
    """Return the figures of an experiment."""
    found: dict[str, Any] = {}
    for sparsity in result.sparsities:
        for control in CONTROLS:
            gain, interval = result.gain(control, sparsity)
            name = f"gain_on_{control.replace(' ', '_')}_at_{100 * sparsity:.0f}_pt"
            found[name] = 100 * gain
            found[f"{name}_interval"] = [100 * end for end in interval]
    return {**found, "records": [vars(record) for record in result.records]}


if __name__ == "__main__":
    run(measure, threads=THREADS)
