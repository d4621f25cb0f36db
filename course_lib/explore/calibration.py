"""The engine behind the calibration explorer: an observer and a grid go in, a stream of results comes out.

Before anything is asked, the model runs in floating point over up to 1,024 calibration images, and every
activation is watched by all observers (`watched`). A setting then reads a range off what they kept: the first
result, about one activation, needs neither the model nor the images. The other observers follow, then the
accuracy of the whole model with the grids of this observer in all places, run in integer kernels by ONNX
Runtime (`calibration_graph`), as an estimate and then exactly.

Errors of an activation are measured on images that did not calibrate: on those that did, min-max would never
clip. Nothing here knows of widgets.
"""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, replace
from typing import Any

import numpy as np

from course_lib.data import Dataset
from course_lib.errors import DataError, SettingError
from course_lib.explore.accuracy import AccuracyMeter
from course_lib.explore.calibration_graph import calibration_graph
from course_lib.explore.calibration_result import (
    CalibrationResult,
    CalibrationSetting,
    RangeAt,
    RangeFigures,
    grid_ends,
    grid_levels,
    measure_range,
    shown_histogram,
)
from course_lib.explore.estimate import AccuracyEstimate
from course_lib.explore.model_source import ModelSource
from course_lib.explore.watched import BATCH, STOPS, WatchedTensor
from course_lib.quantization import OBSERVERS, QParams, choose_qparams_from_range
from course_lib.registry import look_up
from course_lib.runtimes.onnx_runtime import OnnxRuntime

HELD_OUT_IMAGES = 64
"""Images of the test set on which the error of an activation is measured."""

WATCHING = 0.8
"""Share of the preparation's progress that watching takes; the rest is the unchanged model's accuracy."""


class CalibrationEngine:
    """Calibrate a model in any way and measure what that does, to one activation and to the whole.

    Parameters
    ----------
    source
        A name of the zoo, or a PyTorch module.
    dataset
        The labelled images to measure accuracy on, and the errors of activations.
    calibration
        The images to calibrate with, of which the first 1,024 are used; their labels are not.
    first_images
        Size of the first accuracy estimate's sample; by default fitted to the model's speed.
    name
        How the model is called in results; by default the zoo's name or the class's name.
    seed
        Decides which images are held out, and which the first estimates look at.
    on_progress
        Told the share done, in [0, 1], while the engine prepares.

    Raises
    ------
    ModelError
        If the model cannot be quantized, does not give one score a class for these images, or has activations
        that are NaN or infinite.
    DataError
        If there are fewer than 8 calibration images, they hold one and the same value, or have another shape
        than those of the data set.
    """

    def __init__(
        self,
        source: ModelSource,
        dataset: Dataset,
        calibration: Dataset,
        *,
        first_images: int | None = None,
        name: str | None = None,
        seed: int = 0,
        on_progress: Callable[[float], None] = lambda share: None,
    ) -> None:
        self.name = name or (os.fspath(source) if isinstance(source, str) else type(source).__name__)
        _check(calibration, dataset)
        self.stops = tuple(stop for stop in STOPS if stop <= len(calibration))
        self._graph = calibration_graph(source, dataset.images.shape[1:])
        # A container may show the cores of a machine of which it has a small share.
        self._pool = ThreadPoolExecutor(min(os.cpu_count() or 1, 4), thread_name_prefix="calibration-engine")
        self._meter = AccuracyMeter(
            OnnxRuntime().load(self._graph.observed(with_tensors=False), threads=1),
            dataset,
            self._pool,
            first_images=first_images,
            seed=seed,
            name=self.name,
            on_progress=lambda share: on_progress((1 - WATCHING) * share),
        )
        self._watched = {tensor: WatchedTensor(tensor) for tensor in self._graph.tensors}
        self._watch(calibration, lambda share: on_progress(1 - WATCHING + WATCHING * share))
        self._hold_out(dataset, np.random.default_rng(seed))
        self._grids: dict[tuple[Any, ...], QParams[Any]] = {}
        self._figures: dict[tuple[Any, ...], RangeFigures] = {}
        self._exact: dict[CalibrationSetting, AccuracyEstimate] = {}

    @property
    def tensors(self) -> list[str]:
        """Names of the activations that are quantized, in order of execution."""
        return list(self._watched)

    @property
    def baseline_accuracy(self) -> float:
        """Accuracy of the model in floating point, exact."""
        return self._meter.baseline

    def stream(
        self,
        setting: CalibrationSetting,
        tensor: str | None = None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Iterator[CalibrationResult]:
        """Yield what is known of a setting: first about one activation, at last the exact accuracy.

        Parameters
        ----------
        tensor
            The activation that is shown; by default the second, the first one that a layer makes.
        cancelled
            Asked every few milliseconds after the first result; once it says True, the stream ends.

        Raises
        ------
        UnknownNameError
            If there is no such activation.
        SettingError
            If there are not so many calibration images.
        """
        tensor = tensor or self.tensors[min(1, len(self.tensors) - 1)]
        look_up(self._watched, "activation", tensor)
        if setting.images not in self.stops:
            raise SettingError(
                f"images is {setting.images}, but this engine calibrates with {self.stops[-1]} at most; pass "
                "it more images, or ask for fewer."
            )
        result = self._first(setting, tensor)
        yield result
        if result.exact:
            return
        for observer in OBSERVERS:
            if cancelled():
                return
            self._figures_of(tensor, replace(setting, observer=observer))
        result = replace(result, observers=self._known_figures(setting, tensor))
        yield result
        estimates = self._measure(setting, cancelled)
        for estimate in estimates:
            result = replace(result, accuracy=estimate)
            yield result
            break
        # The pool's threads run the model meanwhile.
        for stop in self.stops:
            if cancelled():
                return
            self._grid(tensor, replace(setting, images=stop))
        result = replace(result, by_images=self._known_ranges(setting, tensor))
        yield result
        for estimate in estimates:
            result = replace(result, accuracy=estimate)
            yield result

    def exact(self, setting: CalibrationSetting, tensor: str | None = None) -> CalibrationResult:
        """Return the last result of the stream: nothing is left to be measured."""
        *_, last = self.stream(setting, tensor)
        return last

    def close(self) -> None:
        """End the threads; the engine cannot be used afterwards."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _first(self, setting: CalibrationSetting, tensor: str) -> CalibrationResult:
        same = {observer: self._exact.get(replace(setting, observer=observer)) for observer in OBSERVERS}
        return CalibrationResult(
            model=self.name,
            setting=setting,
            tensor=tensor,
            histogram=shown_histogram(self._watched[tensor].histogram(setting.images)),
            levels=grid_levels(self._grid(tensor, setting)),
            figures=self._figures_of(tensor, setting),
            observers=self._known_figures(setting, tensor),
            by_images=self._known_ranges(setting, tensor),
            stops=self.stops,
            accuracy=self._exact.get(setting),
            accuracies={observer: known for observer, known in same.items() if known},
            baseline_accuracy=self.baseline_accuracy,
        )

    def _measure(
        self, setting: CalibrationSetting, cancelled: Callable[[], bool]
    ) -> Iterator[AccuracyEstimate]:
        """Yield the accuracy with the grids of this setting in all places, more and more exactly."""
        if setting in self._exact:
            yield self._exact[setting]
            return
        grids = {}
        for tensor in self.tensors:
            if cancelled():
                return
            grids[tensor] = self._grid(tensor, setting)
        model = OnnxRuntime().load(self._graph.with_grids(grids), threads=1)
        for estimate in self._meter.stream(model, repr(astuple(setting)), cancelled):
            if estimate.exact:
                self._exact[setting] = estimate
            yield estimate

    def _grid(self, tensor: str, s: CalibrationSetting) -> QParams[Any]:
        key = (tensor, s)
        if key not in self._grids:
            low, high = self._watched[tensor].range(s.observer, s.bits, s.symmetric, s.images)
            self._grids[key] = choose_qparams_from_range(
                low, high, s.bits, symmetric=s.symmetric, signed=False
            )
        return self._grids[key]

    def _figures_of(self, tensor: str, setting: CalibrationSetting) -> RangeFigures:
        key = (tensor, setting)
        if key not in self._figures:
            held_out = self._watched[tensor].held_out
            self._figures[key] = measure_range(setting.observer, self._grid(tensor, setting), held_out)
        return self._figures[key]

    def _known_figures(self, setting: CalibrationSetting, tensor: str) -> tuple[RangeFigures, ...]:
        keys = [(tensor, replace(setting, observer=observer)) for observer in OBSERVERS]
        return tuple(self._figures[key] for key in keys if key in self._figures)

    def _known_ranges(self, setting: CalibrationSetting, tensor: str) -> tuple[RangeAt, ...]:
        keys = [(tensor, replace(setting, images=stop)) for stop in self.stops]
        return tuple(
            RangeAt(key[1].images, *grid_ends(self._grids[key])) for key in keys if key in self._grids
        )

    def _watch(self, calibration: Dataset, on_progress: Callable[[float], None]) -> None:
        model = self._load_observed()
        for seen in range(0, self.stops[-1], BATCH):
            activations = self._activations(model, calibration, np.arange(seen, seen + BATCH))
            list(
                self._pool.map(
                    lambda watched, values, images: watched.observe(values, images),
                    self._watched.values(),
                    activations,
                    [seen + BATCH] * len(activations),
                )
            )
            on_progress((seen + BATCH) / self.stops[-1])

    def _hold_out(self, dataset: Dataset, generator: np.random.Generator) -> None:
        chosen = generator.choice(len(dataset), min(HELD_OUT_IMAGES, len(dataset)), replace=False)
        activations = self._activations(self._load_observed(), dataset, chosen)
        for watched, values in zip(self._watched.values(), activations, strict=True):
            watched.hold_out(values, generator)

    def _load_observed(self) -> Any:
        return OnnxRuntime().load(self._graph.observed(with_tensors=True), threads=1)

    def _activations(self, model: Any, dataset: Dataset, indices: Any) -> list[Any]:
        found = model.session.run(model.output_names[1:], {model.input_names[0]: dataset.inputs(indices)})
        return list(found)


def _check(calibration: Dataset, dataset: Dataset) -> None:
    if len(calibration) < BATCH:
        raise DataError(
            f"{calibration.name} has {len(calibration)} images to calibrate with; pass at least {BATCH}, "
            "better hundreds, of the training set."
        )
    if calibration.images.shape[1:] != dataset.images.shape[1:]:
        raise DataError(
            f"The calibration images have shape {calibration.images.shape[1:]} and those to measure "
            f"accuracy on {dataset.images.shape[1:]}; pass images of the same kind."
        )
    used = calibration.images[: STOPS[-1]]
    if used.min() == used.max():
        raise DataError(
            "Every calibration input holds one and the same value, so no range can be learnt from it; pass "
            "real inputs of the training set."
        )
