"""Where a layer is applied, which its MACs depend on, and its weight as numbers to factorize."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor, nn

from course_lib.errors import ModelError, SettingError

WeightLayer: TypeAlias = nn.Linear | nn.Conv2d


@dataclass(frozen=True)
class Extent:
    """One call of a layer: how many samples, rows and columns come in and go out.

    A linear layer applied to n positions counts as (n, 1, 1).
    """

    inputs: tuple[int, int, int]
    outputs: tuple[int, int, int]

    @property
    def in_positions(self) -> int:
        """Pixels that come in, over all samples."""
        return self.inputs[0] * self.inputs[1] * self.inputs[2]

    @property
    def out_positions(self) -> int:
        """Pixels that go out, over all samples."""
        return self.outputs[0] * self.outputs[1] * self.outputs[2]

    @property
    def between_positions(self) -> int:
        """Pixels after the rows are filtered and before the columns are: rows as out, columns as in."""
        return self.outputs[0] * self.outputs[1] * self.inputs[2]


Extents: TypeAlias = Sequence[Extent]
"""All calls of one layer in a forward pass of one sample."""


def extent_of(layer: WeightLayer, inputs: Tensor, outputs: Tensor) -> Extent:
    """Return the extent of a call from its tensors, (N, C, H, W) or (C, H, W); (…, features) for linear."""
    if isinstance(layer, nn.Linear):
        size = (inputs.numel() // layer.in_features, 1, 1)
        return Extent(size, size)

    def size_of(tensor: Tensor) -> tuple[int, int, int]:
        return (len(tensor) if tensor.ndim == 4 else 1, tensor.shape[-2], tensor.shape[-1])

    return Extent(size_of(inputs), size_of(outputs))


def dense_macs(layer: WeightLayer, extents: Extents) -> int:
    """Return the MACs of the layer as it is: one for each weight, at each position that goes out."""
    return layer.weight.numel() * sum(each.out_positions for each in extents)


def kernel(layer: WeightLayer) -> Tensor:
    """Return the layer's weight as (out, in, k_h, k_w), float64; a linear layer has a 1×1 kernel.

    Raises
    ------
    ModelError
        If it holds NaN or infinite values, or the convolution has groups.
    """
    weight = layer.weight.detach().double()
    if not torch.isfinite(weight).all():
        raise ModelError(
            f"The weights of {layer} hold NaN or infinite values, which have no factors; load or train them "
            "again."
        )
    if isinstance(layer, nn.Linear):
        return weight[:, :, None, None]
    if layer.groups != 1:
        raise ModelError(
            f"{layer} has {layer.groups} groups, each a small kernel of its own; only convolutions with "
            "groups=1 are factorized."
        )
    return weight


def composed_kernel(layers: nn.Sequential) -> Tensor:
    """Return the one kernel, (out, in, k_h, k_w) float64, that a chain of layers stands for.

    Each axis of the kernel may be longer than 1 in one layer only, as in all factorizations here; then the
    convolution of kernels is a product at each place.
    """
    composed: Tensor | None = None
    for layer in layers:
        assert isinstance(layer, nn.Linear | nn.Conv2d)
        weight = kernel(layer)
        composed = weight if composed is None else torch.einsum("orhw,rihw->oihw", *_alike(weight, composed))
    assert composed is not None
    return composed


def check_rank(name: str, rank: int, largest: int) -> None:
    """Raise SettingError unless the rank is between 1 and the largest that the weight can have."""
    if not 1 <= rank <= largest:
        raise SettingError(
            f"{name} is {rank}, but this layer has ranks from 1 to {largest}; pass one of these."
        )


def _alike(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    size = [max(pair) for pair in zip(one.shape[2:], other.shape[2:], strict=True)]
    return one.expand(*one.shape[:2], *size), other.expand(*other.shape[:2], *size)
