"""Train the zoo from the full Fashion-MNIST: ``python -m course_lib.pipelines.zoo`` (or ``make zoo``).

Each network's state is kept after every epoch, so the same command goes on after an interruption. When all
are trained, the test set is read, once, and each network gets its card; a line puts its new accuracy beside
that of the shipped checkpoint. ``--install`` puts the new files in the place of the shipped ones.
"""

import argparse
import shutil
import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path

import torch
from tqdm import tqdm

from course_lib.architectures import ModelCard, create_model, list_zoo, load_card, load_pretrained
from course_lib.architectures.cards import CHECKPOINTS, save_card
from course_lib.architectures.checkpoints import load_weights, save_checkpoint
from course_lib.benchmarking.intervals import proportion_interval
from course_lib.benchmarking.macs import profile_layers
from course_lib.data import Dataset, load_dataset
from course_lib.distillation.config import DistillationConfig
from course_lib.distillation.response import Response
from course_lib.distillation.trainer import DistillationRecord, DistillationRun, distill
from course_lib.errors import CourseError
from course_lib.pipelines.recipes import RECIPES, TaughtConfig
from course_lib.registry import look_up
from course_lib.reproducibility import seeded_torch, sha256_of, write_atomically
from course_lib.training import EpochRecord, Examples, TrainingConfig, TrainingRun, fit, predict

FULL = "fashion-mnist-full"


def train_model(
    name: str, config: TrainingConfig, train: Dataset, validation: Dataset, output: Path, device: str = "cpu"
) -> TrainingRun | DistillationRun:
    """Train one network, or continue where an interrupted run stopped, with a progress bar.

    With a `TaughtConfig` it learns from its teacher, whose scores are kept in ``output`` as well.

    Parameters
    ----------
    name
        The network in the registry.
    output
        Folder of the state kept after every epoch.
    """
    with seeded_torch(config.seed):
        model = create_model(name, train.num_classes)
    seen, held_out = (Examples(part.inputs(), part.labels) for part in (train, validation))
    state = output / f"{name}.training.pt"
    with tqdm(total=config.epochs, desc=name, unit="epoch") as bar:

        def show(record: EpochRecord | DistillationRecord) -> None:
            bar.set_postfix(loss=f"{record.loss:.3f}", validation=f"{record.validation_accuracy:.2%}")
            bar.update(record.epoch - bar.n)

        if not isinstance(config, TaughtConfig):
            return fit(model, seen, held_out, config, device=device, checkpoint=state, on_epoch=show)
        return distill(
            model,
            load_pretrained(config.teacher),
            seen,
            held_out,
            DistillationConfig(config, views=config.views),
            Response(config.temperature, config.alpha),
            cache=output / "teacher",
            teacher_accuracy=load_card(config.teacher).accuracy,
            device=device,
            checkpoint=state,
            on_epoch=show,
        )


def make_card(
    name: str, config: TrainingConfig, run: TrainingRun | DistillationRun, test: Dataset, output: Path
) -> ModelCard:
    """Save the checkpoint, read the test set once on the CPU, and write the card."""
    path = output / f"{name}.safetensors"
    save_checkpoint(run.model, path)
    # The network as a student will load it: in another memory layout the sums would round differently.
    model = create_model(name, test.num_classes)
    load_weights(model, path)
    profile = profile_layers(model, torch.from_numpy(test.inputs(slice(1))))
    correct = int((predict(model, test.inputs()).argmax(1) == test.labels).sum())
    low, high = proportion_interval(correct, len(test))
    card = ModelCard(
        name=name,
        params=profile.params,
        macs=profile.macs,
        correct=correct,
        total=len(test),
        accuracy=correct / len(test),
        accuracy_low=low,
        accuracy_high=high,
        validation_accuracy=run.history[-1].validation_accuracy,
        command=f"python -m course_lib.pipelines.zoo --only {name}",
        seed=config.seed,
        config=asdict(config),
        versions={**run.environment, "evaluated with torch": str(torch.__version__)},
        sha256=sha256_of(path),
        size_bytes=path.stat().st_size,
    )
    save_card(card, output)
    return card


def train_zoo(names: list[str], output: Path, device: str, install: bool) -> None:
    """Train the named networks in order, then write their cards and print new beside shipped accuracy.

    Raises
    ------
    UnknownNameError
        If a name has no recipe; before anything is trained.
    """
    recipes = {name: look_up(RECIPES, "recipe", name) for name in names}
    train, validation = (load_dataset(FULL, split) for split in ("train", "validation"))
    runs = {
        name: train_model(name, config, train, validation, output, device) for name, config in recipes.items()
    }
    # Only now, so that no training run can have seen it.
    test = load_dataset(FULL, "test")
    for name, config in recipes.items():
        card = make_card(name, config, runs[name], test, output)
        print(f"{name}: {card.accuracy:.2%} on the test set; shipped: {_shipped_accuracy(name)}")
        if install:
            for file in (f"{name}.safetensors", f"{name}.json"):
                write_atomically(CHECKPOINTS / file, partial(shutil.copyfile, output / file))


def _shipped_accuracy(name: str) -> str:
    return f"{load_card(name).accuracy:.2%}" if name in list_zoo() else "none"


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m course_lib.pipelines.zoo", description=__doc__)
    parser.add_argument("--only", nargs="+", metavar="NAME", help=f"some of: {', '.join(RECIPES)}")
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda or mps")
    parser.add_argument("--output", type=Path, default=Path("runs/zoo"), help="folder of states and results")
    parser.add_argument("--install", action="store_true", help="replace the shipped checkpoints")
    arguments = parser.parse_args()
    try:
        train_zoo(arguments.only or list(RECIPES), arguments.output, arguments.device, arguments.install)
    except CourseError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
