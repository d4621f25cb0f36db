"""What to quantize and how, in three frozen records."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from course_lib.errors import SettingError, UnknownNameError
from course_lib.quantization.affine import integer_range
from course_lib.quantization.calibration.observers import OBSERVERS
from course_lib.quantization.granularity import Granularity, PerChannel
from course_lib.registry import look_up

Rounding = Literal["nearest", "gptq", "adaround"]
WeightRange = Literal["minmax", "mse"]


@dataclass(frozen=True)
class WeightScheme:
    """How weights are put on their grids.

    Parameters
    ----------
    bits
        Bit width, 2 to 16.
    symmetric, granularity
        As in `choose_qparams`; by default each output channel has a scale, and zero is in the middle.
    range
        ``"minmax"`` covers every weight; ``"mse"`` gives up the outermost where that makes the mean squared
        error smaller, which pays below 5 bits.
    rounding
        To the nearest grid point, or chosen together with the layer's inputs: ``"gptq"`` or ``"adaround"``.

    Raises
    ------
    SettingError
        If there is no such bit width.
    UnknownNameError
        If there is no such range or rounding.
    """

    bits: int = 8
    symmetric: bool = True
    granularity: Granularity = field(default_factory=PerChannel)
    range: WeightRange = "minmax"
    rounding: Rounding = "nearest"

    def __post_init__(self) -> None:
        integer_range(self.bits, signed=self.symmetric)
        if self.range not in get_args(WeightRange):
            raise UnknownNameError("range of weights", self.range, get_args(WeightRange))
        if self.rounding not in get_args(Rounding):
            raise UnknownNameError("rounding", self.rounding, get_args(Rounding))


@dataclass(frozen=True)
class ActivationScheme:
    """How activations are put on their grids, one scale a tensor.

    Parameters
    ----------
    bits
        Bit width, 2 to 16.
    symmetric
        Signed codes with zero in the middle, as TensorRT wants them; otherwise unsigned codes, which lose
        nothing behind a ReLU.
    observer
        How the range is found while calibrating: a name of `OBSERVERS`.
    by_gradient
        Whether the squared error of each value counts by how much the model's scores depend on it, the
        squared gradient (`score_gradients`); with the observer ``"mse"`` only. A value that a later ReLU
        wipes out anyway may then be clipped for free.

    Raises
    ------
    SettingError
        If there is no such bit width, or ``by_gradient`` is asked of another observer.
    UnknownNameError
        If there is no such observer.
    """

    bits: int = 8
    symmetric: bool = False
    observer: str = "mse"
    by_gradient: bool = False

    def __post_init__(self) -> None:
        integer_range(self.bits, signed=self.symmetric)
        look_up(OBSERVERS, "observer", self.observer)
        if self.by_gradient and self.observer != "mse":
            raise SettingError(
                f"The observer {self.observer!r} weighs no errors, so by_gradient has no meaning for it; "
                "take observer='mse' or by_gradient=False."
            )


@dataclass(frozen=True)
class QuantizationConfig:
    """How a whole model is quantized.

    Parameters
    ----------
    weights, activations
        The schemes; ``activations=None`` quantizes weights only.
    layer_bits
        Path of a layer → bits of its weights, where they differ from the scheme (mixed precision).
    kept_in_float
        Paths of the layers that stay as they are.
    equalize
        Whether to even out the ranges of neighbouring layers first (`equalize_layers`).
    correct_bias
        Whether to move each bias so that the mean of every output channel stays (`corrected_bias`).
    samples
        How many of the calibration inputs are kept for ``gptq``, ``adaround`` and ``correct_bias``.

    Raises
    ------
    SettingError
        If a bit width does not exist, or ``samples`` is below 1.
    """

    weights: WeightScheme = field(default_factory=WeightScheme)
    activations: ActivationScheme | None = field(default_factory=ActivationScheme)
    layer_bits: Mapping[str, int] = field(default_factory=dict)
    kept_in_float: tuple[str, ...] = ()
    equalize: bool = False
    correct_bias: bool = False
    samples: int = 512

    def __post_init__(self) -> None:
        for bits in self.layer_bits.values():
            integer_range(bits, signed=self.weights.symmetric)
        if self.samples < 1:
            raise SettingError(f"samples is {self.samples}; keep at least 1 calibration input, such as 512.")

    @property
    def needs_inputs(self) -> bool:
        """Whether converting looks at what flows into each layer."""
        return self.correct_bias or self.weights.rounding != "nearest"
