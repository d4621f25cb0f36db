"""The accuracy of variants of one model: soon as an estimate with an interval, then exact.

The unchanged model runs on all images once, which sorts them into strata (`estimate`). A variant first runs
on a stratified sample, then on the rest.
"""

import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from course_lib.data import Dataset
from course_lib.errors import ModelError
from course_lib.explore.estimate import AccuracyEstimate, StratifiedTestSet
from course_lib.runtimes import LoadedModel

CHUNK = 48
"""Images a run. Cores share the images, not the operators: each runs the whole model on a chunk that fits its
cache, which takes about two thirds of the time of one run with all threads."""

FIRST_IMAGES = 560
FIRST_SECONDS = 0.12
"""The first estimate looks at FIRST_IMAGES, or at as many as the model does in FIRST_SECONDS if fewer."""

REPORT_SECONDS = 0.5
"""Between two refinements; each costs the page a redraw that takes a core from the measurement."""

Answers: TypeAlias = tuple[NDArray[np.intp], NDArray[np.bool_]]
"""Indices of images, and whether the model is right on each of them."""


class AccuracyMeter:
    """A test set that knows how the unchanged model does on it.

    Parameters
    ----------
    model
        The unchanged model.
    dataset
        The labelled images.
    pool
        Threads that share the images.
    first_images
        Size of the first estimate's sample; by default fitted to the model's speed.
    seed
        Decides which images the first estimates look at.
    name
        How the model is called in messages.
    on_progress
        Told the share of the images done, in [0, 1], while the unchanged model runs on all of them.

    Raises
    ------
    ModelError
        If the model does not give one score a class for these images.
    """

    def __init__(
        self,
        model: LoadedModel,
        dataset: Dataset,
        pool: ThreadPoolExecutor,
        *,
        first_images: int | None = None,
        seed: int = 0,
        name: str = "the model",
        on_progress: Callable[[float], None] = lambda share: None,
    ) -> None:
        self.dataset, self.seed, self._pool = dataset, seed, pool
        started = time.perf_counter()
        pieces = []
        for piece in self.scores(model, dataset.all_inputs):
            pieces.append(piece)
            on_progress(min(len(pieces) * CHUNK / len(dataset), 1.0))
        scores = np.concatenate(pieces)
        per_image_s = (time.perf_counter() - started) / len(scores)
        if scores.shape != (len(dataset), dataset.num_classes):
            raise ModelError(
                f"The output of {name} has shape {scores.shape[1:]} for an image; expected one score a "
                f"class, ({dataset.num_classes},)."
            )
        affordable = max(100, int(FIRST_SECONDS / per_image_s))
        self._images = StratifiedTestSet(
            scores, dataset.labels, first_images or min(FIRST_IMAGES, affordable)
        )
        self._right = scores.argmax(1) == dataset.labels
        self.baseline = float(self._right.mean())

    def stream(
        self, model: LoadedModel, key: str, cancelled: Callable[[], bool] = lambda: False
    ) -> Iterator[AccuracyEstimate]:
        """Yield the accuracy of a variant: an estimate, refinements, and at last the exact value."""
        for answers in self.answers(model, key, cancelled, pause=False):
            yield self.estimate(answers)

    def answers(
        self,
        model: LoadedModel,
        key: str,
        cancelled: Callable[[], bool] = lambda: False,
        *,
        pause: bool = True,
    ) -> Iterator[Answers]:
        """Yield on which images a variant is right: a stratified sample, more of them, and at last all.

        Parameters
        ----------
        key
            Each variant has a sample of its own, drawn by these words, so that one unlucky draw does not bend
            a whole curve.
        cancelled
            Asked after each chunk of images; once it says True, the stream ends.
        pause
            Whether nothing runs between the sample and the request for more, so that the caller can measure
            time. Otherwise the threads go on meanwhile.
        """
        order = self._images.draw_order(np.random.default_rng([self.seed, zlib.crc32(key.encode())]))
        correct, seen = np.zeros(len(order), np.bool_), 0
        parts = filter(len, (order[: self._images.first], order[self._images.first :]))
        running = (self._correct(model, part) for part in parts)
        for part_right in running if pause else list(running):
            reported = time.perf_counter()
            for right in part_right:
                if cancelled():
                    return
                correct[seen : seen + len(right)] = right
                seen += len(right)
                due = time.perf_counter() - reported > REPORT_SECONDS
                if due and self._images.first < seen < len(order):
                    reported = time.perf_counter()
                    yield order[:seen], correct[:seen].copy()
            yield order[:seen], correct[:seen].copy()

    def unchanged(self) -> Iterator[Answers]:
        """Yield what `answers` ends with for the unchanged model, which is known."""
        yield np.arange(len(self._right)), self._right

    def estimate(self, answers: Answers) -> AccuracyEstimate:
        """Return the accuracy over all images from the answers known so far."""
        return self._images.estimate(*answers)

    def class_accuracy(self, answers: Answers) -> tuple[float | None, ...]:
        """Return the accuracy of each class, None for one without images."""
        images, correct = answers
        labels = self.dataset.labels[images]
        count = np.bincount(labels, minlength=self.dataset.num_classes)
        right = np.bincount(labels, weights=correct, minlength=self.dataset.num_classes)
        return tuple(float(r / n) if n else None for r, n in zip(right, count, strict=True))

    def scores(self, model: LoadedModel, inputs: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
        """Yield the scores of these inputs, CHUNK at a time and in order; dropping it stops the work."""
        return self._pool.map(model.run, np.split(inputs, range(CHUNK, len(inputs), CHUNK)))

    def _correct(self, model: LoadedModel, indices: NDArray[np.intp]) -> Iterator[NDArray[np.bool_]]:
        chunks = np.split(indices, range(CHUNK, len(indices), CHUNK))
        scores = self._pool.map(lambda chunk: model.run(self.dataset.all_inputs[chunk]), chunks)
        # Not a generator function: the threads begin here, not when the first answers are asked for.
        return (
            of_chunk.argmax(1) == self.dataset.labels[chunk]
            for chunk, of_chunk in zip(chunks, scores, strict=True)
        )
