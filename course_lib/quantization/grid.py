"""The integer grid of an affine quantizer: its scales, its zero points, and the codes that it has."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from array_api_compat import array_namespace

from course_lib.errors import ModelError, SettingError

if TYPE_CHECKING:
    import numpy as np
    import torch

Array = TypeVar("Array", "np.ndarray[Any, Any]", "torch.Tensor")

MIN_BITS, MAX_BITS = 2, 16


@dataclass(frozen=True, eq=False)
class QParams(Generic[Array]):
    """The grid of an affine quantizer.

    Parameters
    ----------
    scale
        S > 0, float32. Without groups: a shape that broadcasts against the tensor, 1 along every axis that
        shares a scale. With groups: shape (channels, groups of a channel), as they are stored.
    zero_point
        Z, the code of 0.0, int32; same shape as ``scale``.
    quant_min, quant_max
        The lowest and the highest code, both included.
    group_size
        How many neighbouring values of a channel share a scale (`PerGroup`); None without groups.
    group_axis
        The axis of the tensor that holds the channels; read only where there are groups.
    """

    scale: Array
    zero_point: Array
    quant_min: int
    quant_max: int
    group_size: int | None = None
    group_axis: int = 0

    @property
    def bits(self) -> int:
        """Bits that one code takes."""
        return (self.quant_max - self.quant_min).bit_length()

    def expanded(self, shape: tuple[int, ...]) -> "QParams[Array]":
        """Return the same grid without groups: each scale repeated for all the values that share it.

        Parameters
        ----------
        shape
            Shape of the tensor to quantize. A grid without groups comes back as it is.

        Raises
        ------
        ModelError
            If the groups do not make up a tensor of this shape.
        """
        if self.group_size is None:
            return self
        return replace(
            self,
            scale=self._repeated(self.scale, tuple(shape), self.group_size),
            zero_point=self._repeated(self.zero_point, tuple(shape), self.group_size),
            group_size=None,
        )

    def _repeated(self, values: Array, shape: tuple[int, ...], group_size: int) -> Array:
        xp = array_namespace(values)
        axis: int = self.group_axis % max(len(shape), 1)
        channels_first = (*shape[axis : axis + 1], *shape[:axis], *shape[axis + 1 :])
        channels, groups = values.shape
        count = 1
        for size in channels_first[1:]:
            count *= size
        if channels_first[:1] != (channels,) or groups * group_size != count:
            raise ModelError(
                f"This grid has {groups} groups of {group_size} values for each of {channels} channels along "
                f"axis {self.group_axis}, which do not make up a tensor of shape {shape}; pass the tensor "
                "that it was chosen for."
            )
        repeated = xp.reshape(xp.repeat(values, group_size, axis=1), channels_first)
        result: Array = xp.moveaxis(repeated, 0, axis)
        return result


def integer_range(bits: int, *, signed: bool, narrow_range: bool = False) -> tuple[int, int]:
    """Return the lowest and the highest integer of a format.

    Unsigned: [0, 2^b − 1]. Signed: [−2^(b−1), 2^(b−1) − 1]. ``narrow_range`` gives up the lowest code, which
    makes a signed range symmetric: int8 becomes [−127, 127].

    Parameters
    ----------
    bits
        Bit width b, 2 to 16.

    Raises
    ------
    SettingError
        If ``bits`` is not a whole number from 2 to 16.
    """
    if bits not in range(MIN_BITS, MAX_BITS + 1):
        raise SettingError(
            f"bits is {bits!r}, but quantization takes a whole number from {MIN_BITS} to {MAX_BITS}; "
            "try bits=8, and leave the values as they are for 32-bit floats."
        )
    lowest = -(2 ** (int(bits) - 1)) if signed else 0
    return lowest + int(narrow_range), lowest + 2 ** int(bits) - 1
