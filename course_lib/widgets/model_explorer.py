"""What explorers over a model share: which models are offered, their engines, and the settings visited."""

from abc import abstractmethod
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import traitlets

from course_lib.architectures import list_zoo
from course_lib.data import Dataset, load_dataset
from course_lib.explore.model_engine import ModelEngine
from course_lib.explore.model_source import ModelSource
from course_lib.explore.result import MeasuredResult
from course_lib.registry import look_up
from course_lib.widgets.live_explorer import LiveExplorer
from course_lib.widgets.measured_view import visited_csv, visited_view

DEFAULT_MODEL = "depthwise"

_ZOO_ENGINES: dict[tuple[type, str], Any] = {}
"""Engines over the shipped images, shared by all explorers of a kernel: to run a cell again costs nothing."""


class ModelJob(Protocol):
    """One position of the controls; the generation grows with every change that the page sends."""

    @property
    def generation(self) -> int: ...
    @property
    def model(self) -> str: ...


JobT = TypeVar("JobT", bound=ModelJob)
ResultT = TypeVar("ResultT", bound=MeasuredResult[Any])
EngineT = TypeVar("EngineT", bound=ModelEngine[Any, Any])


class ModelExplorer(LiveExplorer[JobT, ResultT], Generic[JobT, ResultT, EngineT]):
    """An explorer of what settings do to a model, with a list of models and of the settings visited.

    Parameters
    ----------
    model
        Where the explorer starts: a name of the zoo, the path of an ``.onnx`` file, or a PyTorch module.
    dataset
        The images to measure accuracy on; None for the shipped Fashion-MNIST test set. With images of the
        student's own, only this model is offered.
    request
        The first position of the other controls.
    traits
        First values of the subclass's own traits.
    """

    models: traitlets.List[str] = traitlets.List().tag(sync=True)
    visited: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)

    engine_type: ClassVar[type[ModelEngine[Any, Any]]]

    def __init__(
        self, model: ModelSource, dataset: Dataset | None, request: Mapping[str, Any], **traits: Any
    ) -> None:
        self._own_engines: dict[tuple[type, str], Any] = {}
        self._own_data = dataset is not None
        self._sources = _offered(model, only_this=self._own_data)
        self._dataset = dataset or load_dataset("fashion-mnist")
        self._visited: dict[str, dict[Any, ResultT]] = {}
        self._shown_model = ""
        first = next(iter(self._sources))
        super().__init__({"generation": 0, "model": first, **request}, models=list(self._sources), **traits)
        self.on_msg(self._asked)

    @abstractmethod
    def _view(self, job: JobT, result: ResultT) -> dict[str, Any]:
        """Return what the page shows of a result, but for its generation."""

    def close(self) -> None:
        """Take the explorer off the page and end its threads."""
        for engine in self._own_engines.values():
            engine.close()
        super().close()

    def _checked_model(self, request: Mapping[str, Any]) -> str:
        """Return the model that a request names, or raise UnknownNameError."""
        name = str(request["model"])
        look_up(self._sources, "model", name)
        return name

    def _engine(self, name: str) -> EngineT:
        source, key = self._sources[name], (self.engine_type, name)
        engines = _ZOO_ENGINES if source == name and not self._own_data else self._own_engines
        if key not in engines:
            self._prepare(f"Preparing {name}: exporting it once …")
            engines[key] = self.engine_type(
                source,
                self._dataset,
                name=name,
                on_progress=lambda share: self._prepare(f"Preparing {name}: {round(share, 1):.0%} done …"),
            )
        engine: EngineT = engines[key]
        return engine

    def _show(self, job: JobT, result: ResultT) -> None:
        visited = self._visited.setdefault(job.model, {})
        # The list grows with every setting; in between, the page shows this setting from its result.
        news = result.setting not in visited or result.accuracy.exact or job.model != self._shown_model
        visited[result.setting] = result
        self._shown_model = job.model
        if news:
            self.visited = visited_view(list(visited.values()))
        self.result = self._view(job, result) | {"generation": job.generation}

    def _code_source(self, name: str) -> str | None:
        """Return the source as a Python literal, or None where only the student's notebook has it."""
        source = self._sources[name]
        return repr(str(source)) if isinstance(source, str | Path) and not self._own_data else None

    def _asked(self, _: object, content: Mapping[str, Any], buffers: object) -> None:
        with self._lock:
            if content.get("kind") == "export":
                results = [result for visited in self._visited.values() for result in visited.values()]
                self.send({"kind": "csv", "view": content.get("view"), "content": visited_csv(results)})
            elif content.get("kind") == "forget":
                # Of what was visited, the setting on the page stays.
                shown = self._visited.get(self._shown_model, {})
                current = self.result.get("label")
                kept = {setting: result for setting, result in shown.items() if result.label == current}
                self._visited = {self._shown_model: kept}
                self.visited = visited_view(list(kept.values()))


def _offered(model: ModelSource, *, only_this: bool) -> dict[str, ModelSource]:
    zoo: dict[str, ModelSource] = {name: name for name in list_zoo()}
    if isinstance(model, str) and not model.endswith(".onnx"):
        look_up(zoo, "trained model", model)
        chosen: dict[str, ModelSource] = {model: model}
    else:
        kind = Path(model).name if isinstance(model, str | PathLike) else type(model).__name__
        chosen = {f"{kind} (yours)": model}
    return chosen if only_this else {**chosen, **zoo}
