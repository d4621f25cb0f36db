"""Scores of a teacher and a student over random pictures, for the tests of temperatures."""

from functools import cache

import numpy as np

from course_lib.data import Dataset
from course_lib.explore.scored_model import ScoredModel

CLASSES = ("left", "right", "flat", "round")


@cache
def images() -> Dataset:
    generator = np.random.default_rng(4)
    pictures = generator.integers(0, 256, (300, 1, 4, 4), np.uint8)
    return Dataset("pair", pictures, generator.integers(0, 4, 300), CLASSES, 0.5, 0.3)


@cache
def pair() -> tuple[ScoredModel, ScoredModel]:
    """Return a teacher that is mostly right, and a student that is so less often."""
    generator, data = np.random.default_rng(5), images()
    truth = 8 * np.eye(4)[data.labels]
    teacher = truth + generator.normal(0, 3, (300, 4))
    student = truth / 2 + generator.normal(0, 3, (300, 4))
    return ScoredModel("teacher", teacher, data), ScoredModel("student", student, data)


def two_classes(teacher: list[float], student: list[float]) -> tuple[ScoredModel, ScoredModel]:
    """Return models that give each of three images of the first class these two scores."""
    data = Dataset("two", np.zeros((3, 1, 2, 2), np.uint8), np.zeros(3, np.int64), ("yes", "no"), 0.0, 1.0)
    made = (
        ScoredModel(name, np.tile(scores, (3, 1)), data)
        for name, scores in (("teacher", teacher), ("student", student))
    )
    first, second = made
    return first, second
