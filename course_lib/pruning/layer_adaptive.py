"""Layer-adaptive magnitudes: how much of its layer's remaining energy is a weight?

Magnitudes of different layers do not compare: batch norm lets a layer's weights be scaled without changing
what the network computes, and the global ranking empties whichever layers happen to have small ones. LAMP
divides each squared weight by the sum of those of its own layer that are still there when its turn comes, all
at least as large as itself:

    score(u) = w_u² / Σ_{v: |w_v| ≥ |w_u|} w_v²

Within a layer the order remains that of the magnitudes. Scaling a whole layer changes nothing, and as the
largest weight of each scores 1, no layer is emptied before all others are down to their last weight.

Worked example: [3, −1, 2] scores [1, 1/14, 4/13], and [0.03, −0.01, 0.02] the same.

Source: Lee, Park, Mo, Ahn and Shin, "Layer-adaptive sparsity for the magnitude-based pruning", 2021,
equation 3.
"""

from collections.abc import Mapping

from array_api_compat import array_namespace

from course_lib.pruning.masks import Array, magnitudes, masks_by_importance


def layer_adaptive_masks(weights: Mapping[str, Array], sparsity: float) -> dict[str, Array]:
    """Return a mask for each tensor such that the weights with the lowest scores in all layers are pruned.

    Parameters
    ----------
    weights
        Name → tensor of any shape.
    sparsity
        Fraction of the weights to prune, in [0, 1).

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
    return masks_by_importance(layer_adaptive_scores(weights), sparsity)


def layer_adaptive_scores(weights: Mapping[str, Array]) -> dict[str, Array]:
    """Return name → score of each weight, in [0, 1], of the tensor's shape; zeros score 0.

    Of equal weights in a layer the later position scores higher.

    Raises
    ------
    ModelError
        If a weight is NaN or infinite.
    """
    return {name: _scores(magnitude) for name, magnitude in magnitudes(weights).items()}


def _scores(magnitude: Array) -> Array:
    xp = array_namespace(magnitude)
    flat = xp.reshape(magnitude, (-1,))
    if not flat.shape[0]:
        return magnitude
    # Of the largest weight, so that no square is too large or too small for a float.
    relative = flat / xp.where(xp.max(flat) > 0, xp.max(flat), xp.ones_like(xp.max(flat)))
    order = xp.argsort(relative, stable=True)
    squares = xp.take(relative, order) ** 2
    remaining = xp.flip(xp.cumulative_sum(xp.flip(squares)))
    ranked = squares / xp.where(remaining > 0, remaining, xp.ones_like(remaining))
    scores: Array = xp.reshape(xp.take(ranked, xp.argsort(order)), magnitude.shape)
    return scores
