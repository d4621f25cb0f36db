"""One position of the compression sliders."""

from dataclasses import dataclass

from course_lib.errors import SettingError
from course_lib.quantization.affine import MAX_BITS, MIN_BITS

FLOAT_BITS = 32


@dataclass(frozen=True)
class CompressionSetting:
    """How the weights are compressed: pruned first, then quantized.

    Parameters
    ----------
    sparsity
        Fraction of the weights set to zero, the smallest of the whole model first; in [0, 1).
    bits
        Bits a weight: 2 to 16, or 32 for floating point.
    symmetric
        Whether zero lies in the middle of the quantizer's range.
    per_channel
        Whether each output channel has a scale of its own, or the whole tensor one. In floating point there
        is no grid, so both are set to True and equal models have equal settings.

    Raises
    ------
    SettingError
        If ``sparsity`` or ``bits`` is out of range.
    """

    sparsity: float = 0.0
    bits: int = FLOAT_BITS
    symmetric: bool = True
    per_channel: bool = True

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
        if not self.quantized:
            object.__setattr__(self, "symmetric", True)
            object.__setattr__(self, "per_channel", True)

    @property
    def quantized(self) -> bool:
        return self.bits != FLOAT_BITS

    @property
    def dense(self) -> bool:
        """Whether this leaves the model as it is."""
        return self.sparsity == 0 and not self.quantized

    @property
    def label(self) -> str:
        """The setting in words, for charts and tables."""
        pruned = f"{100 * self.sparsity:g}% zeros"
        if not self.quantized:
            return f"{pruned}, 32-bit float"
        kind = "symmetric" if self.symmetric else "asymmetric"
        scope = "per channel" if self.per_channel else "per tensor"
        return f"{pruned}, {self.bits} bits {kind} {scope}"
