"""The calibration explorer: pick an activation and an observer, and see range, noise and accuracy live."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import traitlets

from course_lib.architectures import list_zoo
from course_lib.data import Dataset, load_dataset
from course_lib.errors import DataError
from course_lib.explore.calibration import CalibrationEngine
from course_lib.explore.calibration_result import BITS, CalibrationResult, CalibrationSetting
from course_lib.explore.model_source import ModelSource
from course_lib.explore.watched import STOPS
from course_lib.registry import look_up
from course_lib.widgets.calibration_view import observer_choices, result_view
from course_lib.widgets.live_explorer import LiveExplorer
from course_lib.widgets.model_explorer import DEFAULT_MODEL
from course_lib.widgets.page_source import script, style

_ZOO_ENGINES: dict[str, CalibrationEngine] = {}
"""Engines over the shipped images, shared by all explorers of a kernel: to run a cell again costs nothing."""


@dataclass(frozen=True)
class _Job:
    """One position of the controls."""

    generation: int
    model: str
    tensor: str
    setting: CalibrationSetting


class CalibrationExplorer(LiveExplorer[_Job, CalibrationResult]):
    """Choose how activations get their ranges, and see what that does to one of them and to the whole model.

    Parameters
    ----------
    model
        Where the explorer starts: a name of the zoo, or a PyTorch module.
    dataset
        The images to measure on; by default the shipped Fashion-MNIST test set. With images of your own, only
        this model is offered.
    calibration
        The images to calibrate with, 8 or more; by default the shipped training images.
    setting
        Where the controls start.

    Raises
    ------
    UnknownNameError
        If there is no such model in the zoo.
    DataError
        If only one of ``dataset`` and ``calibration`` is given.

    Examples
    --------
    >>> CalibrationExplorer()  # doctest: +SKIP
    >>> CalibrationExplorer(my_module, load_dataset("test.npz"), load_dataset("train.npz"))  # doctest: +SKIP
    """

    _esm = script("calibration_explorer")
    _css = style("calibration_explorer")

    models: traitlets.List[str] = traitlets.List().tag(sync=True)
    observers = traitlets.List(observer_choices()).tag(sync=True)
    bit_choices = traitlets.List(list(BITS)).tag(sync=True)
    image_choices = traitlets.List(list(STOPS)).tag(sync=True)
    start = traitlets.Dict(help="The request that the reset button goes back to.").tag(sync=True)

    def __init__(
        self,
        model: ModelSource = DEFAULT_MODEL,
        dataset: Dataset | None = None,
        calibration: Dataset | None = None,
        setting: CalibrationSetting | None = None,
    ) -> None:
        if (dataset is None) != (calibration is None):
            raise DataError(
                "Images to measure on and images to calibrate with belong together; pass both dataset and "
                "calibration, or neither for Fashion-MNIST."
            )
        self._own_engines: dict[str, CalibrationEngine] = {}
        self._own_data = dataset is not None
        self._sources = _offered(model, only_this=self._own_data)
        self._dataset = dataset or load_dataset("fashion-mnist")
        self._calibration = calibration or load_dataset("fashion-mnist", "train")
        start = {
            "generation": 0,
            "model": next(iter(self._sources)),
            "tensor": "",
            **asdict(setting or CalibrationSetting()),
        }
        super().__init__(start, models=list(self._sources), start=start)

    def close(self) -> None:
        """Take the explorer off the page and end its threads."""
        # The interpreter also closes an explorer whose initializer refused its arguments.
        for engine in getattr(self, "_own_engines", {}).values():
            engine.close()
        super().close()

    def _job_of(self, request: Mapping[str, Any]) -> _Job:
        setting = CalibrationSetting(
            observer=str(request["observer"]),
            bits=int(request["bits"]),
            symmetric=bool(request["symmetric"]),
            images=int(request["images"]),
        )
        model = str(request["model"])
        look_up(self._sources, "model", model)
        return _Job(int(request["generation"]), model, str(request["tensor"]), setting)

    def _work(self, job: _Job, superseded: Callable[[], bool]) -> Iterator[CalibrationResult]:
        engine = self._engine(job.model)
        tensor = job.tensor if job.tensor in engine.tensors else None
        yield from engine.stream(job.setting, tensor, superseded)

    def _engine(self, name: str) -> CalibrationEngine:
        source = self._sources[name]
        engines = _ZOO_ENGINES if source == name and not self._own_data else self._own_engines
        if name not in engines:
            self._prepare(f"Preparing {name}: exporting it once …")
            engines[name] = CalibrationEngine(
                source,
                self._dataset,
                self._calibration,
                name=name,
                on_progress=lambda share: self._prepare(f"Preparing {name}: {round(share, 1):.0%} done …"),
            )
        return engines[name]

    def _show(self, job: _Job, result: CalibrationResult) -> None:
        source = self._sources[job.model]
        known = repr(source) if isinstance(source, str) and not self._own_data else None
        view = result_view(result, self._engine(job.model).tensors, known)
        self.result = view | {"generation": job.generation}


def _offered(model: ModelSource, *, only_this: bool) -> dict[str, ModelSource]:
    zoo: dict[str, ModelSource] = {name: name for name in list_zoo()}
    if isinstance(model, str | PathLike) and str(model).endswith(".onnx"):
        # The engine says why it cannot be calibrated; the zoo's networks are still there.
        chosen: dict[str, ModelSource] = {Path(model).name: model}
    elif isinstance(model, str):
        look_up(zoo, "trained model", model)
        chosen = {model: model}
    else:
        chosen = {f"{type(model).__name__} (yours)": model}
    return chosen if only_this else {**chosen, **zoo}
