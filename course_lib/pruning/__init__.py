"""Pruning: which weights and channels a model can do without.

What works on NumPy arrays and torch tensors alike is here; what needs torch is imported from its own module:
``importance``, ``selection``, ``macs_target``, ``masked``, ``iterative`` and ``sensitivity``.
"""

from course_lib.pruning.layer_adaptive import layer_adaptive_masks
from course_lib.pruning.masks import (
    apply_mask,
    magnitude_mask,
    magnitude_masks,
    masks_by_importance,
    sparsity_of,
    threshold_masks,
)
from course_lib.pruning.n_m import is_n_m, n_m_mask, n_m_masks
from course_lib.pruning.random_masks import random_masks
from course_lib.pruning.schedules import Schedule

__all__ = [
    "Schedule",
    "apply_mask",
    "is_n_m",
    "layer_adaptive_masks",
    "magnitude_mask",
    "magnitude_masks",
    "masks_by_importance",
    "n_m_mask",
    "n_m_masks",
    "random_masks",
    "sparsity_of",
    "threshold_masks",
]
