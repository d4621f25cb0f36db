"""The engine behind the pruning microscope: channels to remove go in, a stream of measured results comes out.

The model is exported once. Each choice cuts its channels out of the exported graph (`channel_graph`), so that
what is measured is the physically smaller network: its accuracy, its latency in turns with the whole network,
its multiply-accumulates, its parameters and its stored size.

Worked example: a network has 100 MACs and its smaller form 40, so 100 / 40 = 2.5 times fewer; if that takes
0.5 of the time, it is 2 times faster.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from course_lib.data import Dataset
from course_lib.errors import ModelError
from course_lib.explore.microscope_choice import ChannelChoice
from course_lib.explore.microscope_layers import LayerWidth, Network
from course_lib.explore.model_engine import ModelEngine
from course_lib.explore.model_source import ModelSource
from course_lib.explore.result import MeasuredResult
from course_lib.explore.weight_graph import WeightGraph
from course_lib.quantization import encode
from course_lib.runtimes import LoadedModel
from course_lib.runtimes.onnx_runtime import OnnxRuntime

if TYPE_CHECKING:
    from torch import fx, nn

EVEN_WIDTH = 4
"""ONNX Runtime has its fast convolutions for numbers of channels that are multiples of this; with 95 channels
instead of 96 the shipped depthwise network was measured to take 2.5 times as long."""


@dataclass(frozen=True, kw_only=True)
class MicroscopeResult(MeasuredResult[ChannelChoice]):
    """What is known of a model without the chosen channels.

    Parameters
    ----------
    widths
        What is left of each layer, in the order of `Network.layers`.
    macs, dense_macs
        Multiply-accumulates for one image, of the smaller and of the whole model.
    params, dense_params
        Trained numbers; the statistics of norms are none.
    uneven
        A layer that lost channels and is left with no multiple of EVEN_WIDTH, in words; empty if none is.
    """

    unchanged = "whole model"

    widths: tuple[LayerWidth, ...]
    macs: int
    dense_macs: int
    params: int
    dense_params: int
    uneven: str = ""

    @property
    def macs_gain(self) -> float:
        """How many times fewer MACs the smaller model has; inf if it has none left."""
        return self.dense_macs / self.macs if self.macs else float("inf")

    @property
    def latency_note(self) -> str:
        """Sentences that say what the latency is, and what it depends on beside the MACs."""
        if self.setting.dense:
            return "This is the whole model, compared with itself."
        if self.latency is None:
            return "The channels are cut out of the file, with all that belongs to them in other layers."
        low, high = self.latency.ratio_interval
        if low > 1:
            measured = f"yet measured {self.latency.ratio:.2f}× slower"
        elif high < 1:
            measured = f"measured {1 / self.latency.ratio:.2f}× faster"
        else:
            measured = "but no difference in latency that could be told from noise"
        reason = "Fewer MACs are no promise: kernels use the processor better at some widths than at others."
        if self.uneven:
            reason = f"{self.uneven}, and fast kernels want multiples of {EVEN_WIDTH}, better of 8."
        return f"{self.macs_gain:.2f}× fewer MACs, {measured}. {reason}"


class MicroscopeEngine(ModelEngine[ChannelChoice, MicroscopeResult]):
    """Remove single channels of a model and measure what that does.

    Its parameters are those of `ModelEngine`, but for the source, which is a zoo name or a PyTorch module.

    Attributes
    ----------
    channels
        The exported graph with the groups of channels that can be cut out of it.
    network
        The layers, and what ties them.

    Raises
    ------
    ModelError
        If the source is an ``.onnx`` file, or the module cannot be traced.

    Examples
    --------
    >>> engine = MicroscopeEngine("depthwise", load_dataset("fashion-mnist"))  # doctest: +SKIP
    >>> engine.exact(engine.choice({"stem.0.0": [0, 3]})).accuracy  # doctest: +SKIP
    """

    def __init__(
        self,
        source: ModelSource,
        dataset: Dataset,
        *,
        first_images: int | None = None,
        name: str | None = None,
        seed: int = 0,
        on_progress: Callable[[float], None] = lambda share: None,
    ) -> None:
        module = _module_of(source)
        from course_lib.explore.channel_graph import ChannelGraph

        super().__init__(
            source, dataset, first_images=first_images, name=name, seed=seed, on_progress=on_progress
        )
        self.channels = ChannelGraph(module, self.graph.with_weights({}), dataset.images.shape[1:])
        self.network = Network(self.channels)
        self._dense_macs, self._dense_params = self.channels.macs(), self.channels.params()

    def choice(self, removed: Mapping[str, Sequence[int]]) -> ChannelChoice:
        """Return the choice for group name → channels to remove.

        Raises
        ------
        UnknownNameError
            If there is no group of that name.
        SettingError
            If a channel does not exist, or no channel of a group would be left.
        """
        choice = ChannelChoice.of(removed)
        self.channels.params(choice.chosen)  # refuses what cannot be removed
        return choice

    def pruned(self, choice: ChannelChoice) -> "fx.GraphModule":
        """Return the smaller model as a PyTorch module, proved to compute what the masked one does.

        It can be trained further; exceptions as for `remove`.
        """
        from course_lib.pruning.structure.removal import remove

        return remove(self.channels.dependencies, choice.chosen)

    def stream(
        self, setting: ChannelChoice, *, cancelled: Callable[[], bool] = lambda: False
    ) -> Iterator[MicroscopeResult]:
        """Yield what is known of a choice; see `ModelEngine.stream`, and `choice` for what is refused."""
        known = self._exact.get(setting)
        if known:
            yield known
            return
        chosen = setting.chosen
        content = self.channels.without(chosen)
        loading = self._pool.submit(_loaded, content)
        result_with = partial(
            MicroscopeResult,
            model=self.name,
            setting=setting,
            baseline_accuracy=self.baseline_accuracy,
            size_bytes=self.dense_size_bytes if setting.dense else _stored_bytes(content),
            dense_size_bytes=self.dense_size_bytes,
            sqnr_db=float("inf"),
            widths=self.network.widths(chosen),
            macs=self.channels.macs(chosen),
            dense_macs=self._dense_macs,
            params=self.channels.params(chosen),
            dense_params=self._dense_params,
            uneven=self._uneven(chosen),
        )
        for measured in self._measure(setting, loading, cancelled):
            result = result_with(**measured._asdict())
            if measured.class_accuracy is not None:
                self._exact[setting] = result
            yield result

    def _uneven(self, chosen: Mapping[str, Sequence[int]]) -> str:
        for layer, left in zip(self.network.layers, self.network.widths(chosen), strict=True):
            if left.outputs < layer.outputs and left.outputs % EVEN_WIDTH:
                return f"{layer.path} is left with {left.outputs} channels"
        return ""


def _module_of(source: ModelSource) -> "nn.Module":
    if isinstance(source, str | PathLike):
        if str(source).endswith(".onnx"):
            raise ModelError(
                f"{Path(source).name} is an ONNX file, which does not tell which channels belong together; "
                "pass the PyTorch module that it was exported from."
            )
        from course_lib.architectures import load_pretrained

        return load_pretrained(str(source))
    return source


def _loaded(content: bytes) -> LoadedModel:
    return OnnxRuntime().load(content, threads=1)


def _stored_bytes(content: bytes) -> int:
    """Return the bytes of a model when stored, as `stored_size` counts them: every weight really packed."""
    graph = WeightGraph(content)
    return sum(encode(weight.values).size_bytes for weight in graph.weights.values()) + 4 * graph.other_params
