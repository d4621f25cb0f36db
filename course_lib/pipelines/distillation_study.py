"""Does distillation pay? Each method against the same student trained alone: ``make experiments``.

``python -m course_lib.pipelines.distillation_study --only alone response --seeds 0 1`` runs a part of it. The
smallest network of the zoo ("tiny") learns from the 10,000 training images that ship with the course, with
"residual" as its teacher, in 10 epochs a run, over five seeds. The teacher was trained on all 55,000 training
images of the full data set; what a student gains from it includes what those images taught it, while "self"
and "mutual" know the 10,000 only. Settings of methods are those of their papers or the library's; none was
chosen by looking at the test images.

Runs go seed by seed, so that an interrupted study is balanced. A finished run is recorded (see
`distillation_records`) and not run again; an unfinished one goes on from its state in ``runs/distillation``.
"""

import argparse
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn
from tqdm import tqdm

from course_lib.architectures import create_model, load_card, load_pretrained
from course_lib.architectures.checkpoints import load_weights
from course_lib.benchmarking import record_machine
from course_lib.benchmarking.checks import require_count
from course_lib.data import load_dataset
from course_lib.distillation.config import DistillationConfig
from course_lib.distillation.guards import frozen_teacher
from course_lib.distillation.teacher_cache import TeacherScores
from course_lib.distillation.views import Views
from course_lib.errors import CheckpointError, CourseError
from course_lib.pipelines.distillation_arms import ARMS, Arm, Material
from course_lib.pipelines.distillation_records import (
    RECORDED,
    RunRecord,
    load_record,
    record_path,
    run_name,
    save_record,
    save_student,
    weights_path,
)
from course_lib.pipelines.distillation_result import StudyResult, load_study
from course_lib.registry import look_up
from course_lib.training import Examples, TrainingConfig, predict

STUDENT, ASSISTANT, TEACHER = "tiny", "depthwise", "residual"
SEEDS = (0, 1, 2, 3, 4)
TRAINING = TrainingConfig(epochs=10, weight_decay=5e-5, averaging=0.98)
THREADS = 2
FOLDER = Path("runs/distillation")


def make_config(training: TrainingConfig, seed: int) -> DistillationConfig:
    """Return the settings of a run: a view an epoch, the same views for all seeds."""
    return DistillationConfig(replace(training, seed=seed), views=training.epochs)


def run_settings(arm: Arm, config: DistillationConfig, images: int) -> dict[str, Any]:
    """Return all that decides a run, as plain values that JSON gives back unchanged.

    Parameters
    ----------
    images
        How many training images the student sees.
    """
    return {
        "arm": repr(arm),
        "student": STUDENT,
        "assistant": ASSISTANT,
        "teacher": TEACHER,
        "teacher_sha256": load_card(TEACHER).sha256,
        "train_images": images,
        **asdict(config),
    }


def load_material(cache: Path, count: int | None = None) -> Material:
    """Return the networks and the shipped images; of each split the first ``count``."""
    return Material(
        student=partial(create_model, STUDENT),
        assistant=partial(create_model, ASSISTANT),
        teacher=load_pretrained(TEACHER),
        teacher_accuracy=load_card(TEACHER).accuracy,
        train=load_examples("train", count),
        validation=load_examples("validation", count),
        cache=cache,
    )


def load_examples(split: str, count: int | None = None) -> Examples:
    """Return the first ``count`` images of a split of the shipped data as model inputs."""
    dataset = load_dataset("fashion-mnist", split)
    return Examples(dataset.inputs(slice(count)), dataset.labels[:count])


def train_images(count: int | None = None) -> int:
    """Return how many training images a study of the first ``count`` has."""
    return len(load_dataset("fashion-mnist", "train").labels[:count])


def count_correct(model: nn.Module, test: Examples) -> int:
    """Return how many images the model classifies rightly."""
    return int((predict(model, test.inputs).argmax(1) == test.labels).sum())


def train_student(
    method: str,
    config: DistillationConfig,
    material: Material,
    test: Examples,
    output: Path,
    folder: Path,
    on_epoch: Callable[[], None],
) -> RunRecord:
    """Train one student, or continue where an interrupted run stopped, and record it.

    Parameters
    ----------
    output
        Where record and weights go.
    folder
        Where the state of the training lies until then.

    Raises
    ------
    CheckpointError
        If the state was left by a run with other settings.
    """
    arm, seed = ARMS[method], config.training.seed
    state = folder / run_name(method, seed)
    continued = state.exists()
    start = time.perf_counter()
    run = arm.train(material, config, state, on_epoch)
    seconds = None if continued else round(time.perf_counter() - start, 2)
    sha256 = save_student(run.model, method, seed, output)
    # The network as it will be loaded: in another memory layout the sums would round differently.
    student = material.student()
    load_weights(student, weights_path(method, seed, output))
    record = RunRecord(
        method=method,
        seed=seed,
        correct=count_correct(student, test),
        total=len(test.labels),
        validation_accuracies=tuple(each.validation_accuracy for each in run.history),
        soft_losses=tuple(each.soft_loss for each in run.history),
        hard_losses=tuple(each.hard_loss for each in run.history),
        seconds=seconds,
        warnings=run.warnings,
        settings=run_settings(arm, config, len(material.train.labels)),
        machine=record_machine(threads=torch.get_num_threads(), seed=seed).as_dict(),
        sha256=sha256,
    )
    save_record(record, output)
    shutil.rmtree(state)
    return record


def is_finished(method: str, config: DistillationConfig, output: Path, count: int | None = None) -> bool:
    """Return whether the run over the first ``count`` training images, by default all, is recorded.

    Raises
    ------
    CheckpointError
        If the record is damaged, or was made with other settings.
    """
    path = record_path(method, config.training.seed, output)
    if not path.exists():
        return False
    if load_record(path).settings != run_settings(ARMS[method], config, train_images(count)):
        raise CheckpointError(
            f"The record {path.name} was made with other settings than the study has now; delete it to train "
            "this student again, or give another folder with --output."
        )
    return True


def run_study(
    methods: Sequence[str],
    seeds: Sequence[int],
    output: Path = RECORDED,
    folder: Path = FOLDER,
    training: TrainingConfig = TRAINING,
    count: int | None = None,
) -> StudyResult:
    """Train all students that are not recorded yet, seed by seed, with a progress bar; return the result.

    Parameters
    ----------
    methods
        Names of `ARMS`, whose order they are run in.
    output, folder
        Where records and weights go, and where states and the teacher's scores are kept.
    count
        Images to be used of each split; all by default.

    Raises
    ------
    UnknownNameError
        If there is no such method; before anything is trained.
    CheckpointError
        If a record or state is damaged or was made with other settings.
    """
    for method in methods:
        look_up(ARMS, "method of the study", method)
    runs = [(make_config(training, seed), name) for seed in seeds for name in ARMS if name in methods]
    waiting = [(config, name) for config, name in runs if not is_finished(name, config, output, count)]
    if waiting:
        material, test = load_material(folder / "teacher", count), load_examples("test", count)
        prepare_scores(material, waiting[0][0])
        total, left = (
            sum(ARMS[name].trainings * config.training.epochs for config, name in some)
            for some in (runs, waiting)
        )
        with tqdm(total=total, initial=total - left, unit="epoch", file=sys.stderr) as bar:
            done = total - left
            for config, name in waiting:
                bar.set_description(run_name(name, config.training.seed))
                record = train_student(name, config, material, test, output, folder, lambda: bar.update())
                bar.set_postfix_str(f"{run_name(name, record.seed)}: {record.accuracy:.2%}")
                # A run that was continued has been through some of its epochs before.
                done += ARMS[name].trainings * config.training.epochs
                bar.update(done - bar.n)
    return load_study(output)


def prepare_scores(material: Material, config: DistillationConfig) -> None:
    """Let the teacher score all views, so that no run pays for what others find on the disk."""
    scores = TeacherScores(frozen_teacher(material.teacher), material.cache)
    scores.of_inputs(material.validation.inputs)
    views = Views(material.train.inputs, config.training.augmentation, config.views, config.views_seed)
    for view in tqdm(range(views.count), desc="teacher", unit="view", file=sys.stderr):
        scores.of_view(views, view)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m course_lib.pipelines.distillation_study",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", nargs="+", metavar="METHOD", help=f"some of: {', '.join(ARMS)}")
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS, help="0 1 2 3 4 by default")
    parser.add_argument("--threads", type=int, default=THREADS, help=f"{THREADS} by default")
    parser.add_argument("--output", type=Path, default=RECORDED, help="folder of records and weights")
    arguments = parser.parse_args()
    try:
        torch.set_num_threads(require_count("threads", arguments.threads, 1))
        seeds = [require_count("seed", seed, 0) for seed in arguments.seeds]
        print(run_study(arguments.only or list(ARMS), seeds, arguments.output))
    except CourseError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
