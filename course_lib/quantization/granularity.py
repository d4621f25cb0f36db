"""How many values share one scale: the whole tensor, one channel of it, or a group within a channel."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from array_api_compat import array_namespace

from course_lib.errors import SettingError

if TYPE_CHECKING:
    import numpy as np
    import torch

Array = TypeVar("Array", "np.ndarray[Any, Any]", "torch.Tensor")


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


@dataclass(frozen=True)
class PerGroup:
    """One scale for each run of ``group_size`` neighbouring values within a channel.

    A weight of shape (C_out, C_in, K, K) is read as C_out rows of C_in · K · K values, and each row is cut
    into groups; the scales have shape (C_out, C_in · K · K / group_size). At 32 bits a scale, groups of g
    values cost 32 / g bits a value, in exchange for steps that fit each group. This is the granularity of
    4-bit language models, where g is 32 to 128.

    Parameters
    ----------
    group_size
        Values in a group, g ≥ 1; it must divide the number of values in a channel.
    axis
        The axis of the channels; negative counts from the end.

    Raises
    ------
    SettingError
        If ``group_size`` is not a whole number of 1 or more.
    """

    group_size: int
    axis: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.group_size, int) or self.group_size < 1:
            raise SettingError(
                f"group_size is {self.group_size!r}, but a group takes a whole number of values, 1 or more; "
                "try PerGroup(32)."
            )

    def split(self, x: Array) -> Array:
        """Return the values of ``x`` in their groups, shape (channels, groups of a channel, group_size).

        Raises
        ------
        SettingError
            If ``x`` lacks the axis, or the groups do not divide the values of a channel.
        """
        if not -x.ndim <= self.axis < x.ndim:
            raise SettingError(
                f"PerGroup({self.group_size}, axis={self.axis}) needs a tensor that has this axis, but this "
                f"one has {x.ndim} dimensions; choose another axis, or PerTensor()."
            )
        xp = array_namespace(x)
        channels = x.shape[self.axis]
        rows = xp.reshape(xp.moveaxis(x, self.axis, 0), (channels, -1))
        count = rows.shape[1]
        if count % self.group_size:
            smaller = max(g for g in range(1, min(self.group_size, count) + 1) if count % g == 0)
            raise SettingError(
                f"Groups of {self.group_size} do not divide the {count} values of a channel; choose a "
                f"group_size that does, such as {smaller}, or PerChannel({self.axis})."
            )
        groups: Array = xp.reshape(rows, (channels, count // self.group_size, self.group_size))
        return groups


Granularity: TypeAlias = PerTensor | PerChannel | PerGroup
