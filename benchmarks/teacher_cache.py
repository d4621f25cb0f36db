"""How much an epoch of distillation saves when the teacher's scores are read from disk, with equal losses.

The zoo's teacher ("residual") teaches the smallest student ("tiny") on the 10,000 training images that ship
with the course. Each round trains two equal students for one epoch on the same view, one with cached scores
and one with a teacher that is asked again, in turns of who goes first; an epoch includes making the view,
reading or computing the scores, and 1,000 validation images. A round has a seed of its own for order and
weights.

What the cache saves depends on teacher and student: the ratio is near 1 + (teacher's forward pass) /
(student's training step). The scores of one view take 40 bytes a picture.
"""

import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import torch

from benchmarks.cli import Target, run
from course_lib.architectures import create_model, load_pretrained
from course_lib.benchmarking.intervals import ratio_interval
from course_lib.data import load_dataset
from course_lib.distillation.guards import frozen_teacher
from course_lib.distillation.objective import DistillationObjective
from course_lib.distillation.response import Response
from course_lib.distillation.teacher_cache import TeacherScores
from course_lib.distillation.views import Views
from course_lib.reproducibility import seeded_torch
from course_lib.training import Augmentation, EpochRecord, Examples, TrainingConfig, fit

THREADS = 2
TEACHER, STUDENT = "residual", "tiny"
TARGETS = {"speedup": Target(low=2), "losses_equal": Target(low=1)}


class Epoch(NamedTuple):
    """One epoch: how long it took, and what it gave."""

    seconds: float
    record: EpochRecord


def examples(split: str, count: int) -> Examples:
    """Return the first images of a split of the shipped data as model inputs."""
    dataset = load_dataset("fashion-mnist", split)
    return Examples(dataset.inputs(slice(count)), dataset.labels[:count])


def one_epoch(
    teacher: torch.nn.Module, folder: Path | None, train: Examples, validation: Examples, seed: int
) -> Epoch:
    """Train a new student for one epoch, with scores from the folder or, without one, from the teacher."""
    with seeded_torch(seed):
        student = create_model(STUDENT)
    config = TrainingConfig(epochs=1, seed=seed)
    start = time.perf_counter()
    views = Views(train.inputs, Augmentation(), count=1, seed=seed)
    scores = TeacherScores(teacher, folder)
    objective = DistillationObjective(student, scores, views, Response(), train.labels, validation)
    trained = fit(student, train, validation, config, loss_function=objective)
    return Epoch(time.perf_counter() - start, trained.history[0])


def measure(quick: bool) -> dict[str, Any]:
    """Return the ratio of the medians with its interval, both medians, and whether all losses are equal."""
    torch.set_num_threads(THREADS)
    rounds, count = (2, 1000) if quick else (8, 10_000)
    train, validation = examples("train", count), examples("validation", count // 10)
    teacher = frozen_teacher(load_pretrained(TEACHER))
    cached: list[Epoch] = []
    recomputed: list[Epoch] = []
    one_epoch(teacher, None, train, validation, seed=rounds)  # torch sets itself up in the first
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for seed in range(rounds):
            views = Views(train.inputs, Augmentation(), count=1, seed=seed)
            TeacherScores(teacher, folder).of_view(views, 0)
            turns = [(folder, cached), (None, recomputed)]
            for place, epochs in turns if seed % 2 else reversed(turns):
                epochs.append(one_epoch(teacher, place, train, validation, seed))
        cached_bytes = sum(path.stat().st_size for path in folder.iterdir()) // rounds
    fast, slow = (np.array([epoch.seconds for epoch in epochs]) for epochs in (cached, recomputed))
    return {
        "speedup": median(slow) / median(fast),
        "speedup_interval": list(ratio_interval(slow, fast)),
        "losses_equal": [epoch.record for epoch in cached] == [epoch.record for epoch in recomputed],
        "cached_epoch_s": float(median(fast)),
        "recomputed_epoch_s": float(median(slow)),
        "view_bytes": cached_bytes,
        "images": count,
        "rounds": rounds,
        "cached_samples_s": fast.tolist(),
        "recomputed_samples_s": slow.tolist(),
    }


if __name__ == "__main__":
    run(measure, TARGETS, threads=THREADS)
