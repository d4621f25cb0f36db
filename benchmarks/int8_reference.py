"""Does the integer reference compute what ONNX Runtime computes, bit for bit?

Random convolutions (strides, uneven pads, dilations, groups), depthwise convolutions and matrix products,
with one scale or one for each output channel, in the types that ONNX Runtime takes; every value is compared.
Full-range U8 × S8 is compared with the saturating emulation where this processor saturates, and the affine
formula with QuantizeLinear, ties included. The figures count values that differ and should be 0;
mismatches_u8s8 is that of the exact sum at full range, which says how much a processor that saturates loses.
"""

import sys
from collections import Counter
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks.cli import Target, run
from benchmarks.qlinear import Grid, Grids, NDArray, ort_conv2d, ort_matmul, ort_quantize, pairs_saturate
from course_lib.quantization.affine import QParams, quantize
from course_lib.quantization.integer import integer_matmul
from course_lib.quantization.integer_conv import ConvGeometry, integer_conv2d

KINDS = ("conv", "depthwise", "matmul")
TYPES = {"u8": (0, 255), "s8": (-128, 127)}
NUMPY_TYPES = {"u8": np.uint8, "s8": np.int8}
MIXES = {
    "u8u8": ("u8", "u8", 255),
    "s8s8": ("s8", "s8", 128),
    "reduced": ("u8", "s8", 63),
    "u8s8": ("u8", "s8", 128),
}
"""Name → type of the input, type of the weight, and the largest magnitude of a weight's code."""

EXACT = ("u8u8", "s8s8", "depthwise", "reduced")
SATURATES = "this processor sums pairs of U8 × S8 products in 16 bits; the emulation was compared with it"
NEVER_SATURATES = "this processor sums U8 × S8 products in 32 bits; the emulation could not be compared"


@dataclass(frozen=True)
class Shape:
    """Shapes of a layer's input and weight; ``geometry`` is None for a matrix product."""

    x: tuple[int, ...]
    weight: tuple[int, ...]
    geometry: ConvGeometry | None = None


def draw_shape(kind: str, rng: np.random.Generator) -> Shape:
    """Draw the shape of a small layer of one of the `KINDS`."""

    def draw(low: int, high: int) -> int:
        return int(rng.integers(low, high + 1))

    if kind == "matmul":
        rows, length, columns = draw(1, 32), draw(1, 300), draw(1, 48)
        return Shape((rows, length), (length, columns))
    groups, channels, out_channels = (draw(1, 4), draw(1, 16), draw(1, 16))
    if kind == "depthwise":
        groups, channels, out_channels = draw(2, 40), 1, 1
    kernel = draw(1, 5), draw(1, 5)
    geometry = ConvGeometry(
        strides=(draw(1, 3), draw(1, 3)),
        pads=(draw(0, 2), draw(0, 2), draw(0, 2), draw(0, 2)),
        dilations=(draw(1, 2), draw(1, 2)),
        groups=groups,
    )
    height, width = (draw(2 * side, 14) for side in kernel)  # room for the kernel at twice its size
    x = (draw(1, 2), groups * channels, height, width)
    return Shape(x, (groups * out_channels, channels, *kernel), geometry)


def draw_codes(shape: Shape, mix: str, rng: np.random.Generator) -> tuple[NDArray, NDArray, Grids]:
    """Draw the codes of input and weight, and the grids of input, weight and output."""
    x_type, w_type, limit = MIXES[mix]
    x_low, x_high = TYPES[x_type]
    w_low, w_high = TYPES[w_type]
    x = rng.integers(x_low, x_high + 1, shape.x, np.int16).astype(NUMPY_TYPES[x_type])
    weight = rng.integers(max(w_low, -limit), min(w_high, limit) + 1, shape.weight, np.int16)
    weight = weight.astype(NUMPY_TYPES[w_type])

    channel_axis = 0 if shape.geometry else 1
    per_channel = tuple(size if axis == channel_axis else 1 for axis, size in enumerate(shape.weight))
    one_scale = (1,) * len(per_channel)
    x_grid = draw_grid(x_type, one_scale, rng)
    w_grid = draw_grid(w_type, per_channel if rng.random() < 0.5 else one_scale, rng)
    # Codes are some hundred steps from their zero point, so this keeps most outputs within their range.
    summands = weight.size // shape.weight[channel_axis]
    out_scale = x_grid.scale.reshape(1) * w_grid.scale.max() * np.sqrt(summands) * rng.uniform(100, 400)
    out_grid = replace(draw_grid(x_type, (1,), rng), scale=out_scale.astype(np.float32))
    return x, weight, (x_grid, w_grid, out_grid)


def draw_grid(code_type: str, shape: tuple[int, ...], rng: np.random.Generator) -> Grid:
    """Draw scales of a shape, and one zero point, in half of all cases the middle of the type."""
    low, high = TYPES[code_type]
    zero_point = int(rng.integers(low, high + 1)) if rng.random() < 0.5 else (low + high + 1) // 2
    scale = rng.uniform(1e-3, 0.1, shape).astype(np.float32)
    return QParams(scale, np.full(shape, zero_point, np.int32), low, high)


def mismatches(kind: str, mix: str, rng: np.random.Generator, saturates: bool) -> Counter[str]:
    """Draw one layer and return for each figure how many output values differ, and how many there are."""
    shape = draw_shape(kind, rng)
    x, weight, grids = draw_codes(shape, mix, rng)
    if shape.geometry is None:
        deployed = ort_matmul(x, weight, grids)
        reference = partial(integer_matmul, x, weight, *grids)
    else:
        bias = rng.integers(-(2**16), 2**16, weight.shape[0]) if rng.random() < 0.5 else None
        deployed = ort_conv2d(x, weight, grids, shape.geometry, bias)
        reference = partial(integer_conv2d, x, weight, *grids, geometry=shape.geometry, bias=bias)

    figure = "mismatches_depthwise" if kind == "depthwise" else f"mismatches_{mix}"
    counts = Counter({"values": deployed.size, figure: int((reference() != deployed).sum())})
    if saturates and mix == "u8s8":
        counts[f"mismatches_saturating_{kind}"] += int((reference(saturating=True) != deployed).sum())
    return counts


def affine_mismatches(rng: np.random.Generator) -> tuple[int, int]:
    """Return how many codes of `quantize` differ from QuantizeLinear's, and how many values there are.

    Half of the values lie halfway between two codes, as near as float32 allows.
    """
    wrong = count = 0
    for code_type in TYPES:
        for _ in range(10):
            grid = draw_grid(code_type, (1,), rng)
            steps = rng.integers(grid.quant_min, grid.quant_max + 1, 5_000) - grid.zero_point
            ties = (steps + 0.5).astype(np.float32) * grid.scale
            anywhere = rng.normal(0, 100 * grid.scale, 5_000).astype(np.float32)
            x = np.concatenate([ties, anywhere])
            wrong += int((quantize(x, grid) != ort_quantize(x, grid)).sum())
            count += x.size
    return wrong, count


def measure(quick: bool) -> dict[str, Any]:
    """Return the number of values that differ, by what was compared."""
    rng = np.random.default_rng(0)
    saturates = pairs_saturate()
    layers = [(kind, mix) for kind in KINDS for mix in MIXES] * (10 if quick else 100)
    counts: Counter[str] = Counter()
    for kind, mix in tqdm(layers, unit="layer", file=sys.stderr):
        counts += mismatches(kind, mix, rng, saturates)
    wrong, affine_values = affine_mismatches(rng)
    return {
        "shapes": len(layers),
        **{f"mismatches_{name}": counts[f"mismatches_{name}"] for name in EXACT},
        "mismatches_u8s8": counts["mismatches_u8s8"],
        "mismatches_saturating_matmul": counts["mismatches_saturating_matmul"] if saturates else None,
        "mismatches_saturating_conv": counts["mismatches_saturating_conv"] if saturates else None,
        "saturation": SATURATES if saturates else NEVER_SATURATES,
        "mismatches_affine": wrong,
        "values": counts["values"],
        "values_affine": affine_values,
    }


if __name__ == "__main__":
    zero = [*EXACT, "affine", *(["saturating_matmul"] if pairs_saturate() else ["u8s8"])]
    run(measure, {"shapes": Target(low=100), **{f"mismatches_{name}": Target(high=0) for name in zero}})
