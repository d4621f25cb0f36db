"""The quantizer explorer: draw or pick a tensor, move the quantizer, and see grid, error and SQNR live."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import traitlets

from course_lib.explore.quantizer import QuantizerResult, QuantizerSetting, study_quantizer
from course_lib.explore.tensors import RowTensor, drawn
from course_lib.registry import look_up
from course_lib.widgets.live_explorer import LiveExplorer
from course_lib.widgets.page_source import script, style
from course_lib.widgets.quantizer_sources import offered
from course_lib.widgets.quantizer_view import (
    fitting_granularity,
    granularities,
    granularity_name,
    result_view,
)

DRAWN = "drawn by hand"


@dataclass(frozen=True)
class _Job:
    """One position of the controls; the granularity is still a name, for groups have to fit the tensor."""

    generation: int
    tensor: str
    layer: str
    heights: tuple[float, ...]
    limit: float
    granularity: str
    setting: QuantizerSetting


@dataclass(frozen=True)
class _Studied:
    """A result, and where its tensor came from."""

    result: QuantizerResult
    tensor: RowTensor
    layer: str
    layers: list[str]
    code: str


class QuantizerExplorer(LiveExplorer[_Job, _Studied]):
    """Quantize a tensor that you draw or pick: bits, clipping, granularity, one outlier, and what they do.

    Parameters
    ----------
    tensor
        Where the explorer starts: a distribution, a name of the zoo, the path of an ``.onnx`` file, a PyTorch
        module, or an array of your own.
    setting
        Where the sliders start.

    Raises
    ------
    UnknownNameError
        If a name is neither a distribution nor in the zoo.
    DataError
        If an array is empty, or its values are not finite numbers.

    Examples
    --------
    >>> QuantizerExplorer()  # doctest: +SKIP
    >>> QuantizerExplorer("depthwise", QuantizerSetting(bits=3))  # doctest: +SKIP
    >>> QuantizerExplorer(my_module.conv1.weight)  # doctest: +SKIP
    """

    _esm = script("quantizer_explorer")
    _css = style("quantizer_explorer")

    tensors: traitlets.List[str] = traitlets.List().tag(sync=True)
    drawn_name = traitlets.Unicode(DRAWN).tag(sync=True)
    start = traitlets.Dict(help="The request that the reset button goes back to.").tag(sync=True)

    def __init__(self, tensor: Any = "normal", setting: QuantizerSetting | None = None) -> None:
        setting = setting or QuantizerSetting()
        first, self._sources = offered(tensor)
        self._loaded: dict[str, dict[str, RowTensor]] = {}
        self._drawing: tuple[tuple[tuple[float, ...], float], RowTensor] | None = None
        start = {
            "generation": 0,
            "tensor": first,
            "layer": "",
            "heights": [],
            "limit": 1.0,
            "bits": setting.bits,
            "symmetric": setting.symmetric,
            "granularity": granularity_name(setting.granularity),
            "clip": setting.clip,
            "outlier": setting.outlier,
        }
        super().__init__(start, tensors=[*self._sources, DRAWN], start=start)

    def _job_of(self, request: Mapping[str, Any]) -> _Job:
        job = _Job(
            generation=int(request["generation"]),
            tensor=str(request["tensor"]),
            layer=str(request["layer"]),
            heights=tuple(float(height) for height in request["heights"]),
            limit=float(request["limit"]),
            granularity=str(request["granularity"]),
            setting=QuantizerSetting(
                bits=int(request["bits"]),
                symmetric=bool(request["symmetric"]),
                clip=float(request["clip"]),
                outlier=float(request["outlier"]),
            ),
        )
        if job.tensor != DRAWN:
            look_up(self._sources, "tensor", job.tensor)
        return job

    def _work(self, job: _Job, superseded: Callable[[], bool]) -> Iterator[_Studied]:
        if job.tensor == DRAWN:
            tensor, layer, layers = self._drawn(job), "", []
            code = f"drawn({[round(height, 3) for height in job.heights]}, limit={job.limit})"
        else:
            tensors = self._load(job.tensor)
            layer = (
                job.layer
                if job.layer in tensors
                else max(tensors, key=lambda name: tensors[name].values.size)
            )
            tensor, layers = tensors[layer], [name for name in tensors if name]
            code = self._sources[job.tensor].code(layer)
        setting = replace(job.setting, granularity=fitting_granularity(job.granularity, tensor))
        yield _Studied(study_quantizer(tensor, setting), tensor, layer, layers, code)

    def _load(self, name: str) -> dict[str, RowTensor]:
        if name not in self._loaded:
            if self._sources[name].slow:
                self._prepare(f"Preparing the {name}: exporting the model once …")
            self._loaded[name] = self._sources[name].load()
        return self._loaded[name]

    def _drawn(self, job: _Job) -> RowTensor:
        # The same object for the same drawing, so that the engine knows its curve again when only bits move.
        key = (job.heights, job.limit)
        if self._drawing is None or self._drawing[0] != key:
            self._drawing = (key, drawn(job.heights, limit=job.limit))
        return self._drawing[1]

    def _show(self, job: _Job, studied: _Studied) -> None:
        view = result_view(studied.result, studied.code)
        self.result = view | {
            "generation": job.generation,
            "tensor": job.tensor,
            "layer": studied.layer,
            "layers": studied.layers,
            "granularities": granularities(studied.tensor),
        }
