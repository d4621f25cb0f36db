"""Where does skipping pay? Gated convolutions against dense ones, measured, for sizes and fractions kept.

Skipping costs something itself: a mean over the input, a small matrix product, the k largest of its outputs,
and a copy of the weights that are used. These do not shrink with the work that is saved, so small layers get
slower, whatever is skipped. Both sides run in eager PyTorch, since a runtime that lays out the weights once
cannot choose among them later; it would be faster than the dense side here.

Two 3×3 convolutions with C channels on an image of H × W pixels are timed in eager PyTorch, one image at a
time. The first has all inputs and computes k channels; the second computes k from these k:

    MACs / dense MACs = (9·H·W·(C·k + k²) + 2·C²) / (9·H·W·2·C²)

Worked example: C = 4, one pixel, k = 2: (9 · (8 + 4) + 32) / (9 · 32) = 140 / 288 = 0.49. With many pixels it
tends to (½ + ¼) / 2 = 0.375.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.benchmarking import Ratio, compare_latency, record_machine
from course_lib.benchmarking.number_text import significant
from course_lib.benchmarking.table import MeasuredResult, Row
from course_lib.errors import SettingError
from course_lib.pruning.gating import GatedConv, SkippingConv
from course_lib.reproducibility import seeded_torch

SHAPES = ((16, 28), (32, 14), (64, 14), (64, 28), (128, 28), (256, 28))
KEEP_RATIOS = (0.125, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class GatingPoint:
    """One size and fraction kept: MACs and latency as multiples of the dense convolutions'."""

    channels: int
    side: int
    keep_ratio: float
    macs_ratio: float
    dense_ms: float
    ratio: Ratio


@dataclass(frozen=True, kw_only=True)
class GatingSpeed(MeasuredResult):
    """All points, by size and then by rising fraction kept."""

    points: tuple[GatingPoint, ...]
    derived: ClassVar[tuple[str, ...]] = ()

    def pays(self) -> dict[tuple[int, int], float | None]:
        """Return (channels, side) → the largest fraction kept that is surely faster than dense, or None."""
        found: dict[tuple[int, int], float | None] = {}
        for each in self.points:
            size = (each.channels, each.side)
            found[size] = each.keep_ratio if each.ratio.verdict == "faster" else found.get(size)
        return found

    def table_rows(self) -> list[Row]:
        return [
            {
                "channels": str(each.channels),
                "pixels": f"{each.side} × {each.side}",
                "channels kept": f"{each.keep_ratio:.1%}",
                "MACs, of dense": f"{each.macs_ratio:.1%}",
                "dense ms": significant(each.dense_ms),
                "latency, of dense": f"{each.ratio.value:.0%}",
                "95 % interval": f"{each.ratio.interval.low:.0%}–{each.ratio.interval.high:.0%}",
                "verdict": each.ratio.verdict,
            }
            for each in self.points
        ]

    def notes(self) -> list[str]:
        texts = [
            f"{channels} channels, {side}×{side}: " + ("never" if keep is None else f"up to {keep:.1%} kept")
            for (channels, side), keep in self.pays().items()
        ]
        return [f"Skipping is faster with {'; '.join(texts)}.", *super().notes()]


def measure_gating_speed(
    shapes: Sequence[tuple[int, int]] = SHAPES,
    keep_ratios: Sequence[float] = KEEP_RATIOS,
    *,
    runs: int = 60,
    seed: int = 0,
) -> GatingSpeed:
    """Time gated against dense convolutions in turns, on one thread, with random weights.

    Parameters
    ----------
    shapes
        (channels, side of the image).
    keep_ratios
        Rising fractions in (0, 1].

    Raises
    ------
    SettingError
        If the fractions do not rise, or one is outside (0, 1].
    """
    if list(keep_ratios) != sorted(set(keep_ratios)):
        raise SettingError(
            f"keep_ratios are {tuple(keep_ratios)}; pass them rising, such as (0.25, 0.5, 1.0)."
        )
    with _one_thread():
        points = [
            point for channels, side in shapes for point in _points(channels, side, keep_ratios, runs, seed)
        ]
    return GatingSpeed(machine=record_machine(threads=1, seed=seed), points=tuple(points))


def macs_ratio(channels: int, side: int, kept: int) -> float:
    """Return the MACs of two gated 3×3 convolutions as a multiple of the dense ones', predictors included."""
    pixels = side * side
    gated = 9 * pixels * (channels * kept + kept * kept) + 2 * channels * channels
    return gated / (9 * pixels * 2 * channels * channels)


def _points(
    channels: int, side: int, keep_ratios: Sequence[float], runs: int, seed: int
) -> Iterator[GatingPoint]:
    with seeded_torch(seed):
        convs = [nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2)]
        x = torch.rand(1, channels, side, side)
    pairs = {keep: [SkippingConv(GatedConv(conv, None, keep)) for conv in convs] for keep in keep_ratios}
    calls: dict[str, Callable[[], Tensor]] = {"dense": partial(_dense, convs, x)}
    calls |= {str(keep): partial(_skip, pair, x) for keep, pair in pairs.items()}
    race = compare_latency(calls, baseline="dense", runs=runs, seed=seed)
    for keep, pair in pairs.items():
        macs = macs_ratio(channels, side, pair[0].gated.keep)
        dense_ms = race.results["dense"].p50_ms
        yield GatingPoint(channels, side, keep, macs, dense_ms, race.ratios[str(keep)])


@torch.inference_mode()
def _dense(convs: Sequence[nn.Conv2d], x: Tensor) -> Tensor:
    for conv in convs:
        x = F.relu_(conv(x))
    return x


@torch.inference_mode()
def _skip(convs: Sequence[SkippingConv], x: Tensor) -> Tensor:
    opened = None
    for conv in convs:
        x, opened = conv(x, opened)
    return x


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
