"""What the engines over a model share: exchange its weights, and measure what comes out.

The model is exported once. Each setting puts other weights into the graph and runs the new model: first on a
stratified sample, which gives an accuracy estimate in tens of milliseconds, then on the rest of the test set
until the accuracy is exact. Latency is measured in turns with the unchanged model. Nothing here knows of
widgets: a notebook cell or a test can iterate over an engine's ``stream``.
"""

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import astuple
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from course_lib.benchmarking import compare_latency, record_machine
from course_lib.data import Dataset
from course_lib.explore.accuracy import AccuracyMeter
from course_lib.explore.compress import compress, stored_size
from course_lib.explore.estimate import AccuracyEstimate
from course_lib.explore.model_source import ModelSource, onnx_of
from course_lib.explore.result import MeasuredLatency, MeasuredResult, SettingT
from course_lib.explore.setting import CompressionSetting
from course_lib.explore.weight_graph import WeightGraph
from course_lib.runtimes import LoadedModel
from course_lib.runtimes.onnx_runtime import OnnxRuntime

LATENCY_SECONDS = 0.03
MIN_RUNS, MAX_RUNS = 12, 40
ResultT = TypeVar("ResultT", bound=MeasuredResult[Any])
Values = Mapping[str, NDArray[np.float32]]


class Measured(NamedTuple):
    """What is measured of one setting so far; see `MeasuredResult` for the fields."""

    accuracy: AccuracyEstimate
    class_accuracy: tuple[float | None, ...] | None
    latency: MeasuredLatency | None


class ModelEngine(ABC, Generic[SettingT, ResultT]):
    """A model whose weights can be changed, and the images to measure it on.

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
        Told the share of the images done, in [0, 1], while the unchanged model runs on all of them.

    Raises
    ------
    ModelError
        If the model has no weights to change, or does not give one score a class for these images.
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
        self.source, self.name = source, name or _name_of(source)
        self.dataset = dataset
        self.graph = WeightGraph(onnx_of(source, dataset.images.shape[1:]))
        self._pool = ThreadPoolExecutor(_usable_cores(), thread_name_prefix="model-engine")
        self._dense = self._load({})
        self._meter = AccuracyMeter(
            self._dense,
            dataset,
            self._pool,
            first_images=first_images,
            seed=seed,
            name=self.name,
            on_progress=on_progress,
        )
        self.baseline_accuracy = self._meter.baseline
        self.dense_size_bytes = stored_size(self.graph, compress(self.graph, CompressionSetting()))
        self._exact: dict[SettingT, ResultT] = {}
        # The first look at the machine takes a second; no slider should wait for it.
        record_machine(threads=1)

    @property
    def layers(self) -> list[str]:
        """Names of the weight tensors, in the order of the graph."""
        return list(self.graph.weights)

    @abstractmethod
    def stream(
        self, setting: SettingT, *, cancelled: Callable[[], bool] = lambda: False
    ) -> Iterator[ResultT]:
        """Yield what is known of a setting: an estimate, then the latency, then refinements, then the truth.

        The last result is exact and remembered, so that asking again yields it at once.

        Parameters
        ----------
        cancelled
            Asked every few milliseconds after the first result; once it says True, the stream ends.
        """

    def exact(self, setting: SettingT) -> ResultT:
        """Return the last result of the stream: exact accuracy, measured latency."""
        *_, last = self.stream(setting)
        return last

    def scores(self, values: Values, inputs: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
        """Yield the scores of the model with these weights, some inputs at a time and in order.

        Dropping the iterator stops the work.

        Parameters
        ----------
        values
            Name of a weight → what takes its place; the others stay.
        inputs
            float32, (n, C, H, W).
        """
        return self._meter.scores(self._load(values), inputs)

    def close(self) -> None:
        """End the threads; the engine cannot be used afterwards."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _loading(self, values: Values, graph: WeightGraph | None = None) -> Future[LoadedModel]:
        """Start to load the model, or a smaller graph, with these weights; the caller's core is free."""
        return self._pool.submit(self._load, values, graph)

    def _measure(
        self, setting: SettingT, loading: Future[LoadedModel], cancelled: Callable[[], bool]
    ) -> Iterator[Measured]:
        """Yield what is measured of the loaded model, more and more of it; the last is exact."""
        model = loading.result()
        asked = False  # the first result is always delivered
        answers = self._meter.unchanged()
        if not setting.dense:
            words = repr(astuple(setting))
            answers = self._meter.answers(model, words, lambda: asked and cancelled())
        known = next(answers)
        yield Measured(self._meter.estimate(known), None, None)
        asked = True
        if cancelled():
            return
        latency = self._measure_latency(model)
        yield Measured(self._meter.estimate(known), None, latency)
        for known in answers:
            if len(known[0]) < len(self.dataset):
                yield Measured(self._meter.estimate(known), None, latency)
        if len(known[0]) == len(self.dataset):
            yield Measured(self._meter.estimate(known), self._meter.class_accuracy(known), latency)

    def _load(self, values: Values, graph: WeightGraph | None = None) -> LoadedModel:
        return OnnxRuntime().load((graph or self.graph).with_weights(values), threads=1)

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
