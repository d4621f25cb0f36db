import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from course_lib.data import Dataset
from course_lib.explore.image_choice import TORN_IMAGES, WRONG_IMAGES, ChosenImages, choose_images, margins
from course_lib.explore.scored_model import ScoredModel


def scored(scores: list[list[float]] | np.ndarray, labels: list[int] | np.ndarray) -> ScoredModel:
    values = np.asarray(scores, np.float64)
    names = tuple("abcdefghijklmno"[: values.shape[1]])
    pictures = np.zeros((len(values), 1, 2, 2), np.uint8)
    return ScoredModel("net", values, Dataset("some", pictures, np.asarray(labels), names, 0.0, 1.0))


def test_the_worked_example() -> None:
    np.testing.assert_allclose(margins(np.array([[5.0, 1, 0], [2, 1.9, 0]])), [4, 0.1])


def test_each_kind_by_hand() -> None:
    teacher = scored(
        [
            [9, 0, -1],  # the five right ones of class a have the margins 9, 8, 7, 6, 5
            [8, 0, -1],
            [7, 0, -1],
            [6, 0, -1],
            [5, 0, -1],
            [0, 4, -1],  # class b, right, margin 4
            [0, 3, -1],  # c taken for b, margin 3: sure and wrong
            [0, 2.5, 2.4],  # torn between b and c, right
            [0, 2.4, 2.2],  # right as well
            [1, 0.5, 0],  # torn between a and b, and wrong
        ],
        [0, 0, 0, 0, 0, 1, 2, 1, 1, 2],
    )
    # Upper quartiles: of the five margins the fourth, 8, and of 0.1, 0.2, 4 the second.
    assert choose_images(teacher) == ChosenImages(sure=(1, 8), torn=(7, 9), wrong=(6,))


@given(st.integers(2, 12), st.integers(1, 60), st.integers(0, 1000))
def test_kinds_hold_what_they_promise_and_no_image_twice(classes: int, count: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    teacher = scored(generator.normal(0, 3, (count, classes)), generator.integers(0, classes, count))
    chosen, labels = choose_images(teacher), teacher.dataset.labels
    assert len(set(chosen.all)) == len(chosen.all) > 0
    assert len(chosen.torn) <= TORN_IMAGES
    assert len(chosen.wrong) <= WRONG_IMAGES
    assert all(teacher.predicted[image] == labels[image] for image in chosen.sure)
    assert all(teacher.predicted[image] != labels[image] for image in chosen.wrong)
    assert len({labels[image] for image in chosen.sure}) == len(chosen.sure)
    torn = margins(teacher.scores)[list(chosen.torn)]
    assert (np.diff(torn) >= 0).all()


def test_one_class_alone_has_no_margin() -> None:
    assert choose_images(scored([[1.0], [2.0]], [0, 0])).all == (0,)
