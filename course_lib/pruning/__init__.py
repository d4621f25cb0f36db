"""Pruning: which weights a model can do without."""

from course_lib.pruning.masks import apply_mask, magnitude_mask, magnitude_masks, sparsity_of

__all__ = ["apply_mask", "magnitude_mask", "magnitude_masks", "sparsity_of"]
