"""The engine behind the compression explorer: a setting goes in, a stream of results comes out.

Each setting prunes and quantizes the weights of the whole model; `model_engine` measures what that does.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from course_lib.explore.compress import (
    CompressedWeight,
    compress,
    histogram,
    stored_size,
    weights_sqnr_db,
)
from course_lib.explore.model_engine import ModelEngine
from course_lib.explore.result import CompressionResult
from course_lib.explore.setting import CompressionSetting
from course_lib.pruning import sparsity_of
from course_lib.registry import look_up


class CompressionEngine(ModelEngine[CompressionSetting, CompressionResult]):
    """Compress a model at any setting and measure what that does; for the parameters see `ModelEngine`."""

    @property
    def largest_layer(self) -> str:
        """The weight tensor with the most values, shown in the histogram by default."""
        return max(self.layers, key=lambda name: self.graph.weights[name].values.size)

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
        """
        layer = layer or self.largest_layer
        look_up(self.graph.weights, "layer", layer)
        compressed = compress(self.graph, setting)
        known = self._exact.get(setting)
        if known:
            yield replace(known, histogram=histogram(self.graph, compressed, layer))
            return
        # While one core loads the model, the other packs the weights.
        loading = self._loading({name: weight.values for name, weight in compressed.items()})
        result_with = partial(
            CompressionResult,
            model=self.name,
            setting=setting,
            baseline_accuracy=self.baseline_accuracy,
            sparsity=_sparsity(compressed),
            size_bytes=stored_size(self.graph, compressed),
            dense_size_bytes=self.dense_size_bytes,
            sqnr_db=weights_sqnr_db(self.graph, compressed),
            histogram=histogram(self.graph, compressed, layer),
        )
        for measured in self._measure(setting, loading, cancelled):
            result = result_with(**measured._asdict())
            if measured.class_accuracy is not None:
                self._exact[setting] = result
            yield result


def _sparsity(compressed: dict[str, CompressedWeight]) -> float:
    return sparsity_of(np.concatenate([weight.values.ravel() for weight in compressed.values()]))
