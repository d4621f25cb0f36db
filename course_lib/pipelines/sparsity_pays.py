"""From how many zeros on is a sparse format faster than the dense kernel? Measured on this machine.

A dense kernel multiplies zeros like any other number: its latency stays. A sparse format skips them, but
reads the place of each weight beside the weight, and jumps. So each format has a break-even sparsity, which
depends on the size of the matrix, on the number of columns it is multiplied with (1: a single input to a
linear layer, limited by memory; 64: the pixels of a small convolution, limited by arithmetic) and on the
machine. It is the faster of two dense kernels, PyTorch's and ONNX Runtime's, that a format has to beat.

The break-even sparsity is where the ratio to the dense kernel's latency falls below 1 for good: between two
measured sparsities, on a straight line through the logarithms of their ratios. All kernels take turns, so
each finds its weights pushed out of the cache by those of the others, as in a network of many layers.

Worked example: ratios 4, 2 and 0.5 at sparsities 0.5, 0.8 and 0.9. From 2 to 0.5 the logarithm crosses 0
halfway, so the break-even sparsity is 0.85.
"""

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

import torch

from course_lib.benchmarking import (
    LatencyComparison,
    Ratio,
    compare_latency,
    ratio_interval,
    record_machine,
)
from course_lib.benchmarking.checks import require_count
from course_lib.benchmarking.number_text import significant
from course_lib.benchmarking.table import MeasuredResult, Row
from course_lib.errors import SettingError
from course_lib.pipelines.sparse_kernels import DENSE, FORMATS, LARGEST_BLOCK, TWO_FOUR, products
from course_lib.reproducibility import torch_generator

SIZES = (128, 256, 512, 1024)
SPARSITIES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)


@dataclass(frozen=True)
class SparseTiming:
    """One way to multiply at one size and sparsity: its median, and its ratio to the fastest dense one's."""

    size: int
    sparsity: float
    kernel: str
    p50_ms: float
    ratio: Ratio


@dataclass(frozen=True)
class BreakEven:
    """The sparsity from which on a sparse format is faster than the dense kernel.

    Parameters
    ----------
    sparsity
        None if it was not faster at the highest sparsity measured; the lowest one measured if it was faster
        there already.
    earliest, latest
        The same for the lower and the upper ends of the ratios' 95 % intervals.
    """

    size: int
    kernel: str
    sparsity: float | None
    earliest: float | None
    latest: float | None


@dataclass(frozen=True, kw_only=True)
class SparsityStudy(MeasuredResult):
    """All timings of n × n matrices times ``columns`` columns; `break_even` follows from them.

    ``baselines`` has the name of the faster dense kernel for each size.
    """

    columns: int
    sizes: tuple[int, ...]
    baselines: Mapping[int, str]
    sparsities: tuple[float, ...]
    timings: tuple[SparseTiming, ...]
    derived: ClassVar[tuple[str, ...]] = ("break_even",)

    def curve(self, kernel: str, size: int) -> list[SparseTiming]:
        """Return the timings of one kernel at one size, by rising sparsity."""
        found = [each for each in self.timings if (each.kernel, each.size) == (kernel, size)]
        return sorted(found, key=lambda each: each.sparsity)

    @property
    def break_even(self) -> tuple[BreakEven, ...]:
        """The break-even sparsity of each sparse format at each size."""
        return tuple(self._break_even(kernel, size) for kernel in FORMATS for size in self.sizes)

    def _break_even(self, kernel: str, size: int) -> BreakEven:
        curve = self.curve(kernel, size)
        sparsities = [each.sparsity for each in curve]
        ends = (
            [each.ratio.value for each in curve],
            *zip(*(each.ratio.interval for each in curve), strict=True),
        )
        return BreakEven(size, kernel, *(crossing(sparsities, ratios) for ratios in ends))

    def table_rows(self) -> list[Row]:
        found = {(each.kernel, each.size): each for each in self.break_even}
        return [
            {"format": kernel}
            | {f"{size} × {size}": _text(found[kernel, size], self.sparsities) for size in self.sizes}
            for kernel in FORMATS
        ]

    def notes(self) -> list[str]:
        best = "; ".join(f"{name} at {size}" for size, name in self.baselines.items())
        return [
            "Zeros needed to be faster than the best dense kernel, with the 95 % interval; "
            f"columns: {self.columns}.",
            f"The best dense kernel: {best}.",
            *super().notes(),
        ]


def crossing(sparsities: Sequence[float], ratios: Sequence[float]) -> float | None:
    """Return the sparsity from which on the ratios are at most 1, or None if the last one is above.

    Parameters
    ----------
    sparsities
        Rising.
    ratios
        Latency divided by the dense kernel's, above 0, one for each sparsity.
    """
    above = [index for index, ratio in enumerate(ratios) if ratio > 1]
    if not above:
        return sparsities[0]
    last = above[-1]
    if last == len(ratios) - 1:
        return None
    high, low = math.log(ratios[last]), math.log(ratios[last + 1])
    return sparsities[last] + (sparsities[last + 1] - sparsities[last]) * high / (high - low)


def measure_sparsity_pays(
    sizes: Sequence[int] = SIZES,
    sparsities: Sequence[float] = SPARSITIES,
    *,
    columns: int = 64,
    runs: int = 40,
    seed: int = 0,
    on_point: Callable[[int, float], None] | None = None,
) -> SparsityStudy:
    """Time every way to multiply (`sparse_kernels`) in turns, on one thread, with random weights.

    Parameters
    ----------
    sizes
        Sides n of the square matrices, multiples of 16.
    sparsities
        In (0, 1), rising.
    columns
        Of the dense matrix they are multiplied with.
    runs
        Rounds at each size and sparsity, at least 6, so that ratios have an interval.
    on_point
        Called with size and sparsity after each, for progress.

    Raises
    ------
    SettingError
        If a size is not a multiple of 16, the sparsities do not rise within (0, 1), or a number is too small.
    """
    require_count("columns", columns, 1)
    require_count("runs", runs, 6)
    _check(sizes, sparsities)
    generator = torch_generator(seed)
    timings: list[SparseTiming] = []
    baselines: dict[int, str] = {}
    with _one_thread():
        for size in sizes:
            weight, x = (torch.randn(size, width, generator=generator) for width in (size, columns))
            races = {}
            for sparsity in sparsities:
                calls = {name: call for name, (_, call) in products(weight, x, sparsity).items()}
                races[sparsity] = compare_latency(calls, baseline=DENSE[0], warmup=5, runs=runs, seed=seed)
                if on_point:
                    on_point(size, sparsity)
            baselines[size] = _faster(races.values())
            timings += _timings(size, races, baselines[size], seed)
    return SparsityStudy(
        machine=record_machine(threads=1, seed=seed),
        columns=columns,
        sizes=tuple(sizes),
        baselines=baselines,
        sparsities=tuple(sparsities),
        timings=tuple(timings),
    )


def _faster(races: Collection[LatencyComparison]) -> str:
    """Return the dense kernel with the smaller sum of medians."""
    totals = {name: sum(race.results[name].p50_ms for race in races) for name in DENSE}
    return min(totals, key=lambda name: totals[name])


def _timings(
    size: int, races: Mapping[float, LatencyComparison], baseline: str, seed: int
) -> Iterator[SparseTiming]:
    """Yield the timings of all sparsities; kernels that do not depend on it come once, from the first."""
    fixed = {DENSE[0]: 0.0, DENSE[1]: 0.0, TWO_FOUR: 0.5}
    for index, (sparsity, race) in enumerate(races.items()):
        against = race.results[baseline]
        for name, result in race.results.items():
            if index and name in fixed:
                continue
            interval = ratio_interval(result.samples_ms, against.samples_ms, seed=seed)
            ratio = Ratio(result.p50_ms / against.p50_ms, interval)
            yield SparseTiming(size, fixed.get(name, sparsity), name, result.p50_ms, ratio)


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _check(sizes: Sequence[int], sparsities: Sequence[float]) -> None:
    if not sizes or any(size < LARGEST_BLOCK or size % LARGEST_BLOCK for size in sizes):
        raise SettingError(
            f"sizes are {tuple(sizes)}; expected multiples of {LARGEST_BLOCK}, the side of the largest "
            "blocks, such as (256, 512)."
        )
    rising = list(sparsities) == sorted(set(sparsities))
    if not sparsities or not rising or not all(0 < each < 1 for each in sparsities):
        raise SettingError(
            f"sparsities are {tuple(sparsities)}; expected at least one, rising, each between 0 and 1, such "
            "as (0.5, 0.9)."
        )


def _text(point: BreakEven, sparsities: Sequence[float]) -> str:
    if point.sparsity is None:
        return f"never up to {significant(100 * sparsities[-1])} %"
    if point.sparsity <= sparsities[0]:
        return f"at {significant(100 * sparsities[0])} % already"
    ends = (point.earliest, point.latest)
    low, high = ("?" if end is None else significant(100 * end) for end in ends)
    return f"{significant(100 * point.sparsity)} % ({low}–{high})"
