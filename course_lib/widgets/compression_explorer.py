"""The compression explorer: sliders for sparsity and bits, and what they do to a real model, live."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import traitlets

from course_lib.data import Dataset
from course_lib.explore.compression import CompressionEngine
from course_lib.explore.model_source import ModelSource
from course_lib.explore.result import CompressionResult
from course_lib.explore.setting import CompressionSetting
from course_lib.widgets.compression_view import result_view
from course_lib.widgets.model_explorer import DEFAULT_MODEL, ModelExplorer
from course_lib.widgets.page_source import script, style

BIT_CHOICES = (32, 16, 8, 7, 6, 5, 4, 3, 2)


@dataclass(frozen=True)
class _Job:
    """One position of the controls."""

    generation: int
    model: str
    setting: CompressionSetting
    layer: str


class CompressionExplorer(ModelExplorer[_Job, CompressionResult, CompressionEngine]):
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

    _esm = script("visited", "compression_explorer")
    _css = style("visited", "compression_explorer")
    engine_type = CompressionEngine

    layers: traitlets.List[str] = traitlets.List().tag(sync=True)
    bit_choices = traitlets.List(list(BIT_CHOICES)).tag(sync=True)

    def __init__(
        self,
        model: ModelSource = DEFAULT_MODEL,
        dataset: Dataset | None = None,
        setting: CompressionSetting | None = None,
    ) -> None:
        setting = setting or CompressionSetting()
        choices = sorted({*BIT_CHOICES, setting.bits}, reverse=True)
        super().__init__(model, dataset, {"layer": "", **asdict(setting)}, bit_choices=choices)

    def _job_of(self, request: Mapping[str, Any]) -> _Job:
        setting = CompressionSetting(
            sparsity=float(request["sparsity"]),
            bits=int(request["bits"]),
            symmetric=bool(request["symmetric"]),
            per_channel=bool(request["per_channel"]),
        )
        model = self._checked_model(request)
        return _Job(int(request["generation"]), model, setting, str(request["layer"]))

    def _work(self, job: _Job, superseded: Callable[[], bool]) -> Iterator[CompressionResult]:
        engine = self._engine(job.model)
        layer = job.layer if job.layer in engine.layers else engine.largest_layer
        yield from engine.stream(job.setting, layer, superseded)

    def _view(self, job: _Job, result: CompressionResult) -> dict[str, Any]:
        self.layers = self._engine(job.model).layers
        return result_view(result, self._dataset.class_names, self._code_source(job.model))
