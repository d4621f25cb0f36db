"""A compression result as the page shows it: measured numbers, the histogram, the classes, and code."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from course_lib.explore.result import CompressionResult
from course_lib.explore.setting import CompressionSetting
from course_lib.widgets.measured_view import engine_code, measured_view


def result_view(result: CompressionResult, class_names: Sequence[str], source: str | None) -> dict[str, Any]:
    """Return one result as plain values: tiles of text, the histogram, the classes, a point, and code.

    ``source`` is the model's source as a Python literal, or None where only the student's notebook has it.
    """
    shared = measured_view(
        result,
        size_detail=f"{result.sparsity:.0%} zeros",
        sqnr_detail="weights against the error made in them",
    )
    return shared | {
        "note": result.latency_note,
        "histogram": asdict(result.histogram) | {"summary": _histogram_summary(result)},
        "classes": [
            {"name": name, "value": value or 0.0, "text": "no images" if value is None else f"{value:.1%}"}
            for name, value in zip(class_names, result.class_accuracy or (), strict=False)
        ],
        "code": setting_code(result.setting, source),
    }


def setting_code(s: CompressionSetting, source: str | None) -> str:
    """Return Python that computes a setting again."""
    use = (
        f"setting = CompressionSetting(sparsity={s.sparsity}, bits={s.bits}, "
        f"symmetric={s.symmetric}, per_channel={s.per_channel})\n"
        "result = engine.exact(setting)\n"
    )
    return engine_code("CompressionEngine", source, "CompressionSetting", use)


def _histogram_summary(result: CompressionResult) -> str:
    h = result.histogram
    kept = sum(h.counts)
    grid = f"; {len(h.grid)} grid values of {h.grid_scope} in view" if h.grid else ""
    return f"{h.layer}: {kept:,} weights, and {h.zeros:,} that are zero{grid}"
