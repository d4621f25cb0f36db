"""One position of the compression sliders."""

from dataclasses import dataclass

from course_lib.errors import SettingError
from course_lib.quantization.affine import MAX_BITS, MIN_BITS
from course_lib.registry import look_up

FLOAT_BITS = 32

IMPORTANCES = {"l1": "L1 norm", "l2": "L2 norm", "bn_scale": "batch-norm scale", "random": "random"}
"""Importance of a channel that needs no data → its words; see `course_lib.pruning.importance`."""


@dataclass(frozen=True)
class CompressionSetting:
    """How a model is compressed: channels removed first, then weights set to zero, then quantized.

    Parameters
    ----------
    sparsity
        Fraction of the weights that are left set to zero, the smallest of the whole model first; in [0, 1).
    bits
        Bits a weight: 2 to 16, or 32 for floating point.
    symmetric
        Whether zero lies in the middle of the quantizer's range.
    per_channel
        Whether each output channel has a scale of its own, or the whole tensor one. In floating point there
        is no grid, so both are set to True and equal models have equal settings.
    pruning_ratio
        Fraction of the channels removed, the least important of the whole model first; in [0, 1).
    importance
        What ranks the channels: "l1", "l2", "bn_scale" or "random".
    multiple_of
        The number of channels that a group keeps is rounded to a multiple of this, and smaller groups stay
        whole: kernels work on blocks of 8 or 16 channels, and are slow where these are not full. Where no
        channels are removed, this is set to 8 and ``importance`` to "l1".

    Raises
    ------
    SettingError
        If ``sparsity``, ``bits``, ``pruning_ratio`` or ``multiple_of`` is out of range.
    UnknownNameError
        If there is no such importance.
    """

    sparsity: float = 0.0
    bits: int = FLOAT_BITS
    symmetric: bool = True
    per_channel: bool = True
    pruning_ratio: float = 0.0
    importance: str = "l1"
    multiple_of: int = 8

    def __post_init__(self) -> None:
        if not 0 <= self.sparsity < 1:
            raise SettingError(
                f"sparsity is {self.sparsity}; expected a fraction from 0 up to, but not including, 1, "
                "such as 0.5."
            )
        if self.bits != FLOAT_BITS and self.bits not in range(MIN_BITS, MAX_BITS + 1):
            raise SettingError(
                f"bits is {self.bits}; expected {MIN_BITS} to {MAX_BITS}, or {FLOAT_BITS} for floating point."
            )
        if not 0 <= self.pruning_ratio < 1:
            raise SettingError(
                f"pruning_ratio is {self.pruning_ratio}; expected a fraction of the channels from 0 up to, "
                "but not including, 1, such as 0.5."
            )
        if self.multiple_of < 1:
            raise SettingError(
                f"multiple_of is {self.multiple_of}; expected at least 1, such as 8, the width of a kernel."
            )
        look_up(IMPORTANCES, "importance", self.importance)
        if not self.quantized:
            object.__setattr__(self, "symmetric", True)
            object.__setattr__(self, "per_channel", True)
        if not self.pruning_ratio:
            object.__setattr__(self, "importance", "l1")
            object.__setattr__(self, "multiple_of", 8)

    @property
    def quantized(self) -> bool:
        return self.bits != FLOAT_BITS

    @property
    def dense(self) -> bool:
        """Whether this leaves the model as it is."""
        return self.sparsity == 0 and self.pruning_ratio == 0 and not self.quantized

    @property
    def label(self) -> str:
        """The setting in words, for charts and tables."""
        pruned = f"{100 * self.sparsity:g}% zeros"
        if self.pruning_ratio:
            by = IMPORTANCES[self.importance]
            whole = f", multiples of {self.multiple_of}" if self.multiple_of > 1 else ""
            pruned = f"{100 * self.pruning_ratio:g}% of the channels removed ({by}{whole}), {pruned}"
        if not self.quantized:
            return f"{pruned}, 32-bit float"
        kind = "symmetric" if self.symmetric else "asymmetric"
        scope = "per channel" if self.per_channel else "per tensor"
        return f"{pruned}, {self.bits} bits {kind} {scope}"
