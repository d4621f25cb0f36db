"""A compression result as the page shows it: every number already in words, every list ready to draw.

The page does no arithmetic on results; text, charts and table all read what is made here from one object.
"""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from course_lib.benchmarking import format_bytes
from course_lib.explore.pareto import pareto_frontier
from course_lib.explore.result import CompressionResult
from course_lib.explore.setting import CompressionSetting

CSV_COLUMNS = (
    *("model", "sparsity", "bits", "symmetric", "per_channel"),
    *("accuracy", "accuracy_low", "accuracy_high", "images", "exact"),
    *("p50_ms", "dense_p50_ms", "latency_ratio", "size_bytes", "sqnr_db"),
)


def result_view(result: CompressionResult, class_names: Sequence[str], source: str | None) -> dict[str, Any]:
    """Return one result as plain values: tiles of text, the histogram, the classes, a point, and code.

    ``source`` is the model's source as a Python literal, or None where only the student's notebook has it.
    """
    accuracy, setting = result.accuracy, result.setting
    return {
        "model": result.model,
        "setting": asdict(setting),
        "label": setting.label,
        "exact": accuracy.exact,
        "progress": accuracy.seen / accuracy.total,
        "tiles": {
            "accuracy": _accuracy_tile(result),
            "latency": _latency_tile(result),
            "size": _size_tile(result),
            "sqnr": _sqnr_tile(result),
        },
        "note": result.latency_note,
        "dense_size_bytes": result.dense_size_bytes,
        "histogram": asdict(result.histogram) | {"summary": _histogram_summary(result)},
        "classes": [
            {"name": name, "value": value or 0.0, "text": "no images" if value is None else f"{value:.1%}"}
            for name, value in zip(class_names, result.class_accuracy or (), strict=False)
        ],
        "point": _point(result),
        "code": setting_code(result.setting, source),
    }


def visited_view(results: Sequence[CompressionResult]) -> list[dict[str, Any]]:
    """Return all visited settings of one model as points, those on the Pareto frontier marked.

    Only exact accuracies make the frontier: an estimate could be on it by luck.
    """
    exact = [result for result in results if result.accuracy.exact]
    best = pareto_frontier([r.size_bytes for r in exact], [r.accuracy.value for r in exact])
    frontier = {exact[index].setting for index in best}
    return [_point(result) | {"frontier": result.setting in frontier} for result in results]


def setting_code(s: CompressionSetting, source: str | None) -> str:
    """Return Python that computes a setting again."""
    setting = (
        f"setting = CompressionSetting(sparsity={s.sparsity}, bits={s.bits}, "
        f"symmetric={s.symmetric}, per_channel={s.per_channel})\n"
        "result = engine.exact(setting)\n"
    )
    if source is None:
        return (
            "from course_lib.explore import CompressionEngine, CompressionSetting\n\n"
            "engine = CompressionEngine(model, dataset)  # your own model and images\n" + setting
        )
    return (
        "from course_lib.data import load_dataset\n"
        "from course_lib.explore import CompressionEngine, CompressionSetting\n\n"
        f'engine = CompressionEngine({source}, load_dataset("fashion-mnist"))\n' + setting
    )


def visited_csv(results: Sequence[CompressionResult]) -> str:
    """Return the visited settings as CSV with full precision; empty where nothing was measured."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for result in results:
        s, a, latency = result.setting, result.accuracy, result.latency
        timing = (latency.p50_ms, latency.dense_p50_ms, latency.ratio) if latency else ("", "", "")
        writer.writerow(
            (
                *(result.model, s.sparsity, s.bits, s.symmetric, s.per_channel),
                *(a.value, a.low, a.high, a.seen, a.exact),
                *(*timing, result.size_bytes, result.sqnr_db),
            )
        )
    return buffer.getvalue()


def _point(result: CompressionResult) -> dict[str, Any]:
    tiles = (_accuracy_tile(result), _latency_tile(result), _size_tile(result), _sqnr_tile(result))
    return {
        "setting": asdict(result.setting),
        "label": result.setting.label,
        "size_bytes": result.size_bytes,
        "accuracy": result.accuracy.value,
        "low": result.accuracy.low,
        "high": result.accuracy.high,
        "exact": result.accuracy.exact,
        "cells": [tile["value"] for tile in tiles],
    }


def _accuracy_tile(result: CompressionResult) -> dict[str, str]:
    a = result.accuracy
    change = 100 * (a.value - result.baseline_accuracy)
    against = f"{change:+.2f} points against the dense model" if not result.setting.dense else "dense model"
    if a.exact:
        return {"value": f"{a.value:.2%}", "detail": f"exact, all {a.total:,} images; {against}"}
    detail = f"95 % interval {a.low:.1%} to {a.high:.1%} from {a.seen:,} of {a.total:,} images"
    if a.low == 0 or a.high == 1:
        return {"value": f"{a.low:.1%} – {a.high:.1%}", "detail": detail}
    return {"value": f"{a.value:.1%} ± {50 * (a.high - a.low):.1f}", "detail": detail}


def _latency_tile(result: CompressionResult) -> dict[str, str]:
    measured = result.latency
    if measured is None:
        return {"value": "…", "detail": "measuring"}
    low, high = measured.ratio_interval
    spread = measured.p50_interval_ms
    detail = (
        f"{measured.ratio:.2f}× the dense model ({low:.2f} to {high:.2f}); "
        f"median of {measured.runs} runs, {spread.low:.3f} to {spread.high:.3f} ms"
    )
    noisy = " – a noisy moment" if measured.noise_warning else ""
    return {"value": f"{measured.p50_ms:.3f} ms", "detail": detail + noisy}


def _size_tile(result: CompressionResult) -> dict[str, str]:
    ratio = result.dense_size_bytes / result.size_bytes
    detail = f"{ratio:.1f}× smaller than {format_bytes(result.dense_size_bytes)}; {result.sparsity:.0%} zeros"
    return {"value": format_bytes(result.size_bytes), "detail": detail}


def _sqnr_tile(result: CompressionResult) -> dict[str, str]:
    if math.isinf(result.sqnr_db):
        return {"value": "∞ dB", "detail": "the weights are unchanged"}
    return {"value": f"{result.sqnr_db:.1f} dB", "detail": "weights against the error made in them"}


def _histogram_summary(result: CompressionResult) -> str:
    h = result.histogram
    kept = sum(h.counts)
    grid = f"; {len(h.grid)} grid values of {h.grid_scope} in view" if h.grid else ""
    return f"{h.layer}: {kept:,} weights, and {h.zeros:,} that are zero{grid}"
