"""Smaller weights in a Core ML package: 8-bit integers, or a palette.

A palette holds 2^bits values for one weight tensor, found by k-means, and each weight is stored as the
index of its nearest one (Han et al., 2016, section 3). 4 bits need an eighth of float32, plus 16 values a
tensor:

    w ≈ palette[index],   palette = argmin Σ (w − palette[index])²

Both are undone while the package is loaded or a layer runs: they save space and memory traffic, not
arithmetic. Tensors of fewer than 512 weights stay as they are.
"""

from typing import Any

PALETTE_BITS = (1, 2, 4, 6, 8)
"""What Core ML reads from iOS 17 on; 3 bits came a version later."""

MIN_WEIGHTS = 512


def quantize_weights(package: Any) -> Any:
    """Return the package with 8-bit weights, symmetric, one scale a channel."""
    import coremltools.optimize.coreml as optimize

    rule = optimize.OpLinearQuantizerConfig(
        mode="linear_symmetric", dtype="int8", granularity="per_channel", weight_threshold=MIN_WEIGHTS
    )
    return optimize.linear_quantize_weights(package, optimize.OptimizationConfig(global_config=rule))


def palettize(package: Any, bits: int) -> Any:
    """Return the package with one palette of 2^bits values for each weight tensor."""
    import coremltools.optimize.coreml as optimize

    rule = optimize.OpPalettizerConfig(mode="kmeans", nbits=bits, weight_threshold=MIN_WEIGHTS)
    return optimize.palettize_weights(package, optimize.OptimizationConfig(global_config=rule))
