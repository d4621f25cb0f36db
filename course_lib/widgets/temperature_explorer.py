"""The temperature explorer: soft targets of real images, teacher and student side by side, while T moves."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import traitlets

from course_lib.architectures import list_zoo
from course_lib.data import Dataset, load_dataset
from course_lib.errors import SettingError
from course_lib.explore.image_choice import choose_images
from course_lib.explore.model_source import ModelSource
from course_lib.explore.scored_model import ScoredModel, score_model
from course_lib.explore.temperature import (
    TEMPERATURES,
    TemperatureResult,
    TemperatureSetting,
    study_temperature,
)
from course_lib.registry import look_up
from course_lib.widgets.live_explorer import LiveExplorer
from course_lib.widgets.page_source import script, style
from course_lib.widgets.temperature_view import result_view, strip_view, study_code

SURPRISES = 500
SHIPPED = 'load_dataset("fashion-mnist")'

_ZOO_SCORES: dict[str, ScoredModel] = {}
"""Scores on the shipped images, made once a kernel."""


@dataclass(frozen=True)
class _Job:
    """One position of the controls; without an image, the first one of the teacher's strip is shown."""

    generation: int
    teacher: str
    student: str
    temperature: float
    image: int | None


class TemperatureExplorer(LiveExplorer[_Job, TemperatureResult]):
    """Move the temperature, and watch what a teacher tells its student about real images.

    Parameters
    ----------
    teacher, student
        Names of the zoo, paths of ``.onnx`` files, or PyTorch modules, which run once on all images.
    dataset
        Images of your own instead of the shipped Fashion-MNIST test images; only these two models are then
        offered.
    temperature
        Where the slider starts, 0.5 to 20.
    image
        Position of the image to begin with; by default the first one on which the teacher is sure and right.

    Raises
    ------
    UnknownNameError
        If a name is not in the zoo.
    SettingError
        If the temperature is not on the slider, or there is no such image.

    Examples
    --------
    >>> TemperatureExplorer()  # doctest: +SKIP
    >>> TemperatureExplorer("residual", my_student)  # doctest: +SKIP
    """

    _esm = script("temperature_explorer")
    _css = style("temperature_explorer")

    models: traitlets.List[str] = traitlets.List().tag(sync=True)
    temperatures: traitlets.List[float] = traitlets.List(list(TEMPERATURES)).tag(sync=True)
    strip = traitlets.Dict().tag(sync=True)
    surprises: traitlets.List[int] = traitlets.List(
        help="Any images, in the order in which the surprise button shows them."
    ).tag(sync=True)
    start = traitlets.Dict(help="The request that the reset button goes back to.").tag(sync=True)

    def __init__(
        self,
        teacher: ModelSource = "residual",
        student: ModelSource = "tiny",
        dataset: Dataset | None = None,
        *,
        temperature: float = 4.0,
        image: int | None = None,
    ) -> None:
        if not TEMPERATURES[0] <= temperature <= TEMPERATURES[-1]:
            raise SettingError(
                f"temperature is {temperature:g}; the slider goes from {TEMPERATURES[0]:g} to "
                f"{TEMPERATURES[-1]:g}, and distillation mostly uses 3 to 10."
            )
        self._own_data = dataset is not None
        self._dataset = dataset or load_dataset("fashion-mnist")
        self._own_scores: dict[str, ScoredModel] = {}
        chosen = {_listed(teacher, "teacher"): teacher, _listed(student, "student"): student}
        zoo: dict[str, ModelSource] = {} if self._own_data else {name: name for name in list_zoo()}
        self._sources = {**chosen, **zoo}
        self._code = {_listed(teacher, "teacher"): "teacher", _listed(student, "student"): "student"}
        start = {
            "generation": 0,
            "teacher": _listed(teacher, "teacher"),
            "student": _listed(student, "student"),
            "temperature": float(temperature),
            "image": image,
        }
        self._check_image(image)
        order = np.random.default_rng(0).permutation(len(self._dataset))[:SURPRISES]
        super().__init__(start, models=list(self._sources), start=start, surprises=order.tolist())

    def _job_of(self, request: Mapping[str, Any]) -> _Job:
        for role in ("teacher", "student"):
            look_up(self._sources, role, str(request[role]))
        image = None if request["image"] is None else int(request["image"])
        self._check_image(image)
        setting = TemperatureSetting(float(request["temperature"]))
        return _Job(
            int(request["generation"]),
            str(request["teacher"]),
            str(request["student"]),
            setting.temperature,
            image,
        )

    def _work(self, job: _Job, superseded: Callable[[], bool]) -> Iterator[TemperatureResult]:
        teacher, student = self._scored(job.teacher), self._scored(job.student)
        if self.strip.get("teacher") != job.teacher:
            strip = strip_view(job.teacher, choose_images(teacher), self._dataset)
            with self._lock:
                self.strip = strip
        first = self.strip["groups"][0]["images"][0]["index"]
        image = first if job.image is None else job.image
        yield study_temperature(teacher, student, TemperatureSetting(job.temperature, image))

    def _scored(self, name: str) -> ScoredModel:
        shared = self._sources[name] == name and not self._own_data
        known = _ZOO_SCORES if shared else self._own_scores
        if name not in known:
            doing = f"Running {name} once on {len(self._dataset):,} images"
            self._prepare(f"{doing} …")
            known[name] = score_model(
                self._sources[name],
                self._dataset,
                name=name,
                on_progress=lambda share: self._prepare(f"{doing}: {round(share, 1):.0%} done …"),
            )
        return known[name]

    def _show(self, job: _Job, result: TemperatureResult) -> None:
        code = study_code(
            self._source_code(job.teacher),
            self._source_code(job.student),
            "dataset" if self._own_data else SHIPPED,
            result,
        )
        names = {"teacher": job.teacher, "student": job.student}
        view = result_view(result, self._dataset, code)
        self.result = view | names | {"generation": job.generation}

    def _check_image(self, image: int | None) -> None:
        if image is not None and not 0 <= image < len(self._dataset):
            raise SettingError(
                f"image is {image}; expected a position in {self._dataset.name}, 0 to "
                f"{len(self._dataset) - 1:,}."
            )

    def _source_code(self, name: str) -> str:
        """Return a model's source as Python: a literal, or the name that it has in the student's notebook."""
        source = self._sources[name]
        if isinstance(source, str | PathLike):
            return repr(str(source))
        return f"{self._code[name]}_model"


def _listed(model: ModelSource, role: str) -> str:
    """Return how the lists of models call a source; a name of the zoo is checked."""
    if isinstance(model, str) and not model.endswith(".onnx"):
        look_up({name: name for name in list_zoo()}, "trained model", model)
        return model
    kind = Path(model).name if isinstance(model, str | PathLike) else type(model).__name__
    return f"{kind} (your {role})"
