"""The fusion explorer: move the optimization level, and see which nodes become one and what that saves."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import traitlets

from course_lib.architectures import list_zoo
from course_lib.explore.fusion import LEVELS, FusionEngine, FusionResult, FusionSetting
from course_lib.explore.graph_picture import draw_diff
from course_lib.explore.model_source import ZOO_INPUT, ModelSource
from course_lib.registry import look_up
from course_lib.runtimes.onnx_runtime import Optimization
from course_lib.widgets.fusion_view import picture_view, result_view
from course_lib.widgets.live_explorer import LiveExplorer
from course_lib.widgets.page_source import script, style

DEFAULT_MODEL = "residual"


@dataclass(frozen=True)
class _Job:
    """One position of the controls."""

    generation: int
    model: str
    setting: FusionSetting


class FusionExplorer(LiveExplorer[_Job, FusionResult]):
    """Move ONNX Runtime's optimization level; see the graph that runs, its operators and its latency.

    Parameters
    ----------
    model
        The model to begin with: a name of the zoo, the path of an ``.onnx`` file, its content, or a PyTorch
        module. The zoo is offered beside it.
    level
        The level to begin with: "off", "basic", "extended" or "all".
    input_shape
        Of one input without the batch: needed for a module, and for a file with more free axes than the
        batch.

    Raises
    ------
    UnknownNameError
        If there is no such level, or a name is not in the zoo.

    Examples
    --------
    >>> FusionExplorer()  # doctest: +SKIP
    >>> FusionExplorer(my_module, input_shape=(3, 224, 224))  # doctest: +SKIP
    """

    _esm = script("fusion_explorer")
    _css = style("fusion_explorer")

    models: traitlets.List[str] = traitlets.List().tag(sync=True)
    levels = traitlets.List(list(LEVELS)).tag(sync=True)
    picture = traitlets.Dict(help="Both graphs of the shown model and level.").tag(sync=True)

    def __init__(
        self,
        model: "ModelSource | bytes" = DEFAULT_MODEL,
        *,
        level: Optimization = "all",
        input_shape: Sequence[int] = ZOO_INPUT,
    ) -> None:
        look_up(dict.fromkeys(LEVELS), "optimization level", level)
        self._sources = _offered(model)
        self._input_shape = tuple(input_shape)
        self._own_engine: FusionEngine | None = None
        self._shown: FusionResult | None = None
        request = {"generation": 0, "model": next(iter(self._sources)), "level": level, "timed": False}
        super().__init__(request, models=list(self._sources))
        self.on_msg(self._asked)

    def __repr__(self) -> str:  # what a page without widgets shows
        return "FusionExplorer()" if self._shown is None else str(self.result.get("explanation", ""))

    def _job_of(self, request: Mapping[str, Any]) -> _Job:
        model, level = str(request["model"]), request["level"]
        look_up(self._sources, "model", model)
        look_up(dict.fromkeys(LEVELS), "optimization level", level)
        return _Job(int(request["generation"]), model, FusionSetting(level, bool(request["timed"])))

    def _work(self, job: _Job, superseded: Callable[[], bool]) -> Iterator[FusionResult]:
        yield from self._engine(job.model).stream(job.setting, cancelled=superseded)

    def _engine(self, name: str) -> FusionEngine:
        source = self._sources[name]
        if source == name:
            self._prepare_once(name)
            return _zoo_engine(name)
        if self._own_engine is None:
            self._prepare_once(name)
            self._own_engine = FusionEngine(source, input_shape=self._input_shape, name=name)
        return self._own_engine

    def _prepare_once(self, name: str) -> None:
        if self.picture.get("model") != name:
            self._prepare(f"Preparing {name}: its graph at every level …")

    def _show(self, job: _Job, result: FusionResult) -> None:
        level = job.setting.level
        if (self.picture.get("model"), self.picture.get("level")) != (job.model, level):
            self.picture = picture_view(job.model, level, result.diff)
        self.result = result_view(result, self._code_source(job.model)) | {"generation": job.generation}
        self._shown = result

    def _code_source(self, name: str) -> str | None:
        """Return the engine's arguments as Python, or None where only the notebook has the model."""
        source = self._sources[name]
        if not isinstance(source, str | PathLike):
            return None
        shape = (
            "" if source == name or self._input_shape == ZOO_INPUT else f", input_shape={self._input_shape}"
        )
        return repr(fspath(source)) + shape

    def _asked(self, _: object, content: Mapping[str, Any], buffers: object) -> None:
        with self._lock:
            result = self._shown
        if content.get("kind") != "picture" or result is None:
            return
        level = result.setting.level
        svg = draw_diff(result.diff, titles=("in the file", f"at level {level}")).svg
        self.send(
            {"kind": "picture", "view": content.get("view"), "content": svg, "name": f"fusion_{level}.svg"}
        )


@lru_cache
def _zoo_engine(name: str) -> FusionEngine:
    """Return the engine of all explorers of a kernel: what was measured once is known to all."""
    return FusionEngine(name)


def _offered(model: "ModelSource | bytes") -> dict[str, "ModelSource | bytes"]:
    zoo: dict[str, ModelSource | bytes] = {name: name for name in list_zoo()}
    if isinstance(model, str) and not model.endswith(".onnx"):
        look_up(zoo, "trained model", model)
        return {model: model, **zoo}
    if isinstance(model, bytes):
        return {"model (yours)": model, **zoo}
    kind = Path(fspath(model)).name if isinstance(model, str | PathLike) else type(model).__name__
    return {f"{kind} (yours)": model, **zoo}
