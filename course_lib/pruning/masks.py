"""Unstructured pruning: W' = W ⊙ M, where M drops the least important weights (Han et al. 2015).

The importance of a weight is its magnitude |w|; the mask is 1 (True) for a weight to keep. How many go is
told in one of two ways:

- ``sparsity``, the fraction of zeros: of n weights exactly round(sparsity · n) are pruned, smallest first,
  and of equal ones the earlier position first. So the masks are nested: what is pruned at 50 % is also pruned
  at 60 %. The ranking runs over all layers together ("global") or in each by itself ("local").
- ``threshold``: every weight with |w| < threshold is pruned, however many these are.

Worked example, w = [3, −1, 2, −4]: at sparsity 0.5 the two smallest magnitudes, 1 and 2, go, the mask is
[1, 0, 0, 1] and W' = [3, 0, 0, −4]. At threshold 2 only −1 goes.

The same code takes NumPy arrays and torch tensors. `random_masks` is the control, `layer_adaptive` makes
layers comparable, `n_m` holds patterns that hardware can use. Left out: removing whole channels, and
fine-tuning between steps (`iterative`).
"""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, get_args

from array_api_compat import array_namespace

from course_lib.errors import ModelError, SettingError
from course_lib.registry import look_up

if TYPE_CHECKING:
    import numpy as np
    import torch

Array = TypeVar("Array", "np.ndarray[Any, Any]", "torch.Tensor")

Scope: TypeAlias = Literal["global", "local"]
"""Whether all layers are ranked together, or each by itself."""


def magnitude_masks(
    weights: Mapping[str, Array], sparsity: float, *, scope: Scope = "global"
) -> dict[str, Array]:
    """Return a mask for each tensor such that the weights of smallest magnitude are pruned.

    Parameters
    ----------
    weights
        Name → tensor of any shape. Positions count through the tensors in this order, each row by row.
    sparsity
        Fraction of the weights to prune, in [0, 1).
    scope
        With ``"global"``, layers with many small weights give up more than others; with ``"local"`` each
        gives up the same fraction.

    Returns
    -------
    Name → boolean mask of the tensor's shape, True = keep.

    Raises
    ------
    SettingError
        If ``sparsity`` is outside [0, 1).
    UnknownNameError
        If there is no such scope.
    ModelError
        If a weight is NaN or infinite.
    """
    return masks_by_importance(magnitudes(weights), sparsity, scope=scope)


def magnitude_mask(weight: Array, sparsity: float) -> Array:
    """Return the mask that prunes the smallest weights of one tensor; see `magnitude_masks`."""
    return magnitude_masks({"weight": weight}, sparsity)["weight"]


def threshold_masks(weights: Mapping[str, Array], threshold: float) -> dict[str, Array]:
    """Return for each tensor the mask that keeps the weights with |w| ≥ threshold.

    Raises
    ------
    SettingError
        If ``threshold`` is below 0 or not finite.
    ModelError
        If a weight is NaN or infinite.
    """
    if not 0 <= threshold < math.inf:
        raise SettingError(
            f"threshold is {threshold}, but magnitudes are compared with it; pass a number of at least 0."
        )
    return {name: magnitude >= threshold for name, magnitude in magnitudes(weights).items()}


def masks_by_importance(
    importance: Mapping[str, Array], sparsity: float, *, scope: Scope = "global"
) -> dict[str, Array]:
    """Return masks that prune the least important entries, whatever the importance is.

    Parameters
    ----------
    importance
        Name → finite score of each entry, of the shape of the mask; higher = keep.
    sparsity, scope
        As in `magnitude_masks`, with the same exceptions.
    """
    if not 0 <= sparsity < 1:
        raise SettingError(
            f"sparsity is {sparsity}, but it is the fraction of weights to prune, from 0 up to but not "
            "including 1; try sparsity=0.5."
        )
    look_up(dict.fromkeys(get_args(Scope)), "scope", scope)
    if not importance:
        return {}
    xp = array_namespace(*importance.values())
    flat = {name: xp.reshape(scores, (-1,)) for name, scores in importance.items()}
    if scope == "local":
        return {
            name: xp.reshape(_keep_most_important(scores, sparsity), importance[name].shape)
            for name, scores in flat.items()
        }
    keep = _keep_most_important(xp.concat(list(flat.values())), sparsity)
    masks, start = {}, 0
    for name, scores in flat.items():
        stop = start + scores.shape[0]
        masks[name] = xp.reshape(keep[start:stop], importance[name].shape)
        start = stop
    return masks


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


def magnitudes(weights: Mapping[str, Array]) -> dict[str, Array]:
    """Return name → |w|.

    Raises
    ------
    ModelError
        If a weight is NaN or infinite.
    """
    found = {}
    for name, weight in weights.items():
        xp = array_namespace(weight)
        if not xp.all(xp.isfinite(weight)):
            raise ModelError(
                f"The tensor {name!r} holds NaN or infinite weights, which have no place in a ranking by "
                "magnitude; repair it first, for example with torch.nan_to_num or numpy.nan_to_num."
            )
        found[name] = xp.abs(weight)
    return found


def _keep_most_important(importance: Array, sparsity: float) -> Array:
    """Return which entries of a vector remain when the least important fraction goes.

    The last one to go sets the threshold. Everything below it goes; of those equal to it the first ones, as
    many as are still missing.
    """
    xp = array_namespace(importance)
    prune_count = round(sparsity * importance.shape[0])
    if prune_count == 0:
        everything: Array = xp.ones_like(importance, dtype=xp.bool)
        return everything
    threshold = xp.sort(importance, stable=False)[prune_count - 1]
    keep: Array = importance >= threshold
    ties = xp.nonzero(importance == threshold)[0]
    missing = prune_count - int(xp.count_nonzero(importance < threshold))
    keep[ties[:missing]] = False
    return keep
