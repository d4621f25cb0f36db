"""The compression explorer: sliders for sparsity and bits, and what they do to a real model, live."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import traitlets

from course_lib.architectures import list_zoo
from course_lib.data import Dataset, load_dataset
from course_lib.explore.compression import CompressionEngine
from course_lib.explore.model_source import ModelSource
from course_lib.explore.result import CompressionResult
from course_lib.explore.setting import CompressionSetting
from course_lib.registry import look_up
from course_lib.widgets.compression_view import result_view, visited_csv, visited_view
from course_lib.widgets.live_explorer import LiveExplorer
from course_lib.widgets.page_source import script, style

DEFAULT_MODEL = "depthwise"
BIT_CHOICES = (32, 16, 8, 7, 6, 5, 4, 3, 2)

_ZOO_ENGINES: dict[str, CompressionEngine] = {}
"""Engines over the shipped images, shared by all explorers of a kernel: to run a cell again costs nothing."""


@dataclass(frozen=True)
class _Job:
    """One position of the controls; the generation grows with every change that the page sends."""

    generation: int
    model: str
    setting: CompressionSetting
    layer: str


class CompressionExplorer(LiveExplorer[_Job, CompressionResult]):
    """Slide sparsity and bits of a trained model, and watch accuracy, latency, size and weights follow.

    Parameters
    ----------
    model
        Where the explorer starts: a name of the zoo, the path of an ``.onnx`` file, or a PyTorch module.
    dataset
        The images to measure accuracy on; by default the shipped Fashion-MNIST test set. With images of your
        own, only this model is offered.
    setting
        Where the sliders start.

    Examples
    --------
    >>> CompressionExplorer()  # doctest: +SKIP
    >>> CompressionExplorer(my_module, load_dataset("my_images.npz"))  # doctest: +SKIP
    """

    _esm = script("compression_explorer")
    _css = style("compression_explorer")

    models: traitlets.List[str] = traitlets.List().tag(sync=True)
    layers: traitlets.List[str] = traitlets.List().tag(sync=True)
    bit_choices = traitlets.List(list(BIT_CHOICES)).tag(sync=True)
    visited: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)

    def __init__(
        self,
        model: ModelSource = DEFAULT_MODEL,
        dataset: Dataset | None = None,
        setting: CompressionSetting | None = None,
    ) -> None:
        self._own_engines: dict[str, CompressionEngine] = {}
        self._own_data = dataset is not None
        self._sources = _offered(model, only_this=self._own_data)
        self._dataset = dataset or load_dataset("fashion-mnist")
        self._visited: dict[str, dict[CompressionSetting, CompressionResult]] = {}
        self._shown_model = ""
        job = _Job(0, next(iter(self._sources)), setting or CompressionSetting(), "")
        choices = sorted({*BIT_CHOICES, job.setting.bits}, reverse=True)
        super().__init__(_request_of(job), models=list(self._sources), bit_choices=choices)
        self.on_msg(self._asked)

    def close(self) -> None:
        """Take the explorer off the page and end its threads."""
        for engine in self._own_engines.values():
            engine.close()
        super().close()

    def _job_of(self, request: Mapping[str, Any]) -> _Job:
        job = _job_of(request)
        look_up(self._sources, "model", job.model)
        return job

    def _work(self, job: _Job, superseded: Callable[[], bool]) -> Iterator[CompressionResult]:
        engine = self._engine(job.model)
        layer = job.layer if job.layer in engine.layers else engine.largest_layer
        yield from engine.stream(job.setting, layer, superseded)

    def _engine(self, name: str) -> CompressionEngine:
        source = self._sources[name]
        engines = _ZOO_ENGINES if source == name and not self._own_data else self._own_engines
        if name not in engines:
            self._prepare(f"Preparing {name}: exporting it once …")
            engines[name] = CompressionEngine(
                source,
                self._dataset,
                name=name,
                on_progress=lambda share: self._prepare(f"Preparing {name}: {round(share, 1):.0%} done …"),
            )
        return engines[name]

    def _show(self, job: _Job, result: CompressionResult) -> None:
        visited = self._visited.setdefault(job.model, {})
        # The list grows with every setting; in between, the page shows this setting from its result.
        news = result.setting not in visited or result.accuracy.exact or job.model != self._shown_model
        visited[result.setting] = result
        self._shown_model = job.model
        view = result_view(result, self._dataset.class_names, self._code_source(job.model))
        self.layers = self._engine(job.model).layers
        if news:
            self.visited = visited_view(list(visited.values()))
        self.result = view | {"generation": job.generation}

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
                shown = self._visited.get(self._shown_model, {})
                current = _job_of(self.request).setting
                kept = {setting: result for setting, result in shown.items() if setting == current}
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
