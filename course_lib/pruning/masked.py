"""A model that trains with some of its weights held at zero.

>>> masks = magnitude_masks(prunable_weights(model), 0.8)              # doctest: +SKIP
>>> held = hold_masks(model, masks)                                    # doctest: +SKIP
>>> pruned = bake_masks(fit(held, train, validation, config).model)    # doctest: +SKIP

An optimizer's step, its momentum or its weight decay would soon fill the zeros again. So each masked weight
becomes W ⊙ M, worked out anew in every forward pass from the trained W (a parametrization of torch.nn). Where
the mask is 0 no gradient arrives, and whatever happens to W there is not seen.

Worked example: w = [3, 1] with mask [1, 0] and gradient [1, 1] is [2, 0] after a step of size 1,
not [2, −1].
"""

from collections.abc import Mapping
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from course_lib.errors import ModelError
from course_lib.pruning.masks import apply_mask
from course_lib.registry import look_up

LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


class HeldMask(nn.Module):
    """W → W ⊙ M, with M among the buffers, so that checkpoints hold it."""

    mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        super().__init__()
        self.register_buffer("mask", mask.detach().clone().to(torch.bool))

    def forward(self, weight: Tensor) -> Tensor:
        return apply_mask(weight, self.mask)


def prunable_weights(model: nn.Module) -> dict[str, Tensor]:
    """Return name → weight of every linear and convolutional layer, detached, in the model's order.

    Biases, norms and embeddings are few and matter much; they are not pruned. A weight that two layers share
    is listed once.
    """
    found: dict[str, Tensor] = {}
    seen: set[tuple[int, ...]] = set()
    for path, layer in model.named_modules():
        if isinstance(layer, LAYERS) and (stored := _stored(layer)) not in seen:
            seen.add(stored)
            found[f"{path}.weight" if path else "weight"] = layer.weight.detach()
    return found


def _stored(layer: nn.Module) -> tuple[int, ...]:
    """Return the identities of the tensors that a layer's weight is kept in.

    A parametrized weight is a new tensor at every look, and the next one may get the same identity.
    """
    if not parametrize.is_parametrized(layer, "weight"):
        return (id(layer.weight),)
    steps = layer.get_submodule("parametrizations.weight")
    return tuple(id(tensor) for tensor in (*steps.parameters(), *steps.buffers()))


def hold_masks(model: nn.Module, masks: Mapping[str, Tensor]) -> nn.Module:
    """Return a copy of the model whose masked weights stay zero while it trains.

    Parameters
    ----------
    model
        Left as it is.
    masks
        Name of a parameter, as in `prunable_weights` → its mask, 1 (True) = keep. Others train freely.

    Raises
    ------
    UnknownNameError
        If the model has no such parameter.
    ModelError
        If a mask has another shape than its weight, another layer shares the weight, or the model holds
        masks already.
    """
    if any(isinstance(module, HeldMask) for module in model.modules()):
        raise ModelError(
            f"This {type(model).__name__} holds masks already; call bake_masks(model) before new ones."
        )
    held = deepcopy(model)
    parameters = dict(held.named_parameters())
    for name, mask in masks.items():
        weight = look_up(parameters, "parameter", name)
        apply_mask(weight.detach(), mask.to(weight.device))
        _require_one_owner(held, name, weight)
        path, _, attribute = name.rpartition(".")
        mask = mask.to(weight.device)
        parametrize.register_parametrization(held.get_submodule(path), attribute, HeldMask(mask))
    return held


def _require_one_owner(model: nn.Module, name: str, weight: Tensor) -> None:
    owners = [
        path
        for path, module in model.named_modules()
        if any(own is weight for own in module.parameters(recurse=False))
    ]
    if len(owners) > 1:
        raise ModelError(
            f"The layers {', '.join(map(repr, owners))} share {name!r}, and a mask would hold it in the "
            "first of them only; give each layer a weight of its own, or leave this one out of the masks."
        )


def bake_masks(model: nn.Module) -> nn.Module:
    """Return a copy with ordinary weights again, the masked ones 0.0; tensors are laid out contiguously."""
    baked = deepcopy(model).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    for module in list(baked.modules()):
        if parametrize.is_parametrized(module):
            _bake(module)
    return baked  # type: ignore[no-any-return]


def _bake(module: nn.Module) -> None:
    """Replace a module's masked parameters, in place.

    ``remove_parametrizations`` would take the weight from all copies of the layer, which share its class.
    """
    parametrizations = module.parametrizations
    assert isinstance(parametrizations, nn.ModuleDict)
    values = {name: getattr(module, name).detach().clone() for name in parametrizations}
    steps = [step for own in parametrizations.values() for step in own.children()]
    if not all(isinstance(step, HeldMask) for step in steps):
        raise ModelError(
            "bake_masks found a weight that something else than a mask is computing; finish that first."
        )
    del module.parametrizations
    module.__class__ = type(module).__bases__[0]
    for name, value in values.items():
        setattr(module, name, nn.Parameter(value))
    # Weights come before biases again, as in a layer that never held a mask.
    for name in [name for name in module._parameters if name not in values]:
        module._parameters[name] = module._parameters.pop(name)
