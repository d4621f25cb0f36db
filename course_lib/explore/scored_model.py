"""A model's scores for all images of a data set, computed once: temperatures are then a matter of arithmetic.

A zoo network and an ONNX file run in ONNX Runtime, a PyTorch module in PyTorch, which needs no export. The
scores of a zoo network are kept in the user's cache folder, under a name that changes with the checkpoint,
the images and the versions.

Worked example: a network that scores the images of a data set of 3 classes gives an array of 3 columns; if
its largest score is in the column of the label for 8 images of 10, its accuracy is 0.8.
"""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from course_lib.data import Dataset
from course_lib.errors import ModelError
from course_lib.explore.model_source import ModelSource, cached, onnx_of
from course_lib.runtimes.onnx_runtime import OnnxRuntime

if TYPE_CHECKING:
    from torch import nn

CHUNK = 48
"""Images a run: cores share the images, and a chunk fits their caches (see `accuracy.CHUNK`)."""

MODULE_CHUNK = 500
ROUNDING = 1e-4


@dataclass(frozen=True, eq=False)
class ScoredModel:
    """The scores of one model for all images of a data set.

    Parameters
    ----------
    name
        How the model is called in results.
    scores
        float64, (N, C), in column order: reductions over the classes of many images are then fast.
    dataset
        The images and labels that the scores belong to.
    """

    name: str
    scores: NDArray[np.float64]
    dataset: Dataset

    @cached_property
    def predicted(self) -> NDArray[np.intp]:
        """The class of the largest score, (N,); no temperature changes it."""
        return np.asarray(self.scores.argmax(1))

    @cached_property
    def accuracy(self) -> float:
        """Share of the images whose largest score is at their label, in [0, 1]."""
        return float((self.predicted == self.dataset.labels).mean())


def score_model(
    source: ModelSource,
    dataset: Dataset,
    *,
    name: str | None = None,
    on_progress: Callable[[float], None] = lambda share: None,
) -> ScoredModel:
    """Run a model on all images.

    Parameters
    ----------
    source
        A name of the zoo, the path of an ``.onnx`` file, or a PyTorch module, which is left as it was.
    name
        How the model is called in results; by default the zoo's name, the file's or the class's name.
    on_progress
        Told the share of the images done, in [0, 1].

    Raises
    ------
    UnknownNameError
        If a name is not in the zoo.
    ModelError
        If the model cannot run on these images, or does not give one finite score a class for each.
    """
    if isinstance(source, str) and not source.endswith(".onnx"):
        called = name or source
        scores = _of_zoo(source, dataset, on_progress)
    elif isinstance(source, str | os.PathLike):
        called = name or Path(source).name
        scores = _joined(_by_runtime(source, dataset), dataset, on_progress)
    else:
        called = name or type(source).__name__
        scores = _joined(_by_torch(source, dataset, called), dataset, on_progress)
    _check(scores, dataset, called)
    return ScoredModel(called, np.asfortranarray(scores, np.float64), dataset)


def _of_zoo(name: str, dataset: Dataset, on_progress: Callable[[float], None]) -> NDArray[np.float32]:
    """Return what this network scored before, or run it."""
    images = sha256(dataset.images.tobytes() + repr((dataset.mean, dataset.std)).encode()).hexdigest()[:12]
    kind = f"scores-{images}-onnxruntime-{version('onnxruntime')}"
    content = cached(
        name, kind, lambda _: _joined(_by_runtime(name, dataset), dataset, on_progress).tobytes()
    )
    return np.frombuffer(content, np.float32).reshape(len(dataset), -1)


def _joined(
    running: Iterator[NDArray[np.float32]], dataset: Dataset, on_progress: Callable[[float], None]
) -> NDArray[np.float32]:
    pieces: list[NDArray[np.float32]] = []
    done = 0
    for piece in running:
        pieces.append(piece)
        done += len(piece)
        on_progress(done / len(dataset))
    return np.concatenate(pieces)


def _by_runtime(source: "str | os.PathLike[str]", dataset: Dataset) -> Iterator[NDArray[np.float32]]:
    model = OnnxRuntime().load(onnx_of(source, dataset.images.shape[1:]), threads=1)
    inputs = dataset.all_inputs
    with ThreadPoolExecutor(min(os.cpu_count() or 1, 4), thread_name_prefix="score-model") as pool:
        yield from pool.map(model.run, np.split(inputs, range(CHUNK, len(inputs), CHUNK)))


def _by_torch(module: "nn.Module", dataset: Dataset, name: str) -> Iterator[NDArray[np.float32]]:
    from course_lib.training.evaluate import predict

    inputs = dataset.all_inputs
    for chunk in np.split(inputs, range(MODULE_CHUNK, len(inputs), MODULE_CHUNK)):
        try:
            yield predict(module, chunk)
        except (RuntimeError, TypeError) as error:
            why = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
            raise ModelError(
                f"{name} fails on the images of {dataset.name}, inputs of shape {chunk.shape[1:]} each "
                f"({why}); pass a module that takes such images, or images that it takes as dataset."
            ) from error


def _check(scores: NDArray[np.float32], dataset: Dataset, name: str) -> None:
    expected = f"expected one score for each of the {dataset.num_classes} classes of {dataset.name}"
    if scores.shape != (len(dataset), dataset.num_classes):
        raise ModelError(f"{name} gives an output of shape {scores.shape[1:]} for an image; {expected}.")
    broken = int((~np.isfinite(scores)).any(1).sum())
    if broken:
        raise ModelError(
            f"{name} gives NaN or infinity for {broken:,} of {len(dataset):,} images; {expected}, all finite."
        )
    if dataset.num_classes > 1 and scores.min() >= 0 and np.abs(scores.sum(1) - 1).max() < ROUNDING:
        raise ModelError(
            f"{name} gives probabilities, which sum to 1 for every image, but a temperature divides scores; "
            "pass the model without its last softmax."
        )
