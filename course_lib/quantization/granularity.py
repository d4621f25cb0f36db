"""How many values share one scale: the whole tensor, or one channel of it."""

from dataclasses import dataclass
from typing import TypeAlias

from course_lib.errors import SettingError


@dataclass(frozen=True)
class PerTensor:
    """One scale for the whole tensor.

    A weight of shape (C_out, C_in, K, K) gets a scale of shape (1, 1, 1, 1). Cheapest to store and to compute
    with; one large value anywhere makes the steps coarse everywhere.
    """

    def shared_axes(self, ndim: int) -> tuple[int, ...]:
        """Return the axes along which values share a scale: all of them."""
        return tuple(range(ndim))


@dataclass(frozen=True)
class PerChannel:
    """One scale for each index along one axis.

    With ``axis=0``, a weight of shape (C_out, C_in, K, K) gets a scale of shape (C_out, 1, 1, 1): one for
    each output channel, so a channel of small weights keeps its fine steps beside one of large weights.

    Parameters
    ----------
    axis
        The axis that keeps its own scales; negative counts from the end. 0 is the output channel of torch's
        convolution and linear weights.
    """

    axis: int = 0

    def shared_axes(self, ndim: int) -> tuple[int, ...]:
        """Return the axes along which values share a scale: all but ``axis``.

        Raises
        ------
        SettingError
            If a tensor of ``ndim`` dimensions has no such axis.
        """
        if not -ndim <= self.axis < ndim:
            raise SettingError(
                f"PerChannel(axis={self.axis}) needs a tensor that has this axis, but this one has {ndim} "
                "dimensions; choose another axis, or PerTensor()."
            )
        return tuple(axis for axis in range(ndim) if axis != self.axis % ndim)


Granularity: TypeAlias = PerTensor | PerChannel
