"""The engine behind the compression explorer: a setting goes in, a stream of results comes out.

The model is exported once. Each setting prunes and quantizes its weights, puts them into the graph and runs
the new model: first on a stratified sample, which gives an accuracy estimate in tens of milliseconds, then on
the rest of the test set until the accuracy is exact. Latency is measured in turns with the dense model.
Nothing here knows of widgets: a notebook cell or a test can iterate over `CompressionEngine.stream`.
"""

import os
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from course_lib.benchmarking import compare_latency, record_machine
from course_lib.data import Dataset
from course_lib.errors import ModelError
from course_lib.explore.compress import (
    CompressedWeight,
    compress,
    histogram,
    stored_size,
    weights_sqnr_db,
)
from course_lib.explore.estimate import StratifiedTestSet
from course_lib.explore.model_source import ModelSource, onnx_of
from course_lib.explore.result import CompressionResult, MeasuredLatency
from course_lib.explore.setting import CompressionSetting
from course_lib.explore.weight_graph import WeightGraph
from course_lib.pruning import sparsity_of
from course_lib.registry import look_up
from course_lib.runtimes import LoadedModel
from course_lib.runtimes.onnx_runtime import OnnxRuntime

CHUNK = 48
"""Images a run. Cores share the images, not the operators: each runs the whole model on a chunk that fits its
cache, which takes about two thirds of the time of one run with all threads."""

FIRST_IMAGES = 560
FIRST_SECONDS = 0.12
"""The first estimate looks at FIRST_IMAGES, or at as many as the model does in FIRST_SECONDS if fewer."""

LATENCY_SECONDS = 0.03
MIN_RUNS, MAX_RUNS = 12, 40
REPORT_SECONDS = 0.5
"""Between two refinements; each costs the page a redraw that takes a core from the measurement."""


class CompressionEngine:
    """Compress a model at any setting and measure what that does.

    Parameters
    ----------
    source
        A name of the zoo, the path of an ``.onnx`` file, or a PyTorch module.
    dataset
        The labelled images to measure accuracy on.
    first_images
        Size of the first estimate's sample; by default fitted to the model's speed.
    name
        How the model is called in results; by default the zoo's name, the file's name or the class's name.
    seed
        Decides which images the first estimates look at.
    on_progress
        Told the share of the images done, in [0, 1], while the uncompressed model runs on all of them.

    Raises
    ------
    ModelError
        If the model has no weights to compress, or does not give one score a class for these images.
    """

    def __init__(
        self,
        source: ModelSource,
        dataset: Dataset,
        *,
        first_images: int | None = None,
        name: str | None = None,
        seed: int = 0,
        on_progress: Callable[[float], None] = lambda share: None,
    ) -> None:
        self.name = name or _name_of(source)
        self.dataset = dataset
        self.seed = seed
        self.graph = WeightGraph(onnx_of(source, dataset.images.shape[1:]))
        self._pool = ThreadPoolExecutor(_usable_cores(), thread_name_prefix="compression-engine")
        self._dense = OnnxRuntime().load(self.graph.with_weights({}), threads=1)
        started = time.perf_counter()
        pieces = []
        for piece in self._scores(self._dense, np.arange(len(dataset))):
            pieces.append(piece)
            on_progress(len(pieces) * CHUNK / len(dataset))
        scores = np.concatenate(pieces)
        per_image_s = (time.perf_counter() - started) / len(scores)
        if scores.shape != (len(dataset), dataset.num_classes):
            raise ModelError(
                f"The output of {self.name} has shape {scores.shape[1:]} for an image; expected one score a "
                f"class, ({dataset.num_classes},)."
            )
        affordable = max(100, int(FIRST_SECONDS / per_image_s))
        first = first_images or min(FIRST_IMAGES, affordable)
        self._images = StratifiedTestSet(scores, dataset.labels, first)
        self._dense_correct = scores.argmax(1) == dataset.labels
        self.baseline_accuracy = float(self._dense_correct.mean())
        dense = compress(self.graph, CompressionSetting())
        self.dense_size_bytes = stored_size(self.graph, dense)
        self._exact: dict[CompressionSetting, CompressionResult] = {}
        # The first look at the machine takes a second; no slider should wait for it.
        record_machine(threads=1)

    @property
    def layers(self) -> list[str]:
        """Names of the weight tensors, in the order of the graph."""
        return list(self.graph.weights)

    @property
    def largest_layer(self) -> str:
        """The weight tensor with the most values, shown in the histogram by default."""
        return max(self.layers, key=lambda name: self.graph.weights[name].values.size)

    def stream(
        self,
        setting: CompressionSetting,
        layer: str | None = None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Iterator[CompressionResult]:
        """Yield what is known of a setting: an estimate, then the latency, then refinements, then the truth.

        The last result is exact and remembered, so that asking again yields it at once.

        Parameters
        ----------
        layer
            Whose weights the histogram shows; the largest one by default.
        cancelled
            Asked every few milliseconds after the first result; once it says True, the stream ends.

        Raises
        ------
        UnknownNameError
            If there is no such layer.
        """
        layer = layer or self.largest_layer
        look_up(self.graph.weights, "layer", layer)
        compressed = compress(self.graph, setting)
        known = self._exact.get(setting)
        if known:
            yield replace(known, histogram=histogram(self.graph, compressed, layer))
            return
        content = self.graph.with_weights({name: weight.values for name, weight in compressed.items()})
        # While one core loads the model, the other packs the weights.
        loading = self._pool.submit(OnnxRuntime().load, content, threads=1)
        order = self._images.draw_order(self._generator(setting))
        result_with = partial(
            CompressionResult,
            model=self.name,
            setting=setting,
            baseline_accuracy=self.baseline_accuracy,
            class_accuracy=None,
            sparsity=_sparsity(compressed),
            size_bytes=stored_size(self.graph, compressed),
            dense_size_bytes=self.dense_size_bytes,
            sqnr_db=weights_sqnr_db(self.graph, compressed),
            histogram=histogram(self.graph, compressed, layer),
            latency=None,
        )
        model = loading.result()
        correct, seen = self._dense_correct[order], len(order)
        if not setting.dense:
            seen = 0
            for chunk in self._correct(model, order[: self._images.first]):
                correct[seen : seen + len(chunk)] = chunk
                seen += len(chunk)
        result = result_with(accuracy=self._images.estimate(order[:seen], correct[:seen]))
        yield result
        if cancelled():
            return
        result = replace(result, latency=self._measure_latency(model))
        yield result
        reported = time.perf_counter()
        for chunk in self._correct(model, order[seen:]) if seen < len(order) else ():
            if cancelled():
                return
            correct[seen : seen + len(chunk)] = chunk
            seen += len(chunk)
            if time.perf_counter() - reported > REPORT_SECONDS and seen < len(order):
                reported = time.perf_counter()
                yield replace(result, accuracy=self._images.estimate(order[:seen], correct[:seen]))
        result = replace(
            result,
            accuracy=self._images.estimate(order, correct),
            class_accuracy=self._class_accuracy(order, correct),
        )
        self._exact[setting] = result
        yield result

    def exact(self, setting: CompressionSetting) -> CompressionResult:
        """Return the last result of the stream: exact accuracy, measured latency."""
        *_, last = self.stream(setting)
        return last

    def close(self) -> None:
        """End the threads; the engine cannot be used afterwards."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _generator(self, setting: CompressionSetting) -> np.random.Generator:
        # Each setting has a sample of its own, so that one unlucky draw does not bend the whole curve.
        return np.random.default_rng([self.seed, zlib.crc32(repr(astuple(setting)).encode())])

    def _scores(self, model: LoadedModel, indices: NDArray[np.intp]) -> Iterator[NDArray[np.float32]]:
        """Yield the scores of these images chunk by chunk, in order; dropping the iterator stops the work."""
        chunks = np.split(indices, range(CHUNK, len(indices), CHUNK))
        return self._pool.map(lambda chunk: model.run(self.dataset.all_inputs[chunk]), chunks)

    def _correct(self, model: LoadedModel, indices: NDArray[np.intp]) -> Iterator[NDArray[np.bool_]]:
        labels = self.dataset.labels[indices]
        seen = 0
        for scores in self._scores(model, indices):
            yield scores.argmax(1) == labels[seen : seen + len(scores)]
            seen += len(scores)

    def _class_accuracy(
        self, order: NDArray[np.intp], correct: NDArray[np.bool_]
    ) -> tuple[float | None, ...]:
        labels = self.dataset.labels[order]
        count = np.bincount(labels, minlength=self.dataset.num_classes)
        right = np.bincount(labels, weights=correct, minlength=self.dataset.num_classes)
        return tuple(float(r / n) if n else None for r, n in zip(right, count, strict=True))

    def _measure_latency(self, model: LoadedModel) -> MeasuredLatency:
        image, dense = self.dataset.inputs(slice(1)), self._dense
        started = time.perf_counter()
        dense.run(image)
        pair_s = 2 * (time.perf_counter() - started)
        runs = int(np.clip(LATENCY_SECONDS / pair_s, MIN_RUNS, MAX_RUNS))
        comparison = compare_latency(
            {"dense": lambda: dense.run(image), "compressed": lambda: model.run(image)},
            baseline="dense",
            warmup=3,
            runs=runs,
        )
        measured, ratio = comparison.results["compressed"], comparison.ratios["compressed"]
        return MeasuredLatency(
            p50_ms=measured.p50_ms,
            p50_interval_ms=measured.p50_interval_ms,
            dense_p50_ms=comparison.results["dense"].p50_ms,
            ratio=ratio.value,
            ratio_interval=ratio.interval,
            runs=runs,
            noise_warning=measured.noise_warning,
        )


def _usable_cores() -> int:
    # A container may show the cores of a machine of which it has a small share.
    return min(os.cpu_count() or 1, 4)


def _name_of(source: ModelSource) -> str:
    if isinstance(source, str | os.PathLike):
        return os.path.basename(source)
    return type(source).__name__


def _sparsity(compressed: dict[str, CompressedWeight]) -> float:
    return sparsity_of(np.concatenate([weight.values.ravel() for weight in compressed.values()]))
