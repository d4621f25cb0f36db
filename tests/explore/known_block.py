"""A block result with figures chosen by hand."""

from course_lib.architectures.blocks.catalogue import BlockShape
from course_lib.benchmarking import Interval
from course_lib.explore.block_result import (
    BlockLatency,
    BlockPicture,
    BlockResult,
    BlockSetting,
    DrawnLayer,
    KernelTime,
)
from course_lib.explore.latex import read_formula

SHAPE = BlockShape(8, 16, resolution=10)


def layer(kind: str, path: str, macs: int) -> DrawnLayer:
    """Return a convolution of the picture."""
    return DrawnLayer(path, kind, "3×3", "", "", 8, 10, path, macs, 1, 0)


def interval(value: float, width: float = 0.01) -> Interval:
    """Return an interval around a value."""
    return Interval(value * (1 - width), value * (1 + width), 0.95)


def latency(
    block_us: float,
    standard_us: float,
    kernels: tuple[KernelTime, ...],
    standard_kernels: tuple[KernelTime, ...],
    width: float = 0.01,
) -> BlockLatency:
    """Return a measurement with these times."""
    ratio = block_us / standard_us
    return BlockLatency(
        p50_ms=block_us / 1000,
        p50_interval_ms=interval(block_us / 1000),
        standard_p50_ms=standard_us / 1000,
        standard_interval_ms=interval(standard_us / 1000),
        ratio=ratio,
        ratio_interval=interval(ratio, width),
        runs=40,
        noise_warning=None,
        kernels=kernels,
        standard_kernels=standard_kernels,
    )


def result(measured: BlockLatency | None, block: str = "separable") -> BlockResult:
    """Return the block of `block_text`'s worked example: 20,000 MACs beside 100,000."""
    return BlockResult(
        setting=BlockSetting(block, SHAPE),
        title="Depthwise-separable convolution",
        source="hand",
        picture=BlockPicture((layer("depthwise", "deep", 8_000), layer("pointwise", "point", 12_000)), ()),
        formula=read_formula("20000"),
        values={},
        macs=20_000,
        params=200,
        standard=SHAPE,
        standard_macs=100_000,
        standard_params=1_000,
        latency=measured,
    )
