"""Prune, quantize and store the weights of a graph: the arithmetic behind the sliders."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from course_lib.explore.setting import CompressionSetting
from course_lib.explore.weight_graph import Weight, WeightGraph
from course_lib.pruning import apply_mask, magnitude_masks
from course_lib.quantization import (
    PerChannel,
    PerTensor,
    QParams,
    choose_qparams,
    dequantize,
    encode,
    quantize,
    sqnr_db,
)

HISTOGRAM_BINS = 61
MAX_GRID_LINES = 256


@dataclass(frozen=True)
class CompressedWeight:
    """One weight tensor after pruning and quantization.

    Parameters
    ----------
    values
        What the runtime computes with, float32.
    codes, qparams
        The integers that would be stored and their grid; both None in floating point.
    """

    values: NDArray[np.float32]
    codes: NDArray[np.int32] | None
    qparams: QParams[Any] | None


@dataclass(frozen=True)
class Histogram:
    """How the weights of one layer are spread, and the values that the quantizer can represent.

    Parameters
    ----------
    layer
        Name of the layer's weight.
    edges, counts
        Bin edges (one more than counts) and how many of the weights that stay above or below zero lie in
        each bin, by their value before rounding.
    zeros
        How many weights end as exactly zero, pruned or rounded; they are counted apart.
    grid
        The representable values within the range shown; empty in floating point and above 256 of them.
    grid_scope
        Whose grid it is: the tensor's, or with a scale a channel that of the channel with the widest range.
    """

    layer: str
    edges: tuple[float, ...]
    counts: tuple[int, ...]
    zeros: int
    grid: tuple[float, ...]
    grid_scope: str


def compress(graph: WeightGraph, setting: CompressionSetting) -> dict[str, CompressedWeight]:
    """Apply a setting to every weight of the graph: one global magnitude mask, then one grid a tensor."""
    masks = magnitude_masks({w.name: w.values for w in graph.weights.values()}, setting.sparsity)
    return {
        weight.name: quantize_weight(weight, setting, apply_mask(weight.values, masks[weight.name]))
        for weight in graph.weights.values()
    }


def quantize_weight(
    weight: Weight, setting: CompressionSetting, pruned: NDArray[np.float32] | None = None
) -> CompressedWeight:
    """Put one weight on its grid.

    Parameters
    ----------
    pruned
        The values to quantize, where some of the weight's own are set to zero.
    """
    values = weight.values if pruned is None else pruned
    if not setting.quantized:
        return CompressedWeight(values, None, None)
    granularity = PerChannel(weight.channel_axis) if setting.per_channel else PerTensor()
    qparams = choose_qparams(values, setting.bits, symmetric=setting.symmetric, granularity=granularity)
    codes = quantize(values, qparams)
    return CompressedWeight(dequantize(codes, qparams), codes, qparams)


def stored_size(graph: WeightGraph, compressed: dict[str, CompressedWeight]) -> int:
    """Return the bytes of the model when stored: every weight really packed, the rest as 32-bit floats.

    Each tensor takes the cheapest of dense, bitmap and index encoding. Names and shapes are not counted.
    """
    return sum(packed_bytes(weight) for weight in compressed.values()) + 4 * graph.other_params


def packed_bytes(weight: CompressedWeight) -> int:
    """Return the bytes of one weight when really packed, in the cheapest encoding, with its scales."""
    packed = encode(weight.values) if weight.codes is None else encode(weight.codes, weight.qparams)
    return packed.size_bytes


def weights_sqnr_db(graph: WeightGraph, compressed: dict[str, CompressedWeight]) -> float:
    """Return the signal-to-noise ratio of all compressed weights together, in decibels; inf if unchanged."""
    before = np.concatenate([weight.values.ravel() for weight in graph.weights.values()])
    after = np.concatenate([compressed[name].values.ravel() for name in graph.weights])
    return sqnr_db(before, after)


def histogram(graph: WeightGraph, compressed: dict[str, CompressedWeight], layer: str) -> Histogram:
    """Return the histogram of one layer's weights before rounding, with the grid that they are rounded to."""
    original, result = graph.weights[layer].values, compressed[layer]
    limit = float(np.abs(original).max()) or 1.0
    kept = original[result.values != 0]
    counts, edges = np.histogram(kept, HISTOGRAM_BINS, (-limit, limit))
    grid, scope = _grid(result, limit)
    return Histogram(
        layer=layer,
        edges=tuple(edges.tolist()),
        counts=tuple(counts.tolist()),
        zeros=int(original.size - kept.size),
        grid=grid,
        grid_scope=scope,
    )


def _grid(weight: CompressedWeight, limit: float) -> tuple[tuple[float, ...], str]:
    if weight.qparams is None:
        return (), ""
    qparams = weight.qparams
    scales, zero_points = qparams.scale.ravel(), qparams.zero_point.ravel()
    widest = int(scales.argmax())
    scope = "the tensor" if scales.size == 1 else f"channel {widest}, which has the widest range"
    levels = np.arange(qparams.quant_min, qparams.quant_max + 1)
    values = scales[widest] * (levels - zero_points[widest])
    shown = values[np.abs(values) <= limit * 1.001]
    return (tuple(shown.tolist()) if len(shown) <= MAX_GRID_LINES else ()), scope
