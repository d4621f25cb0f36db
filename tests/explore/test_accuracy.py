"""Accuracies of a stand-in for a model, whose scores are known."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from course_lib.data import Dataset
from course_lib.errors import ModelError
from course_lib.explore.accuracy import AccuracyMeter


class Scores:
    """Takes an image of one pixel, whose value is its number, and gives the scores of that number."""

    def __init__(self, classes: np.ndarray, width: int = 3) -> None:
        self.scores = np.eye(width, dtype=np.float32)[classes]

    def run(self, batch: np.ndarray) -> np.ndarray:
        return self.scores[np.rint(batch[:, 0, 0, 0] * 255 + batch[:, 0, 0, 1] * 255 * 256).astype(int)]


COUNT = 2000
LABELS = np.arange(COUNT) % 3


@pytest.fixture(scope="module")
def data() -> Dataset:
    numbers = np.arange(COUNT)
    images = np.stack([numbers % 256, numbers // 256], axis=1).astype(np.uint8).reshape(COUNT, 1, 1, 2)
    return Dataset("numbers", images, LABELS, ("a", "b", "c"), 0.0, 1.0)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


def test_a_baseline_by_hand(data: Dataset, pool: ThreadPoolExecutor) -> None:
    classes = LABELS.copy()
    classes[:500] = (classes[:500] + 1) % 3
    shares: list[float] = []
    meter = AccuracyMeter(Scores(classes), data, pool, on_progress=shares.append)
    assert meter.baseline == 0.75
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_a_stream_begins_with_an_estimate_and_ends_exactly(data: Dataset, pool: ThreadPoolExecutor) -> None:
    meter = AccuracyMeter(Scores(LABELS), data, pool, first_images=200)
    classes = LABELS.copy()
    classes[::4] = (classes[::4] + 1) % 3
    first, *_, last = meter.stream(Scores(classes), "one")
    assert 200 <= first.seen < COUNT
    assert first.low < 0.75 < first.high
    assert (last.value, last.exact) == (0.75, True)
    assert next(iter(meter.stream(Scores(classes), "one"))) == first
    assert next(iter(meter.stream(Scores(classes), "two"))).value != first.value


def test_a_cancelled_stream_ends(data: Dataset, pool: ThreadPoolExecutor) -> None:
    meter = AccuracyMeter(Scores(LABELS), data, pool, first_images=200)
    assert list(meter.stream(Scores(LABELS), "one", cancelled=lambda: True)) == []


def test_scores_of_other_classes_are_refused(data: Dataset, pool: ThreadPoolExecutor) -> None:
    with pytest.raises(
        ModelError, match=r"has shape \(4,\) for an image; expected one score a class, \(3,\)"
    ):
        AccuracyMeter(Scores(LABELS, width=4), data, pool)
