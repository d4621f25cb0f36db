"""What is known of a block at one position of the explorer's controls: text, picture and bars all read this.

All ratios are block / standard convolution: 0.25 is a quarter of the MACs, or of the time.

Worked example: a block with 20,000 MACs beside a standard convolution with 115,200 has the ratio 0.174. If it
takes 30 µs and the other one 60 µs, latency has the ratio 0.5: it fell by less than the MACs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from course_lib.architectures.blocks.shape import BlockShape
from course_lib.benchmarking import Interval
from course_lib.explore.latex import Formula


@dataclass(frozen=True)
class BlockSetting:
    """A block of the catalogue by its name, and what it is built for."""

    block: str
    shape: BlockShape


@dataclass(frozen=True)
class DrawnLayer:
    """One box of the picture.

    Parameters
    ----------
    name
        Of the tensor that comes out of it.
    kind
        "input", "conv", "depthwise", "grouped", "pointwise", "join" (adds, multiplies, puts beside) or
        "other".
    title, detail
        What it is, such as "3×3" and "depthwise, stride 2".
    after
        The norm and the activation behind it, such as "BN, ReLU".
    channels, side
        Of what comes out of it; the side in pixels, where the picture is square.
    path
        Of a convolution, in the module; empty elsewhere.
    macs
        Of a convolution, 0 elsewhere.
    column, lane
        Where it lies: the longest way from the input, and 0 on the main way.
    """

    name: str
    kind: str
    title: str
    detail: str
    after: str
    channels: int
    side: int
    path: str
    macs: int
    column: int
    lane: int


@dataclass(frozen=True)
class DrawnEdge:
    """A way from one box to another; ``level`` counts how many ways it has to pass outside of."""

    start: str
    end: str
    level: int


@dataclass(frozen=True)
class BlockPicture:
    """The traced layers of a block, laid out in columns and lanes."""

    layers: tuple[DrawnLayer, ...]
    edges: tuple[DrawnEdge, ...]


@dataclass(frozen=True)
class KernelTime:
    """One kernel as ONNX Runtime ran it.

    Parameters
    ----------
    operator
        Such as "Conv" or "ReorderInput".
    path
        The convolution that it computes; empty for other kernels.
    bytes_moved
        Of its inputs, weights and output, in the layout in which it really runs.
    p50_us
        Median time in whole microseconds, 0 for less than one; the profiler itself adds about one.
    """

    operator: str
    path: str
    bytes_moved: int
    p50_us: float


@dataclass(frozen=True)
class BlockLatency:
    """Latency of one picture on one thread, measured in turns with the standard convolution.

    ``ratio`` is block / standard; the kernels were timed one by one afterwards.
    """

    p50_ms: float
    p50_interval_ms: Interval
    standard_p50_ms: float
    standard_interval_ms: Interval
    ratio: float
    ratio_interval: Interval
    runs: int
    noise_warning: str | None
    kernels: tuple[KernelTime, ...]
    standard_kernels: tuple[KernelTime, ...]

    @property
    def bytes_moved(self) -> int:
        """What all kernels of the block read and write."""
        return sum(kernel.bytes_moved for kernel in self.kernels)

    @property
    def standard_bytes_moved(self) -> int:
        """What all kernels of the standard convolution read and write."""
        return sum(kernel.bytes_moved for kernel in self.standard_kernels)


@dataclass(frozen=True)
class BlockResult:
    """A block, what it costs by its formulas, and what it costs in time.

    Parameters
    ----------
    setting
        With the shape that the block obeys: knobs that it does not have stand at their defaults.
    title, source
        The block in words, and the paper.
    picture
        Its layers.
    formula, values
        Of the MACs, and the value of every symbol in it.
    macs, params
        By the formulas, for one picture.
    standard
        Shape of the standard convolution of the same channels.
    standard_macs, standard_params
        Its cost.
    latency
        None until it is measured.
    """

    setting: BlockSetting
    title: str
    source: str
    picture: BlockPicture
    formula: Formula
    values: Mapping[str, Fraction]
    macs: int
    params: int
    standard: BlockShape
    standard_macs: int
    standard_params: int
    latency: BlockLatency | None = None

    @property
    def macs_ratio(self) -> float:
        """MACs, block / standard."""
        return self.macs / self.standard_macs

    @property
    def is_reference(self) -> bool:
        """Whether this is the standard convolution itself."""
        return self.setting == BlockSetting("standard", self.standard)

    def intensity(self) -> tuple[float, float] | None:
        """MACs for each byte moved, of the block and of the standard convolution; None until measured."""
        if self.latency is None:
            return None
        return (
            self.macs / self.latency.bytes_moved,
            self.standard_macs / self.latency.standard_bytes_moved,
        )
