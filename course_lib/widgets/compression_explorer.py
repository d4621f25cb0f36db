"""The compression explorer: sliders for channels, sparsity and bits, and what they do to a real model, live.

Sparsity and bits need only the exported graph. Removing channels needs the PyTorch module, so torch is loaded
in the background once the page has drawn its first picture and asks for it; until then the page says so.
"""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import traitlets

from course_lib.data import Dataset
from course_lib.errors import CourseError
from course_lib.explore.compression import CompressionEngine
from course_lib.explore.model_source import ModelSource
from course_lib.explore.result import CompressionResult
from course_lib.explore.setting import IMPORTANCES, CompressionSetting
from course_lib.widgets.compression_view import result_view
from course_lib.widgets.model_explorer import DEFAULT_MODEL, ModelExplorer
from course_lib.widgets.page_source import script, style

if TYPE_CHECKING:
    from course_lib.explore.channel_choice import ChannelChoice

BIT_CHOICES = (32, 16, 8, 7, 6, 5, 4, 3, 2)

MULTIPLES = (1, 4, 8, 16)

TRACING = "In a moment: PyTorch is being loaded to find out which channels belong together."


@dataclass(frozen=True)
class _Job:
    """One position of the controls."""

    generation: int
    model: str
    setting: CompressionSetting
    layer: str


class CompressionExplorer(ModelExplorer[_Job, CompressionResult, CompressionEngine]):
    """Slide channels, sparsity and bits of a model, and watch accuracy, latency, size and weights follow.

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
    importances = traitlets.List(list(map(list, IMPORTANCES.items()))).tag(sync=True)
    multiples = traitlets.List(list(MULTIPLES)).tag(sync=True)
    channels_note = traitlets.Unicode(TRACING).tag(sync=True)
    """Why channels cannot be removed from the model shown, or not yet; empty when they can."""

    def __init__(
        self,
        model: ModelSource = DEFAULT_MODEL,
        dataset: Dataset | None = None,
        setting: CompressionSetting | None = None,
    ) -> None:
        setting = setting or CompressionSetting()
        self._noted_model = ""
        choices = sorted({*BIT_CHOICES, setting.bits}, reverse=True)
        multiples = sorted({*MULTIPLES, setting.multiple_of})
        first = {"layer": "", **asdict(setting)}
        super().__init__(model, dataset, first, bit_choices=choices, multiples=multiples)

    def _job_of(self, request: Mapping[str, Any]) -> _Job:
        setting = CompressionSetting(
            sparsity=float(request["sparsity"]),
            bits=int(request["bits"]),
            symmetric=bool(request["symmetric"]),
            per_channel=bool(request["per_channel"]),
            pruning_ratio=float(request["pruning_ratio"]),
            importance=str(request["importance"]),
            multiple_of=int(request["multiple_of"]),
        )
        model = self._checked_model(request)
        return _Job(int(request["generation"]), model, setting, str(request["layer"]))

    def _work(self, job: _Job, superseded: Callable[[], bool]) -> Iterator[CompressionResult]:
        engine = self._engine(job.model)
        layer = job.layer if job.layer in engine.layers else engine.largest_layer
        if job.setting.pruning_ratio and not (engine.why_no_channels or engine.channels.done()):
            self._prepare(f"Preparing {job.model}: finding out which channels belong together …")
        yield from engine.stream(job.setting, layer, superseded)

    def _view(self, job: _Job, result: CompressionResult) -> dict[str, Any]:
        engine = self._engine(job.model)
        self.layers = engine.layers
        if job.model != self._noted_model:
            self._noted_model, self.channels_note = job.model, engine.why_no_channels or TRACING
            if "channels" in vars(engine):  # traced before, or being traced
                self.prepare_channels()
        return result_view(result, self._dataset.class_names, self._code_source(job.model))

    def _asked(self, _: object, content: Mapping[str, Any], buffers: object) -> None:
        if content.get("kind") == "channels":
            self.prepare_channels()
        else:
            super()._asked(_, content, buffers)

    def prepare_channels(self) -> None:
        """Trace the model shown in the background; the page asks for this after its first picture."""
        with self._lock:
            name = self._shown_model
        if name and not self._engine(name).why_no_channels:
            self._engine(name).channels.add_done_callback(lambda traced: self._channels_ready(name, traced))

    def _channels_ready(self, name: str, traced: "Future[ChannelChoice]") -> None:
        error = traced.exception()
        with self._lock, self.hold_sync():
            if name != self._shown_model:
                return
            if error is None:
                usable = traced.result().importances
                self.importances = [[key, IMPORTANCES[key]] for key in usable]
                self.channels_note = ""
            else:
                self.channels_note = str(error) if isinstance(error, CourseError) else repr(error)
