"""The sensitivity explorer: click the bits of a layer; accuracy, size and latency follow live."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import traitlets

from course_lib.data import Dataset, load_dataset
from course_lib.errors import SettingError
from course_lib.explore.assignment import WIDTHS, BitAssignment
from course_lib.explore.bit_plan import ALPHA, programme_bits, rule_bits
from course_lib.explore.layer_sensitivity import SensitivityMap, SensitivityMeasurement
from course_lib.explore.model_source import ModelSource
from course_lib.explore.sensitivity import SensitivityEngine, SensitivityResult
from course_lib.explore.setting import FLOAT_BITS
from course_lib.widgets.model_explorer import DEFAULT_MODEL, ModelExplorer
from course_lib.widgets.page_source import script, style
from course_lib.widgets.sensitivity_view import result_view, sensitivity_view

SENSITIVITY_IMAGES = 512
REPORT_SECONDS = 0.25
"""Between two pictures of the sensitivities; drawing them takes a core from measuring them."""

_ZOO_MEASUREMENTS: dict[str, SensitivityMeasurement] = {}
"""Measured once a kernel, as the engines are made once."""

PLANS = {"programme": "integer programme", "rule": "α·log rule"}
"""Ways to choose bits that need the sensitivities, and their names on the page."""


@dataclass(frozen=True)
class _Job:
    """One position of the controls: bits by layer, none for float everywhere, or a plan that chooses them."""

    generation: int
    model: str
    bits: tuple[int, ...]
    plan: str
    average: float
    alpha: float

    @property
    def origin(self) -> str:
        """The plan in words; empty where somebody chose the bits."""
        if not self.plan:
            return ""
        alpha = f" with α = {self.alpha:.2f}" if self.plan == "rule" else ""
        return f"{PLANS[self.plan]}{alpha} for {self.average:g} bits"


class SensitivityExplorer(ModelExplorer[_Job, SensitivityResult, SensitivityEngine]):
    """Give each layer of a trained model its own bits, and watch accuracy, size and latency follow.

    In the background, once for each model, every layer is measured alone at every width; the integer
    programme and the rule choose bits by that.

    Parameters
    ----------
    model
        The model to begin with, as a zoo name, an ``.onnx`` path, or a PyTorch module.
    dataset
        Test images of your own, instead of the shipped Fashion-MNIST ones; only this model is then offered.
    training
        The images to measure sensitivities on, of which the first 512 are taken; by default the shipped
        training images, or with a data set of your own the first of its images.

    Examples
    --------
    >>> SensitivityExplorer()  # doctest: +SKIP
    >>> SensitivityExplorer(my_module, test_images, training_images)  # doctest: +SKIP
    """

    _esm = script("visited", "sensitivity_explorer")
    _css = style("visited", "sensitivity_explorer")
    engine_type = SensitivityEngine

    widths = traitlets.List([*WIDTHS, FLOAT_BITS]).tag(sync=True)
    sensitivity = traitlets.Dict().tag(sync=True)

    def __init__(
        self,
        model: ModelSource = DEFAULT_MODEL,
        dataset: Dataset | None = None,
        training: Dataset | None = None,
    ) -> None:
        self._own_measurements: dict[str, SensitivityMeasurement] = {}
        self._training, self._training_words = _training_images(dataset, training)
        self._pictured = 0.0
        super().__init__(model, dataset, {"bits": [], "plan": "", "average": 4.0, "alpha": round(ALPHA, 2)})

    def _job_of(self, request: Mapping[str, Any]) -> _Job:
        plan = str(request["plan"])
        if plan not in ("", *PLANS):
            raise SettingError(f"There is no plan called {plan!r}; expected one of {', '.join(PLANS)}.")
        bits = BitAssignment(tuple(int(width) for width in request["bits"])).bits
        average, alpha = float(request["average"]), float(request["alpha"])
        return _Job(int(request["generation"]), self._checked_model(request), bits, plan, average, alpha)

    def _work(self, job: _Job, superseded: Callable[[], bool]) -> Iterator[SensitivityResult]:
        engine = self._engine(job.model)
        measurement = self._measurement(job.model, engine)
        if job.plan and not measurement.known.complete:
            self._prepare("The sensitivities come first …")
            if not self._go_on(job.model, measurement, superseded):
                return
        setting = self._setting(job, engine, measurement)
        for result in engine.stream(setting, cancelled=superseded):
            yield replace(result, origin=job.origin)
        # What is left of the sensitivities is measured while nobody asks for anything else.
        self._go_on(job.model, measurement, superseded)

    def _setting(
        self, job: _Job, engine: SensitivityEngine, measurement: SensitivityMeasurement
    ) -> BitAssignment:
        if job.plan == "programme":
            return engine.assignment(programme_bits(measurement.known, job.average))
        if job.plan == "rule":
            return engine.assignment(rule_bits(measurement.known, job.average, job.alpha))
        return BitAssignment(job.bits) if job.bits else engine.uniform(FLOAT_BITS)

    def _measurement(self, name: str, engine: SensitivityEngine) -> SensitivityMeasurement:
        shared = self._sources[name] == name and self._training is _shipped_training()
        measurements = _ZOO_MEASUREMENTS if shared and not self._own_data else self._own_measurements
        if name not in measurements:
            measurements[name] = SensitivityMeasurement(engine, self._training)
        return measurements[name]

    def _go_on(self, name: str, measurement: SensitivityMeasurement, superseded: Callable[[], bool]) -> bool:
        """Measure sensitivities until done or superseded, showing them; return whether all are there."""
        self._picture(name, measurement.known)
        for known in measurement.stream(superseded):
            if known.complete or time.monotonic() - self._pictured > REPORT_SECONDS:
                self._picture(name, known)
        return measurement.known.complete

    def _picture(self, name: str, known: SensitivityMap) -> None:
        with self._lock:
            self.sensitivity = sensitivity_view(name, known, self._training_words)
        self._pictured = time.monotonic()

    def _show(self, job: _Job, result: SensitivityResult) -> None:
        # Bits found by a plan keep its name when somebody comes back to them.
        before = self._visited.get(job.model, {}).get(result.setting)
        if before and not result.origin:
            result = replace(result, origin=before.origin)
        super()._show(job, result)

    def _view(self, job: _Job, result: SensitivityResult) -> dict[str, Any]:
        return result_view(result, self._code_source(job.model))


@cache
def _shipped_training() -> Dataset:
    return load_dataset("fashion-mnist", "train").take(slice(SENSITIVITY_IMAGES))


def _training_images(dataset: Dataset | None, training: Dataset | None) -> tuple[Dataset, str]:
    """Return the images to measure sensitivities on, and what they are in words."""
    if training is not None:
        chosen = training.take(slice(SENSITIVITY_IMAGES))
        return chosen, f"{len(chosen)} training images"
    if dataset is None:
        return _shipped_training(), f"{SENSITIVITY_IMAGES} training images"
    chosen = dataset.take(slice(SENSITIVITY_IMAGES))
    return chosen, f"{len(chosen)} of the test images, as no training images were given"
