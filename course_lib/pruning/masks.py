"""Unstructured magnitude pruning: W' = W ⊙ M, where M drops the smallest weights (Han et al. 2015).

The importance of a weight is its magnitude |w|; the mask is 1 (True) for a weight to keep. ``sparsity`` is
the fraction of zeros: of n weights exactly round(sparsity · n) are pruned, smallest first, and of equal ones
the earlier position first. So the masks are nested: what is pruned at 50 % is also pruned at 60 %.

Worked example, sparsity 0.5 over w = [3, −1, 2, −4]: the two smallest magnitudes are 1 and 2, so the mask is
[1, 0, 0, 1] and W' = [3, 0, 0, −4].

The same code takes NumPy arrays and torch tensors. Left out: removing whole channels, other importances
than the magnitude, and schedules with fine-tuning between the steps.
"""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from array_api_compat import array_namespace

from course_lib.errors import ModelError, SettingError

if TYPE_CHECKING:
    import numpy as np
    import torch

Array = TypeVar("Array", "np.ndarray[Any, Any]", "torch.Tensor")


def magnitude_masks(weights: Mapping[str, Array], sparsity: float) -> dict[str, Array]:
    """Return a mask for each tensor such that the smallest weights of all of them together are pruned.

    A global ranking lets layers with many small weights give up more than others.

    Parameters
    ----------
    weights
        Name → tensor of any shape. Positions count through the tensors in this order, each row by row.
    sparsity
        Fraction of all weights to prune, in [0, 1).

    Returns
    -------
    Name → boolean mask of the tensor's shape, True = keep.

    Raises
    ------
    SettingError
        If ``sparsity`` is outside [0, 1).
    ModelError
        If a weight is NaN or infinite.
    """
    if not 0 <= sparsity < 1:
        raise SettingError(
            f"sparsity is {sparsity}, but it is the fraction of weights to prune, from 0 up to but not "
            "including 1; try sparsity=0.5."
        )
    if not weights:
        return {}
    xp = array_namespace(*weights.values())
    magnitudes = {name: xp.reshape(xp.abs(weight), (-1,)) for name, weight in weights.items()}
    for name, magnitude in magnitudes.items():
        if not xp.all(xp.isfinite(magnitude)):
            raise ModelError(
                f"The tensor {name!r} holds NaN or infinite weights, which have no place in a ranking by "
                "magnitude; repair it first, for example with torch.nan_to_num or numpy.nan_to_num."
            )
    importance = xp.concat(list(magnitudes.values()))
    keep = _keep_most_important(importance, round(sparsity * importance.shape[0]))

    masks, start = {}, 0
    for name, magnitude in magnitudes.items():
        stop = start + magnitude.shape[0]
        masks[name] = xp.reshape(keep[start:stop], weights[name].shape)
        start = stop
    return masks


def magnitude_mask(weight: Array, sparsity: float) -> Array:
    """Return the mask that prunes the smallest weights of one tensor; see `magnitude_masks`."""
    return magnitude_masks({"weight": weight}, sparsity)["weight"]


def apply_mask(weight: Array, mask: Array) -> Array:
    """Return W ⊙ M: ``weight`` where the mask is 1, and 0.0 elsewhere.

    Zeros are chosen, not multiplied: −2.0 · 0 would be −0.0. Gradients reach the kept weights.

    Parameters
    ----------
    mask
        Boolean, or zeros and ones, of the shape of ``weight``.

    Raises
    ------
    ModelError
        If the shapes differ.
    """
    if weight.shape != mask.shape:
        raise ModelError(
            f"A mask of shape {tuple(mask.shape)} does not fit a weight of shape {tuple(weight.shape)}; "
            "make one with magnitude_mask(weight, sparsity)."
        )
    xp = array_namespace(weight, mask)
    pruned: Array = xp.where(xp.astype(mask, xp.bool, copy=False), weight, 0)
    return pruned


def sparsity_of(array: Array) -> float:
    """Return the fraction of zeros in a weight, or of pruned positions in a mask; 0.0 for an empty one."""
    xp = array_namespace(array)
    count = math.prod(array.shape)
    return (count - int(xp.count_nonzero(array))) / count if count else 0.0


def _keep_most_important(importance: Array, prune_count: int) -> Array:
    """Return which entries of a vector remain when the ``prune_count`` least important ones go.

    The last one to go sets the threshold. Everything below it goes; of those equal to it the first ones, as
    many as are still missing.
    """
    xp = array_namespace(importance)
    if prune_count == 0:
        everything: Array = xp.ones_like(importance, dtype=xp.bool)
        return everything
    threshold = xp.sort(importance, stable=False)[prune_count - 1]
    keep: Array = importance >= threshold
    ties = xp.nonzero(importance == threshold)[0]
    missing = prune_count - int(xp.count_nonzero(importance < threshold))
    keep[ties[:missing]] = False
    return keep
