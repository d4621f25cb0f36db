"""What the deck of week 3 shows, measured: soft targets, gradients, students, the cache, a teacher's modes.

The study of nine ways and five seeds is not run again: its records ship with the course and are read. It
takes about four minutes on two quiet CPUs, most of it for three students of five epochs, as the notebook
trains them, and for epochs with and without the cache. Test images judge. All on one thread, as the footnotes
say.
"""

import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from course_lib.architectures import create_model, list_zoo, load_pretrained
from course_lib.data import Dataset, load_dataset
from course_lib.distillation.config import DistillationConfig
from course_lib.distillation.decoupled import Decoupled
from course_lib.distillation.method import Method
from course_lib.distillation.response import Response
from course_lib.distillation.trainer import distill
from course_lib.explore.distillation_studies import (
    careless_accuracies,
    certainty_bins,
    entropy_curve,
    gradient_study,
    look_of,
    race_cache,
)
from course_lib.explore.image_choice import choose_images
from course_lib.explore.networks_beside import networks_beside
from course_lib.explore.scored_model import score_model
from course_lib.explore.temperature import TEMPERATURES
from course_lib.pipelines.distillation_arms import LAYERS
from course_lib.pipelines.distillation_result import StudyResult, load_study
from course_lib.pipelines.distillation_study import load_examples
from course_lib.reproducibility import seeded_torch
from course_lib.training import TrainingConfig

TEACHER, STUDENT = "residual", "tiny"
SHOWN_CLASS = "Coat"
GRADIENTS_AT = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0, 14.0, 20.0)
TEMPERATURE = 4.0
SEED, EPOCHS = 7, 5
WAYS: dict[str, Method | None] = {"alone": None, "response": Response(), "decoupled": Decoupled()}
PAIRS = {
    "residual → tiny": ("residual", "tiny"),
    "depthwise → tiny": ("depthwise", "tiny"),
    "residual → depthwise": ("residual", "depthwise"),
    "depthwise → residual": ("depthwise", "residual"),
}
"""Pair → teacher and student of an epoch with and without the cache."""
BESIDE = ("compact", "tiny", "depthwise", "plain_conv")
"""Networks to stand beside the teacher, of those that the zoo has."""


def measure_week03(quick: bool = False) -> dict[str, Any]:
    """Return the results of week 3, name → measured result; a quick run only shows that it works."""
    torch.set_num_threads(1)
    images, image = load_dataset("fashion-mnist"), load_examples("test", 1).inputs
    names = [name for name in BESIDE if name in list_zoo()]
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder)
        trained = measure_students(images, cache, quick)
        races = measure_cache(cache, quick)
    return {
        **measure_answers(images),
        **trained,
        "careless": careless_accuracies(
            load_pretrained(TEACHER), load_examples("test", 100 if quick else 2000), (2, 4, 8, 16, 64)
        ),
        "cache": races,
        "study": without_settings(load_study()),
        "networks": networks_beside(TEACHER, names, image, runs=20 if quick else 200),
    }


def measure_answers(images: Dataset) -> dict[str, Any]:
    """Return what the teacher says of one picture and of all, and what moves an untrained student."""
    scored = {name: score_model(name, images) for name in (TEACHER, STUDENT)}
    newborn = score_model(untrained(), images)
    taught, label = scored[TEACHER].scores, images.class_names.index(SHOWN_CLASS)
    shown = shown_picture(images)
    return {
        "scores": taught[shown].tolist(),
        "class_names": list(images.class_names),
        "label": label,
        "entropies": {name: entropy_curve(each.scores, TEMPERATURES[::4]) for name, each in scored.items()},
        "gradients": gradient_study(newborn.scores, taught, images.labels, GRADIENTS_AT),
        "certainty": certainty_bins(scored[STUDENT].scores, taught, images.labels, TEMPERATURE),
        "picture": np.squeeze(images.images[shown]).tolist(),
    }


def shown_picture(images: Dataset) -> int:
    """Return the position of a picture of the shown class on which the teacher is sure and right."""
    label = images.class_names.index(SHOWN_CLASS)
    sure = choose_images(score_model(TEACHER, images)).sure
    return next(each for each in sure if images.labels[each] == label)


def untrained(name: str = STUDENT) -> torch.nn.Module:
    """Return an untrained network with the first weights of the seed."""
    with seeded_torch(SEED):
        return create_model(name)


def measure_students(images: Dataset, cache: Path, quick: bool) -> dict[str, Any]:
    """Train one student by each way, from the same first weights; return epochs, and where they look."""
    teacher, count = load_pretrained(TEACHER), 256 if quick else None
    train, validation = load_examples("train", count), load_examples("validation", count)
    epochs = 2 if quick else EPOCHS
    training = TrainingConfig(epochs=epochs, weight_decay=5e-5, averaging=0.98, seed=SEED)
    config = DistillationConfig(training, views=epochs)
    runs = {
        name: distill(
            untrained(), teacher if method else None, train, validation, config, method, cache=cache
        )
        for name, method in WAYS.items()
    }
    shown = shown_picture(images)
    picture = torch.from_numpy(images.inputs(slice(shown, shown + 1)))
    own, asked = LAYERS[0]
    looks = {name: look_of(run.model, own, picture) for name, run in runs.items() if name != "decoupled"}
    return {
        "learning": {name: run.history for name, run in runs.items()},
        "looks": {"teacher": look_of(teacher, asked, picture), **looks},
    }


def measure_cache(folder: Path, quick: bool) -> dict[str, Any]:
    """Time epochs with and without the cache, for teachers and students of different sizes."""
    train = load_examples("train", 128 if quick else 2000)
    validation = load_examples("validation", 50 if quick else 200)
    return {
        pair: race_cache(
            partial(untrained, student),
            load_pretrained(teacher),
            train,
            validation,
            folder,
            runs=2 if quick else 5,
        )
        for pair, (teacher, student) in PAIRS.items()
    }


def without_settings(study: StudyResult) -> StudyResult:
    """Return the study with what the figures need; settings and machines stay in the study's own files."""
    records = (
        replace(each, settings={}, machine={}, soft_losses=(), hard_losses=()) for each in study.records
    )
    return replace(study, records=tuple(records))
