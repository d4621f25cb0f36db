"""Random masks: the control that every importance has to beat.

A method that prunes 80 % of the weights and keeps the accuracy has shown something only when pruning a random
80 % does not. Random masks have exactly as many zeros as `magnitude_masks` at the same sparsity, and are
nested for one seed alike.

Worked example: of the four weights [3, −1, 2, −4] at sparsity 0.5 two go, and each of the six pairs is
equally likely over the seeds.
"""

from collections.abc import Mapping

import numpy as np
from array_api_compat import array_namespace, device

from course_lib.pruning.masks import Array, Scope, masks_by_importance


def random_masks(
    weights: Mapping[str, Array], sparsity: float, *, seed: int, scope: Scope = "global"
) -> dict[str, Array]:
    """Return a random mask for each tensor, whatever its values are.

    Parameters
    ----------
    weights
        Name → tensor of any shape, NumPy or torch.
    sparsity, scope
        As in `magnitude_masks`, with the same exceptions. With ``"global"`` layers may differ a little.
    seed
        Decides which weights go; the same for NumPy arrays and torch tensors.

    Returns
    -------
    Name → boolean mask of the tensor's shape, True = keep.
    """
    generator = np.random.default_rng(seed)
    scores = {}
    for name, weight in weights.items():
        drawn = generator.random(weight.shape)
        scores[name] = array_namespace(weight).asarray(drawn, device=device(weight))
    return masks_by_importance(scores, sparsity, scope=scope)
