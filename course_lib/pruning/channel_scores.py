"""From tensors as large as a layer's weight or input to one number for each channel of a group.

Two sums lead there. `by_position` adds up what belongs to one row, column or entry of a layer, and
`by_channel` adds the positions that belong to one channel (a channel that is flattened to 2×2 pixels has four
columns in the linear layer after it).

Worked example: a linear layer with weight [[1, 2, 3, 4], [5, 6, 7, 8]] reads two channels of two columns
each. By position its columns hold 6, 8, 10 and 12; by channel 14 and 22.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from course_lib.errors import ModelError
from course_lib.pruning.structure.group import Role, Slices

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


def has_kernel(module: nn.Module) -> bool:
    """Return whether this is a linear layer or a convolution, whose weights multiply what they read."""
    return isinstance(module, (nn.Linear, *CONVOLUTIONS))


def weight_of(layer: nn.Module) -> Tensor:
    """Return the weight of a linear layer or a convolution."""
    assert isinstance(layer.weight, Tensor)
    return layer.weight


def by_position(values: Tensor, layer: nn.Module, role: Role) -> Tensor:
    """Return the sums of a layer's values over everything but one axis, shape (positions,).

    Parameters
    ----------
    values
        One number for each entry of ``layer.weight``.
    layer
        A linear layer or a convolution.
    role
        ``"in"`` sums by input channel, counted through the groups of a convolution; ``"out"`` and ``"pass"``
        by output channel.
    """
    if role != "in":
        return values.flatten(1).sum(1)
    groups = layer.groups if isinstance(layer, CONVOLUTIONS) else 1
    outputs, inputs = values.shape[:2]
    return values.reshape(groups, outputs // groups, inputs, -1).sum((1, 3)).flatten()


def input_by_position(values: Tensor, layer: nn.Module) -> Tensor:
    """Return the sums of values as large as a layer's input over pixels or tokens, shape (N, positions).

    Parameters
    ----------
    values
        (N, C, …) for a convolution, (N, …, C) for a linear layer.
    """
    if isinstance(layer, nn.Linear):
        return values.reshape(len(values), -1, values.shape[-1]).sum(1)
    return values.reshape(len(values), values.shape[1], -1).sum(2)


def by_channel(positions: Tensor, indices: Sequence[Sequence[int]]) -> Tensor:
    """Return the sums over the positions of each channel: (…, positions) → (…, channels)."""
    owner = [channel for channel, own in enumerate(indices) for _ in own]
    place = [position for own in indices for position in own]
    sums = positions.new_zeros((*positions.shape[:-1], len(indices)))
    return sums.index_add(-1, torch.tensor(owner, dtype=torch.int64), positions[..., place])


def layers_of(model: nn.Module, slices: Sequence[Slices]) -> list[tuple[Slices, nn.Module]]:
    """Return each of the slices with its layer, leaving out what is a bare parameter of the model."""
    parameters = dict(model.named_parameters(remove_duplicate=False))
    return [(part, model.get_submodule(part.path)) for part in slices if part.path not in parameters]


def readers_of(model: nn.Module, slices: Sequence[Slices]) -> list[tuple[Slices, nn.Module]]:
    """Return the slices of role "in" with their layers.

    Raises
    ------
    ModelError
        If one of the layers is neither linear nor a convolution.
    """
    readers = [pair for pair in layers_of(model, slices) if pair[0].role == "in"]
    for part, layer in readers:
        if not has_kernel(layer):
            raise ModelError(
                f"The channels are read by {part.path!r}, a {type(layer).__name__}, whose input cannot be "
                "split into channels here; use an importance of weights, such as l1_norm(graph)."
            )
    return readers
