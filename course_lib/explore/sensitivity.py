"""The engine behind the sensitivity explorer: bits of each layer go in, a stream of results comes out.

Each layer's weight is rounded to its own number of bits, put into the exported graph, and the model is
measured as a whole (`model_engine`). Packing a layer takes longer than rounding it, so its size is computed
once for each width, and a click costs little more than the run on the first images.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial

from course_lib.errors import SettingError
from course_lib.explore.assignment import BitAssignment
from course_lib.explore.compress import CompressedWeight, packed_bytes, quantize_weight, weights_sqnr_db
from course_lib.explore.model_engine import ModelEngine
from course_lib.explore.result import MeasuredResult
from course_lib.explore.setting import CompressionSetting
from course_lib.quantization import sqnr_db


@dataclass(frozen=True)
class LayerState:
    """One layer at its number of bits.

    Parameters
    ----------
    name, shape
        Of its weight.
    params
        How many values the weight has.
    macs
        Multiply-accumulates for one image; None where the graph does not tell.
    bits
        2 to 8, or 32 for floating point.
    size_bytes
        Of the weight when packed, with its scales.
    sqnr_db
        Signal-to-noise ratio of the weight; inf in floating point.
    """

    name: str
    shape: tuple[int, ...]
    params: int
    macs: int | None
    bits: int
    size_bytes: int
    sqnr_db: float


@dataclass(frozen=True, kw_only=True)
class SensitivityResult(MeasuredResult[BitAssignment]):
    """What is known of a model whose layers have these bits.

    Parameters
    ----------
    layers
        In the order of the graph.
    origin
        Where the bits came from, in words; empty where somebody chose them.
    """

    unchanged = "float model"

    layers: tuple[LayerState, ...]
    origin: str = ""

    @property
    def label(self) -> str:
        bits = self.setting.label
        return f"{self.origin}: {bits}" if self.origin else bits

    @property
    def average_bits(self) -> float:
        """Bits a weight, averaged over all weights of the layers; scales not counted."""
        return sum(layer.bits * layer.params for layer in self.layers) / sum(
            layer.params for layer in self.layers
        )

    @property
    def latency_note(self) -> str:
        """One sentence that says why the latency is what it is."""
        if self.setting.dense:
            return "This is the model in 32-bit floats, compared with itself."
        return (
            "Fewer bits make the file smaller, not the model faster: the runtime unpacks the weights to "
            "32-bit floats before it computes, and below 8 bits it has no kernels that could run faster."
        )


class SensitivityEngine(ModelEngine[BitAssignment, SensitivityResult]):
    """Give each layer of a model its own bits and measure what that does.

    Its parameters are those of `ModelEngine`.

    Examples
    --------
    >>> engine = SensitivityEngine("depthwise", load_dataset("fashion-mnist"))  # doctest: +SKIP
    >>> engine.exact(engine.assignment({"classifier.weight": 4})).accuracy  # doctest: +SKIP
    """

    @cached_property
    def _states(self) -> dict[tuple[str, int], LayerState]:
        return {}

    def assignment(self, bits: Mapping[str, int]) -> BitAssignment:
        """Return the assignment of layers by name; see `BitAssignment.of`."""
        return BitAssignment.of(self.layers, bits)

    def uniform(self, bits: int) -> BitAssignment:
        """Return the assignment that gives every layer the same bits."""
        return BitAssignment((bits,) * len(self.layers))

    def quantized(self, layer: str, bits: int) -> CompressedWeight:
        """Return one layer's weight at this width: symmetric, a scale for each output channel."""
        return quantize_weight(self.graph.weights[layer], CompressionSetting(bits=bits))

    def stream(
        self, setting: BitAssignment, *, cancelled: Callable[[], bool] = lambda: False
    ) -> Iterator[SensitivityResult]:
        """Yield what is known of an assignment; see `ModelEngine.stream`.

        Raises
        ------
        SettingError
            If it is not for as many layers as the model has.
        """
        if len(setting.bits) != len(self.layers):
            raise SettingError(
                f"These are the bits of {len(setting.bits)} layers, but {self.name} has {len(self.layers)}; "
                "pass one width for each, or name the layers with engine.assignment."
            )
        known = self._exact.get(setting)
        if known:
            yield known
            return
        weights = {
            name: self.quantized(name, bits) for name, bits in zip(self.layers, setting.bits, strict=True)
        }
        loading = self._loading({name: weight.values for name, weight in weights.items()})
        layers = tuple(
            self._state(name, bits, weights[name])
            for name, bits in zip(self.layers, setting.bits, strict=True)
        )
        result_with = partial(
            SensitivityResult,
            model=self.name,
            setting=setting,
            baseline_accuracy=self.baseline_accuracy,
            size_bytes=sum(layer.size_bytes for layer in layers) + 4 * self.graph.other_params,
            dense_size_bytes=self.dense_size_bytes,
            sqnr_db=weights_sqnr_db(self.graph, weights),
            layers=layers,
        )
        for measured in self._measure(setting, loading, cancelled):
            result = result_with(**measured._asdict())
            if measured.class_accuracy is not None:
                self._exact[setting] = result
            yield result

    def _state(self, name: str, bits: int, weight: CompressedWeight) -> LayerState:
        if (name, bits) not in self._states:
            original = self.graph.weights[name].values
            self._states[name, bits] = LayerState(
                name=name,
                shape=original.shape,
                params=original.size,
                macs=self.graph.macs[name],
                bits=bits,
                size_bytes=packed_bytes(weight),
                sqnr_db=sqnr_db(original, weight.values),
            )
        return self._states[name, bits]
