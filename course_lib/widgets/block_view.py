"""The block explorer's page as plain values: the catalogue, and results in words, pictures and bars."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from course_lib.benchmarking import Interval
from course_lib.benchmarking.number_text import format_bytes, significant
from course_lib.explore.block_result import BlockLatency, BlockResult
from course_lib.explore.block_text import explain
from course_lib.explore.latex import with_numbers
from course_lib.widgets.formula_markup import TIMES, equation, in_terms, markup, symbol

if TYPE_CHECKING:
    from course_lib.architectures.blocks.catalogue import BlockKind
    from course_lib.architectures.blocks.shape import BlockShape

KNOBS = {
    "in_channels": "Channels in",
    "out_channels": "Channels out",
    "resolution": "Resolution",
    "kernel": "Kernel",
    "stride": "Stride",
    "expansion": "Expansion",
    "groups": "Groups",
}
"""Knob → what the page calls it."""

SYMBOLS = {
    **{"in_channels": "C_in", "out_channels": "C_out", "resolution": "H", "kernel": "K"},
    **{"stride": "s", "expansion": "t", "groups": "g"},
}
"""Knob → its symbol in the formulas."""


def knobs_view(stops: Mapping[str, tuple[int, ...]]) -> list[dict[str, Any]]:
    """Return the sliders: name, words, symbol, stops."""
    return [
        {
            "knob": knob,
            "words": words,
            "symbol": equation(symbol(SYMBOLS[knob])),
            "stops": list(stops[knob]),
            "sign": {"resolution": "pixels", "kernel": "kernel"}.get(knob, ""),
        }
        for knob, words in KNOBS.items()
    ]


def blocks_view(blocks: "Mapping[str, BlockKind]") -> list[dict[str, Any]]:
    """Return the catalogue: name, title, source, and the knobs that each block obeys."""
    return [
        {"name": name, "title": kind.title, "source": kind.source, "knobs": list(kind.knobs)}
        for name, kind in blocks.items()
    ]


def result_view(result: BlockResult, asked: "BlockShape") -> dict[str, Any]:
    """Return one result as plain values; ``asked`` is where the sliders stand."""
    return {
        "block": result.setting.block,
        "shape": asdict(asked),
        "label": label(result),
        "exact": result.latency is not None,
        "tiles": _tiles(result),
        "formula": _formula(result),
        "bars": _bars(result),
        "picture": _picture(result),
        "explanation": explain(result),
        "code": study_code(result),
    }


def label(result: BlockResult) -> str:
    """Return the block and its shape in words."""
    shape = result.setting.shape
    channels = f"{shape.in_channels} → {shape.out_channels} channels"
    return f"{result.title}: {channels}, {shape.resolution}×{shape.resolution} pixels"


def change_words(old: "BlockShape", new: "BlockShape") -> str:
    """Return what is different in a new shape, as words for a button."""
    before, after = asdict(old), asdict(new)
    changed = [f"{KNOBS[knob].lower()} {after[knob]}" for knob in KNOBS if before[knob] != after[knob]]
    return f"Use {' and '.join(changed)}"


def study_code(result: BlockResult) -> str:
    """Return Python that computes a result again."""
    shape = asdict(result.setting.shape)
    arguments = ", ".join(f"{knob}={shape[knob]}" for knob in KNOBS)
    return (
        "from course_lib.architectures.blocks.catalogue import BlockShape\n"
        "from course_lib.explore.block_result import BlockSetting\n"
        "from course_lib.explore.blocks import BlockEngine\n\n"
        f"shape = BlockShape({arguments})\n"
        f'result = BlockEngine().measured(BlockSetting("{result.setting.block}", shape))\n'
    )


def _tiles(result: BlockResult) -> dict[str, dict[str, str]]:
    return {
        "macs": {
            "value": _count(result.macs),
            "detail": (
                f"{_ratio(result.macs_ratio)} the standard convolution's {_count(result.standard_macs)}"
            ),
        },
        "params": {
            "value": _count(result.params),
            "detail": (
                f"{_ratio(result.params / result.standard_params)} the standard convolution's "
                f"{_count(result.standard_params)}"
            ),
        },
        "latency": _latency_tile(result),
        "kernels": _kernels_tile(result),
    }


def _latency_tile(result: BlockResult) -> dict[str, str]:
    measured = result.latency
    if measured is None:
        return {"value": "…", "detail": "measuring"}
    noisy = "; a noisy moment" if measured.noise_warning else ""
    if result.is_reference:
        return {"value": f"{measured.p50_ms:.3f} ms", "detail": f"{_spread(measured.p50_interval_ms)}{noisy}"}
    low, high = measured.ratio_interval
    return {
        "value": f"{measured.p50_ms:.3f} ms",
        "detail": (
            f"{_ratio(measured.ratio)} the standard convolution's {measured.standard_p50_ms:.3f} ms "
            f"({significant(low)} to {significant(high)}); median of {measured.runs} runs, "
            f"{_spread(measured.p50_interval_ms)}{noisy}"
        ),
    }


def _kernels_tile(result: BlockResult) -> dict[str, str]:
    measured, intensity = result.latency, result.intensity()
    if measured is None or intensity is None:
        return {"value": "…", "detail": "measuring"}
    return {
        "value": f"{len(measured.kernels)}, {format_bytes(measured.bytes_moved)}",
        "detail": (
            f"{significant(intensity[0])} MACs a byte; standard: {len(measured.standard_kernels)} kernels, "
            f"{format_bytes(measured.standard_bytes_moved)}, {significant(intensity[1])} MACs a byte"
        ),
    }


def _formula(result: BlockResult) -> dict[str, Any]:
    formula, values = result.formula, result.values
    definitions = [
        equation(symbol(name), markup(part), f"<mn>{int(values[name]):,}</mn>")
        for name, part in formula.definitions.items()
    ]
    found = [equation(symbol(name), f"<mn>{int(values[name]):,}</mn>") for name in formula.found]
    return {
        "symbols": in_terms("<mtext>MACs</mtext><mo>=</mo>", formula.main),
        "numbers": in_terms(
            "<mo>=</mo>",
            with_numbers(formula.main, values),
            TIMES,
            f"<mo>=</mo><mn>{result.macs:,}</mn>",
        ),
        "definitions": [*definitions, *found],
    }


def _bars(result: BlockResult) -> list[dict[str, Any]]:
    """Return two pairs of bars; the standard convolution's are 1 long."""
    measured = result.latency
    bars: list[dict[str, Any]] = [
        {
            "name": "MACs",
            "standard": f"{_count(result.standard_macs)}",
            "block": f"{_count(result.macs)}, {_ratio(result.macs_ratio)}",
            "ratio": result.macs_ratio,
            "interval": None,
        },
        {"name": "Latency", "standard": "…", "block": "measuring …", "ratio": None, "interval": None},
    ]
    if measured:
        bars[1] |= {
            "standard": f"{measured.standard_p50_ms:.3f} ms",
            "block": f"{measured.p50_ms:.3f} ms, {_ratio(measured.ratio)}",
            "ratio": measured.ratio,
            "interval": list(measured.ratio_interval),
        }
    return bars


def _picture(result: BlockResult) -> dict[str, Any]:
    times = _times(result.latency)
    layers = [
        {
            **{"name": layer.name, "kind": layer.kind, "title": layer.title},
            **{"column": layer.column, "lane": layer.lane, "channels": layer.channels},
            "lines": [line for line in (layer.detail, layer.after) if line],
            "time": times.get(layer.path, ""),
        }
        for layer in result.picture.layers
    ]
    words = ", then ".join(
        f"{layer.title} {layer.detail} ({layer.channels} channels)".replace("  ", " ")
        for layer in result.picture.layers
    )
    return {
        "layers": layers,
        "edges": [asdict(edge) for edge in result.picture.edges],
        "words": f"Layers of {result.title}: {words}",
    }


def _times(latency: BlockLatency | None) -> dict[str, str]:
    """Return path of a convolution → its measured time in words."""
    if latency is None:
        return {}
    return {kernel.path: _time(kernel.p50_us) for kernel in latency.kernels if kernel.path}


def _time(time_us: float) -> str:
    """Return a kernel's time in words; the profiler counts whole microseconds, and tells no less than one."""
    return "< 1 µs" if time_us < 1 else f"{significant(time_us, 2)} µs"


def _spread(interval: Interval) -> str:
    return f"{interval.low:.3f} to {interval.high:.3f} ms"


def _count(number: int) -> str:
    """Return a large number with a unit: 3.95 M; below 10,000 all its digits."""
    for scale, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if number >= max(scale, 10_000):
            return f"{significant(number / scale)}\N{NO-BREAK SPACE}{unit}"
    return f"{number:,}"


def _ratio(ratio: float) -> str:
    return f"{significant(ratio, 2)}×"
