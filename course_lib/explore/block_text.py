"""One sentence why a block's latency does or does not follow its MACs, from what was measured of it.

Were every MAC of the block as quick as one of the standard convolution, and the time outside of convolutions
smaller by the same ratio, latency would follow. What misses its time by most is the reason: one kind of
convolution, or all that is no convolution (changes of layout, additions, shuffles, the call itself).

Worked example: the standard convolution makes 100,000 MACs in 50 µs, so 2,000 a µs, and its call takes 60 µs.
A block with 20,000 MACs should take 12 µs. It takes 30 µs, 8 of them in its depthwise convolution with 8,000
MACs, which should take 4, and 6 in its 1×1 with 12,000 MACs, which is what it should take. The other 16 µs
pass outside of convolutions, where 0.2·10 = 2 were due: that is the reason.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from course_lib.benchmarking.number_text import format_bytes, significant
from course_lib.explore.block_result import BlockLatency, BlockResult, KernelTime

TOLERANCE = 0.15
"""Latency follows MACs where its ratio is this close to theirs, or its interval holds theirs."""

NAMES = {
    "conv": "convolution",
    "depthwise": "depthwise convolution",
    "grouped": "grouped convolution",
    "pointwise": "1×1 convolution",
}


@dataclass(frozen=True)
class Share:
    """All convolutions of a kind, or all other kernels: what they do and by how much they miss their time."""

    kind: str
    macs: int
    bytes_moved: int
    time_us: float
    lost_us: float
    kernels: int


def explain(result: BlockResult) -> str:
    """Return the sentence; before the measurement, what it will be compared with."""
    latency = result.latency
    if latency is None:
        return "MACs and parameters come from the formulas; latency is being measured in ONNX Runtime …"
    if result.is_reference:
        return "This is the standard convolution, compared with itself."
    figures = (
        f"{_times(result.macs_ratio)} the MACs of the standard convolution, {_times(latency.ratio)} its time"
    )
    if follows_macs(result):
        return f"{figures}: here latency follows the MACs."
    sign = 1 if latency.ratio > result.macs_ratio else -1
    reason = max(shares(result), key=lambda share: sign * share.lost_us)
    if reason.kind == "outside":
        return f"{figures}: {_outside(reason, latency)}"
    return f"{figures}: {_convolution(reason, result, latency)}"


def follows_macs(result: BlockResult) -> bool:
    """Return whether the measured ratio is that of the MACs, within its interval or `TOLERANCE`."""
    if result.latency is None:
        return False
    near = abs(result.latency.ratio / result.macs_ratio - 1) <= TOLERANCE
    return near or result.macs_ratio in result.latency.ratio_interval


def shares(result: BlockResult) -> Iterator[Share]:
    """Yield each kind of convolution of a measured block, and "outside" for the rest of its time."""
    latency = result.latency
    if latency is None:
        return
    pace = _conv_us(latency.standard_kernels) / result.standard_macs
    drawn = {layer.path: layer for layer in result.picture.layers if layer.path}
    timed = {kernel.path: kernel for kernel in latency.kernels if kernel.path}
    for kind in NAMES:
        paths = [path for path, layer in drawn.items() if layer.kind == kind and path in timed]
        if paths:
            macs = sum(drawn[path].macs for path in paths)
            time_us = sum(timed[path].p50_us for path in paths)
            moved = sum(timed[path].bytes_moved for path in paths)
            yield Share(kind, macs, moved, time_us, time_us - macs * pace, len(paths))
    rest = [kernel for kernel in latency.kernels if "Conv" not in kernel.operator]
    outside = max(0.0, 1000 * latency.p50_ms - _conv_us(latency.kernels))
    due = result.macs_ratio * max(0.0, 1000 * latency.standard_p50_ms - _conv_us(latency.standard_kernels))
    yield Share("outside", 0, sum(k.bytes_moved for k in rest), outside, outside - due, len(rest))


def _outside(share: Share, latency: BlockLatency) -> str:
    before = max(0.0, 1000 * latency.standard_p50_ms - _conv_us(latency.standard_kernels))
    kernels = f"{share.kernels} other kernel{'' if share.kernels == 1 else 's'}"
    return (
        f"of its {_us(1000 * latency.p50_ms)}, {_us(share.time_us)} pass outside of convolutions, in "
        f"{kernels} that move {format_bytes(share.bytes_moved)} and in the call itself, which fewer MACs do "
        f"not shorten (standard: {_us(before) if before >= 1 else 'under 1 µs'})."
    )


def _convolution(share: Share, result: BlockResult, latency: BlockLatency) -> str:
    standard = [kernel for kernel in latency.standard_kernels if "Conv" in kernel.operator]
    moved = sum(kernel.bytes_moved for kernel in standard)
    speed = _speed(result.standard_macs, _conv_us(standard), len(standard))
    own = _speed(share.macs, share.time_us, share.kernels)
    whole = share.time_us / (1000 * latency.p50_ms)
    return (
        f"its {NAMES[share.kind]}{'' if share.kernels == 1 else 's'} make{'s' if share.kernels == 1 else ''} "
        f"{significant(share.macs / share.bytes_moved)} MACs for each byte moved, the standard one "
        f"{significant(result.standard_macs / moved)}: {own} GMAC/s against {speed}, and "
        f"{min(whole, 1):.0%} of the time for {share.macs / result.macs:.0%} of the MACs."
    )


def _speed(macs: int, time_us: float, kernels: int) -> str:
    """Return GMAC/s; of kernels that took no microsecond each, what they must have exceeded."""
    return significant(macs / time_us / 1000) if time_us else f"over {significant(macs / kernels / 1000)}"


def _conv_us(kernels: tuple[KernelTime, ...] | list[KernelTime]) -> float:
    return sum(kernel.p50_us for kernel in kernels if "Conv" in kernel.operator)


def _times(ratio: float) -> str:
    return f"{significant(ratio, 2)}×"


def _us(time_us: float) -> str:
    return f"{significant(time_us)} µs"
