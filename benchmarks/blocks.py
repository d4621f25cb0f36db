"""Do the blocks' cost formulas equal what is counted, and does latency follow MACs?

Every block of the catalogue is built for every combination of a grid of its knobs; MACs and parameters by
formula are compared with those counted while the module runs. Combinations that a block refuses, such as
groups that do not divide its channels, are told beside the others.

Then separable blocks are timed against the standard convolutions that they replace. ``separable_ratio`` is
what the formula promises for the headline case, ``latency_ratio`` what is measured; ``cases`` has all of
them, each with a sentence that explains the difference from its own figures. Channels double in each case,
as where a network shrinks its pictures, so no identity lies beside the block.
"""

import sys
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

import torch
from tqdm import tqdm

from benchmarks.cli import Target, run
from benchmarks.separable_latency import SeparableCase, measure_case
from course_lib.architectures.blocks.catalogue import BLOCKS, BlockShape
from course_lib.benchmarking.macs import profile_layers
from course_lib.errors import SettingError

Grid = Mapping[str, tuple[int, ...]]

GRID: Grid = {
    "in_channels": (16, 24, 48),
    "out_channels": (24, 48, 96),
    "resolution": (7, 28),
    "kernel": (3, 5),
    "stride": (1, 2),
    "expansion": (1, 6),
    "groups": (1, 3),
}
QUICK_GRID: Grid = {**GRID, "in_channels": (24,), "out_channels": (24, 48), "resolution": (7,)}

HEADLINE = BlockShape(64, 128, resolution=28)
CASES = [
    BlockShape(channels, 2 * channels, resolution, kernel)
    for resolution in (28, 7)
    for kernel in (3, 5)
    for channels in (16, 64, 128)
]
QUICK_CASES = [BlockShape(16, 32, resolution=28), HEADLINE]
ROUNDS, QUICK_ROUNDS = 400, 60
THREADS = 1


def grid_shapes(name: str, grid: Grid) -> Iterator[BlockShape]:
    """Yield every combination of the knobs that a block obeys; the others keep their first value."""
    knobs = BLOCKS[name].knobs
    choices = [values if knob in knobs else values[:1] for knob, values in grid.items()]
    for combination in product(*choices):
        yield BlockShape(**dict(zip(grid, combination, strict=True)))


def check_block(name: str, grid: Grid) -> dict[str, Any]:
    """Return how many shapes were compared and refused, and those whose formula is not what was counted."""
    kind = BLOCKS[name]
    compared, refused, different = 0, 0, []
    for shape in grid_shapes(name, grid):
        try:
            block = kind.build(shape)
        except SettingError:
            refused += 1
            continue
        counted = profile_layers(block, torch.zeros(1, shape.in_channels, shape.resolution, shape.resolution))
        compared += 1
        formula = kind.macs(shape), kind.params(shape)
        if formula != (counted.macs, counted.params):
            different.append(
                {"shape": str(shape), "formula": formula, "counted": (counted.macs, counted.params)}
            )
    return {
        "formula_equals_counted": compared > 0 and not different,
        "shapes_compared": compared,
        "shapes_refused": refused,
        "different": different,
    }


def measure(quick: bool) -> dict[str, Any]:
    """Return whether all formulas hold, and the promised and the measured ratio of separable blocks."""
    torch.set_num_threads(THREADS)
    grid, shapes, rounds = (QUICK_GRID, QUICK_CASES, QUICK_ROUNDS) if quick else (GRID, CASES, ROUNDS)
    blocks = {name: check_block(name, grid) for name in tqdm(BLOCKS, unit="block", file=sys.stderr)}
    cases = [measure_case(shape, rounds) for shape in tqdm(shapes, unit="case", file=sys.stderr)]
    return {**formula_figures(blocks), **separable_figures(cases), "blocks": blocks}


def formula_figures(blocks: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the figures of all blocks together."""
    return {
        "formula_equals_counted": all(block["formula_equals_counted"] for block in blocks.values()),
        "blocks_checked": len(blocks),
        "shapes_compared": sum(block["shapes_compared"] for block in blocks.values()),
        "shapes_refused": sum(block["shapes_refused"] for block in blocks.values()),
    }


def separable_figures(cases: list[SeparableCase]) -> dict[str, Any]:
    """Return the figures of the headline case, and of all cases below them."""
    (headline,) = [case for case in cases if case.shape == HEADLINE]
    return {
        "separable_ratio": headline.promised,
        "latency_ratio": headline.ratio.value,
        "latency_ratio_interval": list(headline.ratio.interval),
        "explanation": headline.explanation,
        "cases_that_follow_macs": sum(case.follows_macs for case in cases),
        "cases_measured": len(cases),
        "cases": [case.as_dict() for case in cases],
    }


if __name__ == "__main__":
    run(measure, {"formula_equals_counted": Target(low=1)}, threads=THREADS)
