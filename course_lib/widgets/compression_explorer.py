"""The compression explorer: sliders for sparsity and bits, and what they do to a real model, live."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from course_lib.architectures import list_zoo
from course_lib.data import Dataset, load_dataset
from course_lib.errors import CourseError
from course_lib.explore.compression import CompressionEngine
from course_lib.explore.latest import LatestWins
from course_lib.explore.model_source import ModelSource
from course_lib.explore.result import CompressionResult
from course_lib.explore.setting import CompressionSetting
from course_lib.registry import look_up
from course_lib.widgets.compression_view import result_view, visited_csv, visited_view

DEFAULT_MODEL = "depthwise"
BIT_CHOICES = (32, 16, 8, 7, 6, 5, 4, 3, 2)


@dataclass(frozen=True)
class _Job:
    """One position of the controls; the generation grows with every change that the page sends."""

    generation: int
    model: str
    setting: CompressionSetting
    layer: str


class CompressionExplorer(anywidget.AnyWidget):
    """Slide sparsity and bits of a trained model, and watch accuracy, latency, size and weights follow.

    Parameters
    ----------
    model
        Where the explorer starts: a name of the zoo, the path of an ``.onnx`` file, or a PyTorch module.
    dataset
        The images to measure accuracy on; by default the shipped Fashion-MNIST test set. With images of your
        own, only your own model is offered.
    setting
        Where the sliders start.

    Examples
    --------
    >>> CompressionExplorer()  # doctest: +SKIP
    >>> CompressionExplorer(my_module, load_dataset("my_images.npz"))  # doctest: +SKIP
    """

    _esm = Path(__file__).parent / "compression_explorer.js"
    _css = Path(__file__).parent / "compression_explorer.css"

    models: traitlets.List[str] = traitlets.List().tag(sync=True)
    layers: traitlets.List[str] = traitlets.List().tag(sync=True)
    bit_choices = traitlets.List(list(BIT_CHOICES)).tag(sync=True)
    request = traitlets.Dict().tag(sync=True)
    result = traitlets.Dict().tag(sync=True)
    visited: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)
    status = traitlets.Unicode().tag(sync=True)
    error = traitlets.Unicode().tag(sync=True)

    def __init__(
        self,
        model: ModelSource = DEFAULT_MODEL,
        dataset: Dataset | None = None,
        setting: CompressionSetting | None = None,
    ) -> None:
        self._sources = _offered(model, only_own=dataset is not None)
        start = next(iter(self._sources))
        self._dataset = dataset or load_dataset("fashion-mnist")
        self._engines: dict[str, CompressionEngine] = {}
        self._visited: dict[str, dict[CompressionSetting, CompressionResult]] = {}
        self._worker = LatestWins[_Job, CompressionResult](self._work, self._deliver, self._fail)
        job = _Job(0, start, setting or CompressionSetting(), "")
        super().__init__(models=list(self._sources), request=_request_of(job))
        self.observe(self._requested, "request")
        self.on_msg(self._asked)
        self._worker.submit(job)

    def wait(self, timeout_s: float = 120.0) -> bool:
        """Block until the shown setting is exact; return whether that happened in time."""
        return self._worker.wait_until_idle(timeout_s)

    def _requested(self, change: Mapping[str, Any]) -> None:
        try:
            job = _job_of(change["new"])
            look_up(self._sources, "model", job.model)
        except CourseError as error:
            self.error = str(error)
        except (KeyError, TypeError, ValueError):
            self.error = "The page sent a setting that cannot be read; reload it or run the cell again."
        else:
            self._worker.submit(job)

    def _work(self, job: _Job, superseded: Callable[[], bool]) -> Iterator[CompressionResult]:
        if job.model not in self._engines:
            self.status = f"Preparing {job.model}: exporting it once and running it on all images …"
            self._engines[job.model] = CompressionEngine(
                self._sources[job.model], self._dataset, name=job.model
            )
        engine = self._engines[job.model]
        layer = job.layer if job.layer in engine.layers else engine.largest_layer
        yield from engine.stream(job.setting, layer, superseded)

    def _deliver(self, job: _Job, result: CompressionResult) -> None:
        visited = self._visited.setdefault(job.model, {})
        # The list grows with every setting; in between, the page shows this setting from its result.
        news = result.setting not in visited or result.accuracy.exact
        visited[result.setting] = result
        view = result_view(result, self._dataset.class_names)
        with self.hold_sync():
            self.layers = self._engines[job.model].layers
            if news:
                self.visited = visited_view(list(visited.values()))
            self.result = view | {"generation": job.generation}
            self.status = ""
            self.error = ""

    def _fail(self, job: _Job, error: Exception) -> None:
        with self.hold_sync():
            self.status = ""
            self.error = str(error) if isinstance(error, CourseError) else f"{type(error).__name__}: {error}"

    def _asked(self, _: object, content: Mapping[str, Any], buffers: object) -> None:
        if content.get("kind") == "export":
            results = [result for visited in self._visited.values() for result in visited.values()]
            self.send({"kind": "csv", "content": visited_csv(results)})
        elif content.get("kind") == "forget":
            self._visited.clear()
            self.visited = []


def _offered(model: ModelSource, *, only_own: bool) -> dict[str, ModelSource]:
    zoo: dict[str, ModelSource] = {name: name for name in list_zoo()}
    if isinstance(model, str) and model in zoo:
        return {model: model, **zoo}
    if isinstance(model, str) and not model.endswith(".onnx"):
        look_up(zoo, "trained model", model)
    own = Path(model).stem if isinstance(model, str | Path) else f"{type(model).__name__} (yours)"
    return {own: model} if only_own else {own: model, **zoo}


def _request_of(job: _Job) -> dict[str, Any]:
    s = job.setting
    return {
        "generation": job.generation,
        "model": job.model,
        "layer": job.layer,
        "sparsity": s.sparsity,
        "bits": s.bits,
        "symmetric": s.symmetric,
        "per_channel": s.per_channel,
    }


def _job_of(request: Mapping[str, Any]) -> _Job:
    setting = CompressionSetting(
        sparsity=float(request["sparsity"]),
        bits=int(request["bits"]),
        symmetric=bool(request["symmetric"]),
        per_channel=bool(request["per_channel"]),
    )
    return _Job(int(request["generation"]), str(request["model"]), setting, str(request["layer"]))
