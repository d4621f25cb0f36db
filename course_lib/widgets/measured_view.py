"""A measured result as a page shows it: every number already in words, every list ready to draw.

The page does no arithmetic on results; text, charts and table all read what is made here from one object.
"""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import asdict, astuple
from typing import Any

from course_lib.benchmarking import format_bytes
from course_lib.explore.pareto import pareto_frontier
from course_lib.explore.result import MeasuredResult

CSV_COLUMNS = (
    *("accuracy", "accuracy_low", "accuracy_high", "images", "exact"),
    *("p50_ms", "dense_p50_ms", "latency_ratio", "size_bytes", "sqnr_db"),
)

Result = MeasuredResult[Any]


def measured_view(result: Result, *, size_detail: str, sqnr_detail: str) -> dict[str, Any]:
    """Return what every explorer over a model shows of a result, as plain values.

    ``size_detail`` is put behind the ratio of the sizes, ``sqnr_detail`` below the noise ratio.
    """
    tiles = _tiles(result)
    tiles["size"]["detail"] += f"; {size_detail}"
    if not math.isinf(result.sqnr_db):
        tiles["sqnr"]["detail"] = sqnr_detail
    return {
        "model": result.model,
        "setting": asdict(result.setting),
        "label": result.label,
        "exact": result.accuracy.exact,
        "progress": result.accuracy.seen / result.accuracy.total,
        "tiles": tiles,
        "dense_size_bytes": result.dense_size_bytes,
        "point": _point(result),
    }


def visited_view(results: Sequence[Result]) -> list[dict[str, Any]]:
    """Return all visited settings of one model as points, those on the Pareto frontier marked.

    Only exact accuracies make the frontier: an estimate could be on it by luck.
    """
    exact = [result for result in results if result.accuracy.exact]
    best = pareto_frontier([r.size_bytes for r in exact], [r.accuracy.value for r in exact])
    frontier = {exact[index].setting for index in best}
    return [_point(result) | {"frontier": result.setting in frontier} for result in results]


def visited_csv(results: Sequence[Result]) -> str:
    """Return the visited settings as CSV with full precision; empty where nothing was measured.

    A setting with a number for each layer has them in one column, with blanks between. What one explorer
    counts beside the common columns comes last; where nothing was counted, the field is empty.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    fields = list(asdict(results[0].setting)) if results else []
    counted = results[0].counts if results else ()
    writer.writerow(("model", *fields, *CSV_COLUMNS, *counted))
    for result in results:
        a, latency = result.accuracy, result.latency
        timing = (latency.p50_ms, latency.dense_p50_ms, latency.ratio) if latency else ("", "", "")
        setting = (
            " ".join(map(str, value)) if isinstance(value, tuple) else value
            for value in astuple(result.setting)
        )
        writer.writerow(
            (
                *(result.model, *setting),
                *(a.value, a.low, a.high, a.seen, a.exact),
                *(*timing, result.size_bytes, result.sqnr_db),
                *result.counts.values(),
            )
        )
    return buffer.getvalue()


def engine_code(engine: str, source: str | None, names: str, use: str) -> str:
    """Return Python that makes an engine and uses it.

    Parameters
    ----------
    engine
        Name of its class.
    source
        The model's source as a Python literal, or None where only the student's notebook has it.
    names
        What is imported beside the engine, as in an import statement.
    use
        The lines that follow.
    """
    imported = ", ".join(sorted(filter(None, (engine, names))))
    importing = f"from course_lib.explore import {imported}\n\n"
    if source is None:
        return f"{importing}engine = {engine}(model, dataset)  # your own model and images\n{use}"
    return (
        "from course_lib.data import load_dataset\n"
        f'{importing}engine = {engine}({source}, load_dataset("fashion-mnist"))\n{use}'
    )


def decibels(db: float) -> str:
    """Return a ratio in decibels as text."""
    return "∞ dB" if math.isinf(db) else f"{db:.1f} dB"


def _tiles(result: Result) -> dict[str, dict[str, str]]:
    ratio = result.dense_size_bytes / result.size_bytes
    smaller = f"{ratio:.1f}× smaller than {format_bytes(result.dense_size_bytes)}"
    if result.setting.dense:
        smaller = f"that of the {result.unchanged}"
    return {
        "accuracy": _accuracy_tile(result),
        "latency": _latency_tile(result),
        "size": {"value": format_bytes(result.size_bytes), "detail": smaller},
        "sqnr": {"value": decibels(result.sqnr_db), "detail": "no weight is changed"},
    }


def _point(result: Result) -> dict[str, Any]:
    return {
        "setting": asdict(result.setting),
        "label": result.label,
        "size_bytes": result.size_bytes,
        "accuracy": result.accuracy.value,
        "low": result.accuracy.low,
        "high": result.accuracy.high,
        "exact": result.accuracy.exact,
        "cells": [tile["value"] for tile in _tiles(result).values()],
    }


def _accuracy_tile(result: Result) -> dict[str, str]:
    a = result.accuracy
    change = 100 * (a.value - result.baseline_accuracy)
    against = (
        f"{change:+.2f} points against the {result.unchanged}"
        if not result.setting.dense
        else result.unchanged
    )
    if a.exact:
        return {"value": f"{a.value:.2%}", "detail": f"exact, all {a.total:,} images; {against}"}
    detail = f"95 % interval {a.low:.1%} to {a.high:.1%} from {a.seen:,} of {a.total:,} images"
    if a.low == 0 or a.high == 1:
        return {"value": f"{a.low:.1%} – {a.high:.1%}", "detail": detail}
    return {"value": f"{a.value:.1%} ± {50 * (a.high - a.low):.1f}", "detail": detail}


def _latency_tile(result: Result) -> dict[str, str]:
    measured = result.latency
    if measured is None:
        return {"value": "…", "detail": "measuring"}
    low, high = measured.ratio_interval
    spread = measured.p50_interval_ms
    detail = (
        f"{measured.ratio:.2f}× the {result.unchanged} ({low:.2f} to {high:.2f}); "
        f"median of {measured.runs} runs, {spread.low:.3f} to {spread.high:.3f} ms"
    )
    noisy = " – a noisy moment" if measured.noise_warning else ""
    return {"value": f"{measured.p50_ms:.3f} ms", "detail": detail + noisy}
