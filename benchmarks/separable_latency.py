"""One separable block against the standard convolution that it replaces: promised, measured, and explained.

The promise is the ratio of MACs. Measured is the ratio of latencies in ONNX Runtime, both in turns on one
thread. The difference is split exactly: were every part of the separable block as fast for its MACs as the
standard convolution, and the time outside of convolutions smaller by the promised ratio too, the promise
would hold; whichever part misses its time by most is the reason.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from course_lib.architectures.blocks.catalogue import BLOCKS, BlockShape
from course_lib.architectures.blocks.layers import conv_macs
from course_lib.architectures.blocks.separable import separable_ratio
from course_lib.benchmarking.compare import Ratio, compare_latency
from course_lib.benchmarking.number_text import significant
from course_lib.export.onnx_export import build_onnx
from course_lib.reproducibility import seeded_torch
from course_lib.runtimes.onnx_insight import OperatorTime, operator_times
from course_lib.runtimes.onnx_runtime import OnnxRuntime

BYTES = 4
"""Of a number in float32."""
TOLERANCE = 0.15
"""Latency follows MACs where the ratio is this close to the promised one, or its interval holds that."""


@dataclass(frozen=True)
class Part:
    """A convolution as it ran: its MACs, the bytes of its input, output and weights, and its median time."""

    macs: int
    bytes_moved: int
    time_us: float

    @property
    def intensity(self) -> float:
        """MACs for each byte that is moved."""
        return self.macs / self.bytes_moved

    @property
    def gmacs_per_s(self) -> float:
        """10⁹ MACs a second."""
        return self.macs / self.time_us / 1000


@dataclass(frozen=True)
class SeparableCase:
    """Both blocks as they ran; the ratio is standard / separable, so above 1 separable is faster.

    ``layout_us`` is the time of the separable block in kernels that only change the layout of numbers.
    """

    shape: BlockShape
    ratio: Ratio
    standard_us: float
    separable_us: float
    standard: Part
    depthwise: Part
    pointwise: Part
    layout_us: float

    @property
    def promised(self) -> float:
        """The ratio of the MACs."""
        return separable_ratio(self.shape.kernel, self.shape.out_channels)

    @property
    def follows_macs(self) -> bool:
        """Whether the latency ratio is the promised one, within its interval or `TOLERANCE`."""
        return self.promised in self.ratio.interval or abs(self.ratio.value / self.promised - 1) <= TOLERANCE

    @property
    def outside_us(self) -> tuple[float, float]:
        """The time of the standard and of the separable block that is in no convolution."""
        convolutions = self.depthwise.time_us + self.pointwise.time_us
        return (
            max(0.0, self.standard_us - self.standard.time_us),
            max(0.0, self.separable_us - convolutions),
        )

    @property
    def lost_us(self) -> dict[str, float]:
        """Part → how much longer it takes than the promise allows; negative where it is quicker."""
        pace = self.standard.time_us / self.standard.macs
        before, after = self.outside_us
        return {
            "depthwise": self.depthwise.time_us - self.depthwise.macs * pace,
            "pointwise": self.pointwise.time_us - self.pointwise.macs * pace,
            "outside": after - before / self.promised,
        }

    @property
    def explanation(self) -> str:
        """One sentence: whether latency follows MACs, and otherwise the part that explains most."""
        figures = f"{significant(self.ratio.value)} times measured, {significant(self.promised)} promised"
        if self.follows_macs:
            return f"Latency follows MACs here: {figures}."
        sign = 1 if self.ratio.value < self.promised else -1
        reason = max(self.lost_us, key=lambda part: sign * self.lost_us[part])
        if reason == "outside":
            before, after = self.outside_us
            return (
                f"{figures}: {_us(after)} of the separable block's {_us(self.separable_us)} pass outside its "
                f"convolutions, {_us(self.layout_us)} of them in changes of layout; that has no MACs, and of "
                f"the standard block's {_us(self.standard_us)} it is {_us(before)}."
            )
        part: Part = getattr(self, reason)
        share = part.macs / (self.depthwise.macs + self.pointwise.macs)
        return (
            f"{figures}: the {reason} part makes {significant(part.intensity)} MACs for each byte that it "
            f"moves, the standard convolution {significant(self.standard.intensity)}; it runs at "
            f"{significant(part.gmacs_per_s)} GMAC/s against {significant(self.standard.gmacs_per_s)} and "
            f"takes {part.time_us / self.separable_us:.0%} of the block's time for {share:.0%} of its MACs."
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the figures as plain values."""
        parts = {"standard": self.standard, "depthwise": self.depthwise, "pointwise": self.pointwise}
        shape = self.shape
        return {
            **{"kernel": shape.kernel, "in_channels": shape.in_channels, "out_channels": shape.out_channels},
            "resolution": shape.resolution,
            "separable_ratio": self.promised,
            "latency_ratio": self.ratio.value,
            "latency_ratio_interval": list(self.ratio.interval),
            "follows_macs": self.follows_macs,
            "explanation": self.explanation,
            **{"standard_p50_us": self.standard_us, "separable_p50_us": self.separable_us},
            "layout_us": self.layout_us,
            "parts": {
                name: {
                    **{"macs": part.macs, "bytes_moved": part.bytes_moved, "p50_us": part.time_us},
                    **{"macs_per_byte": part.intensity, "gmacs_per_s": part.gmacs_per_s},
                }
                for name, part in parts.items()
            },
        }


def measure_case(shape: BlockShape, rounds: int, seed: int = 0) -> SeparableCase:
    """Build both blocks for the shape, time them in turns, and then each one's kernels."""
    with seeded_torch(seed):
        x = torch.randn(1, shape.in_channels, shape.resolution, shape.resolution)
        blocks: dict[str, nn.Module] = {
            name: BLOCKS[name].build(shape).eval() for name in ("standard", "separable")
        }
    files = {name: build_onnx(block, x) for name, block in blocks.items()}
    sessions = {name: OnnxRuntime().load(content, threads=1) for name, content in files.items()}
    batch = x.numpy()
    compared = compare_latency(
        {name: lambda session=session: session.run(batch) for name, session in sessions.items()},
        baseline="separable",
        runs=rounds,
        seed=seed,
    )
    kernels = {name: operator_times(file, batch, runs=rounds) for name, file in files.items()}
    made, kernel, side = shape.out_channels, shape.kernel, shape.resolution
    (standard,), (depthwise, pointwise) = (_times(kernels[name], "Conv") for name in files)
    return SeparableCase(
        shape=shape,
        ratio=compared.ratios["standard"],
        standard_us=1000 * compared.results["standard"].p50_ms,
        separable_us=1000 * compared.results["separable"].p50_ms,
        standard=_part(shape.in_channels, made, kernel, side, 1, standard),
        depthwise=_part(shape.in_channels, shape.in_channels, kernel, side, shape.in_channels, depthwise),
        pointwise=_part(shape.in_channels, made, 1, side, 1, pointwise),
        layout_us=sum(_times(kernels["separable"], "Reorder")),
    )


def _times(operators: Sequence[OperatorTime], kind: str) -> list[float]:
    """Return the median time of each operator with this in its name, in the order in which they run."""
    return [each.p50_us for each in operators if kind in each.operator]


def _part(in_channels: int, out_channels: int, kernel: int, side: int, groups: int, time_us: float) -> Part:
    macs = conv_macs(in_channels, out_channels, kernel, side, groups)
    numbers = side**2 * (in_channels + out_channels) + macs // side**2  # the weights are the MACs of a pixel
    return Part(macs, BYTES * numbers, max(time_us, 1.0))  # the profiler counts whole microseconds


def _us(time_us: float) -> str:
    return f"{significant(time_us)} µs"
