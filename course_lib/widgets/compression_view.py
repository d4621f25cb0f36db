"""A compression result as the page shows it: measured numbers, the histogram, the classes, and code."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from course_lib.explore.result import ChannelsLeft, CompressionResult, MeasuredLatency
from course_lib.explore.setting import IMPORTANCES, CompressionSetting
from course_lib.widgets.measured_view import engine_code, measured_view


def result_view(result: CompressionResult, class_names: Sequence[str], source: str | None) -> dict[str, Any]:
    """Return one result as plain values: tiles of text, the histogram, the classes, a point, and code.

    ``source`` is the model's source as a Python literal, or None where only the student's notebook has it.
    """
    left = result.channels is not None
    shared = measured_view(
        result,
        size_detail=f"{result.sparsity:.0%} zeros" + (" in what is left" if left else ""),
        sqnr_detail=f"weights {'that are left ' if left else ''}against the error made in them",
    )
    return shared | {
        "channels": channels_tile(result),
        "note": result.latency_note,
        "histogram": asdict(result.histogram) | {"summary": _histogram_summary(result)},
        "classes": [
            {"name": name, "value": value or 0.0, "text": "no images" if value is None else f"{value:.1%}"}
            for name, value in zip(class_names, result.class_accuracy or (), strict=False)
        ],
        "code": setting_code(result.setting, source),
    }


def channels_tile(result: CompressionResult) -> dict[str, str]:
    """Return how many channels are left, and what that does to the work and to the measured latency."""
    if result.channels is None:
        return {"value": "all", "detail": "none removed: as many MACs as before"}
    left, words = result.channels, IMPORTANCES[result.setting.importance]
    ranked = "chosen at random" if result.setting.importance == "random" else f"ranked by {words}"
    return {
        "value": f"{left.kept} of {left.total}",
        "detail": f"{gain_words(left, result.latency)}; {ranked}",
    }


def gain_words(left: ChannelsLeft, latency: MeasuredLatency | None) -> str:
    """Return the ratio of the MACs beside that of the measured latencies."""
    work = f"{left.dense_macs / left.macs:.1f}× fewer MACs"
    if latency is None:
        return f"{work}, measuring"
    if latency.ratio_interval.low <= 1 <= latency.ratio_interval.high:
        return f"{work}, not measurably faster"
    ratio = latency.ratio
    return f"{work}, {1 / ratio:.1f}× faster" if ratio < 1 else f"{work}, but {ratio:.1f}× slower"


def setting_code(s: CompressionSetting, source: str | None) -> str:
    """Return Python that computes a setting again."""
    ranked = f"pruning_ratio={s.pruning_ratio}, importance={s.importance!r}, multiple_of={s.multiple_of}"
    channels = f", {ranked}" if s.pruning_ratio else ""
    use = (
        f"setting = CompressionSetting(sparsity={s.sparsity}, bits={s.bits}, "
        f"symmetric={s.symmetric}, per_channel={s.per_channel}{channels})\n"
        "result = engine.exact(setting)\n"
    )
    return engine_code("CompressionEngine", source, "CompressionSetting", use)


def _histogram_summary(result: CompressionResult) -> str:
    h = result.histogram
    kept = sum(h.counts)
    grid = f"; {len(h.grid)} grid values of {h.grid_scope} in view" if h.grid else ""
    return f"{h.layer}: {kept:,} weights, and {h.zeros:,} that are zero{grid}"
