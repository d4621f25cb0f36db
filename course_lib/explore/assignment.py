"""Bits of each layer: one position of the sensitivity explorer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from course_lib.errors import SettingError
from course_lib.explore.setting import FLOAT_BITS
from course_lib.registry import look_up

WIDTHS = (2, 3, 4, 5, 6, 7, 8)
"""Bit widths that a layer can be rounded to; FLOAT_BITS leaves it as it is."""


@dataclass(frozen=True)
class BitAssignment:
    """How many bits each layer's weight gets, symmetric and with a scale for each output channel.

    Parameters
    ----------
    bits
        In the order of the model's layers: 2 to 8, or 32 for floating point.

    Raises
    ------
    SettingError
        If a width does not exist.
    """

    bits: tuple[int, ...]

    def __post_init__(self) -> None:
        wrong = [width for width in self.bits if width not in (*WIDTHS, FLOAT_BITS)]
        if wrong:
            raise SettingError(
                f"A layer was given {wrong[0]} bits; expected {WIDTHS[0]} to {WIDTHS[-1]}, or {FLOAT_BITS} "
                "for floating point."
            )

    @classmethod
    def of(cls, layers: Sequence[str], bits: Mapping[str, int]) -> "BitAssignment":
        """Return the assignment of layers by name; those that are not named stay in floating point.

        Raises
        ------
        UnknownNameError
            If there is no such layer.
        SettingError
            If a width does not exist.
        """
        known = dict.fromkeys(layers, FLOAT_BITS)
        for layer in bits:
            look_up(known, "layer", layer)
        return cls(tuple((known | dict(bits)).values()))

    @property
    def dense(self) -> bool:
        """Whether every layer stays in floating point."""
        return set(self.bits) <= {FLOAT_BITS}

    @property
    def label(self) -> str:
        """The bits in words: one number if all layers have the same, else one for each, f for float."""
        if self.dense:
            return "32-bit float"
        if len(set(self.bits)) == 1:
            return f"uniform {self.bits[0]} bits"
        return " ".join("f" if width == FLOAT_BITS else str(width) for width in self.bits)
