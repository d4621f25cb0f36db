"""The engine behind the compression explorer: a setting goes in, a stream of results comes out.

Each setting removes channels, prunes and quantizes the weights of what is left; `model_engine` measures what
that does. Which channels go together is found in the PyTorch module, so torch is loaded when channels are
first asked for, in a thread of its own.
"""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np

from course_lib.errors import ModelError
from course_lib.explore.compress import (
    CompressedWeight,
    compress,
    histogram,
    stored_size,
    weights_sqnr_db,
)
from course_lib.explore.model_engine import ModelEngine
from course_lib.explore.result import ChannelsLeft, CompressionResult
from course_lib.explore.setting import CompressionSetting
from course_lib.explore.weight_graph import WeightGraph
from course_lib.pruning import sparsity_of
from course_lib.registry import look_up

if TYPE_CHECKING:
    from course_lib.explore.channel_choice import ChannelChoice


class CompressionEngine(ModelEngine[CompressionSetting, CompressionResult]):
    """Compress a model at any setting and measure what that does; for the parameters see `ModelEngine`."""

    @property
    def largest_layer(self) -> str:
        """The weight tensor with the most values, shown in the histogram by default."""
        return max(self.layers, key=lambda name: self.graph.weights[name].values.size)

    @property
    def why_no_channels(self) -> str:
        """Why no channels can be removed from this source, in a sentence; empty if they can."""
        is_zoo = isinstance(self.source, str) and not self.source.endswith(".onnx")
        if isinstance(self.source, str | os.PathLike) and not is_zoo:
            return (
                "Channels cannot be removed from an .onnx file, which does not say what belongs together; "
                "pass the PyTorch module that it was exported from."
            )
        return ""

    @cached_property
    def channels(self) -> "Future[ChannelChoice]":
        """The model's channels, traced in the background from the first time that this is asked for.

        Its ``result()`` raises ModelError if the source is an .onnx file or the module cannot be traced.
        """
        worker = ThreadPoolExecutor(1, thread_name_prefix="channels")
        future = worker.submit(self._trace)
        worker.shutdown(wait=False)
        return future

    def stream(
        self,
        setting: CompressionSetting,
        layer: str | None = None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Iterator[CompressionResult]:
        """Yield what is known of a setting: an estimate, then the latency, then refinements, then the truth.

        The last result is exact and remembered, so that asking again yields it at once.

        Parameters
        ----------
        layer
            Whose weights the histogram shows; the largest one by default.
        cancelled
            Asked every few milliseconds after the first result; once it says True, the stream ends.

        Raises
        ------
        UnknownNameError
            If there is no such layer.
        SettingError, ModelError
            If that many channels cannot be removed, or none can; the importance does not fit the model.
        """
        layer = layer or self.largest_layer
        look_up(self.graph.weights, "layer", layer)
        graph, left = self._cut(setting)
        compressed = compress(graph, setting)
        known = self._exact.get(setting)
        if known:
            yield replace(known, histogram=histogram(graph, compressed, layer))
            return
        # While one core loads the model, the other packs the weights.
        loading = self._loading({name: weight.values for name, weight in compressed.items()}, graph)
        result_with = partial(
            CompressionResult,
            model=self.name,
            setting=setting,
            baseline_accuracy=self.baseline_accuracy,
            sparsity=_sparsity(compressed),
            size_bytes=stored_size(graph, compressed),
            dense_size_bytes=self.dense_size_bytes,
            sqnr_db=weights_sqnr_db(graph, compressed),
            histogram=histogram(graph, compressed, layer),
            channels=left,
        )
        for measured in self._measure(setting, loading, cancelled):
            result = result_with(**measured._asdict())
            if measured.class_accuracy is not None:
                self._exact[setting] = result
            yield result

    def _cut(self, setting: CompressionSetting) -> tuple[WeightGraph, ChannelsLeft | None]:
        """Return the graph without the channels that a setting removes, and how much that leaves."""
        if not setting.pruning_ratio:
            return self.graph, None
        if self.why_no_channels:
            raise ModelError(self.why_no_channels)
        return self.channels.result().cut(setting.pruning_ratio, setting.importance, setting.multiple_of)

    def _trace(self) -> "ChannelChoice":
        # These need torch, which an engine that removes no channels does without.
        from course_lib.explore.channel_choice import channel_choice

        content = self.graph.with_weights({})
        return channel_choice(self.source, content, self.dataset.images.shape[1:])


def _sparsity(compressed: dict[str, CompressedWeight]) -> float:
    return sparsity_of(np.concatenate([weight.values.ravel() for weight in compressed.values()]))
