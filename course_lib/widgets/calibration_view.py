"""A calibration result as the page shows it: every number already in words, every list ready to draw."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from course_lib.benchmarking.number_text import significant
from course_lib.explore.calibration_result import CalibrationResult, RangeFigures
from course_lib.explore.estimate import AccuracyEstimate
from course_lib.quantization import OBSERVERS

NAMES = {
    "minmax": "min-max",
    "moving_average": "moving average",
    "percentile": "percentile 99.99",
    "mse": "MSE",
    "entropy": "KL entropy",
}
"""How the page calls the observers."""


def observer_choices() -> list[list[str]]:
    """Return pairs of (name, name on the page) of all observers."""
    return [[name, NAMES.get(name, name)] for name in OBSERVERS]


def result_view(result: CalibrationResult, tensors: Sequence[str], source: str | None) -> dict[str, Any]:
    """Return a result as plain values: tiles of text, what the charts draw, rows of a table, and code.

    ``tensors`` are all activations of the model; ``source`` is the model's source as a Python literal, or
    None where only the student's notebook has it.
    """
    accuracy = result.accuracy
    return {
        "model": result.model,
        "tensor": result.tensor,
        "tensors": list(tensors),
        "label": _label(result),
        "exact": result.exact,
        "progress": accuracy.seen / accuracy.total if accuracy else 0.0,
        "tiles": {
            "sqnr": _sqnr_tile(result),
            "clipping": _clipping_tile(result.figures),
            "rounding": _rounding_tile(result.figures),
            "range": _range_tile(result),
            "accuracy": _accuracy_tile(result),
        },
        "note": _note(result),
        "histogram": asdict(result.histogram) | {"summary": _histogram_summary(result)},
        "grid": {
            "low": result.figures.low,
            "high": result.figures.high,
            "levels": list(result.levels),
        },
        "rows": [_row(result, observer) for observer in OBSERVERS],
        "ranges": [
            asdict(at) | {"text": f"{at.images:,} images: {_from_to(at.low, at.high)}"}
            for at in result.by_images
        ],
        "ranges_summary": _ranges_summary(result),
        "observers_summary": _observers_summary(result),
        "stops": list(result.stops),
        "images": result.setting.images,
        "code": _code(result, source),
    }


def _label(result: CalibrationResult) -> str:
    s = result.setting
    kind = "symmetric" if s.symmetric else "asymmetric"
    return (
        f"{result.model}, activation {result.tensor}: {NAMES.get(s.observer, s.observer)}, "
        f"{s.bits} bits {kind}, calibrated on {s.images:,} images"
    )


def _sqnr_tile(result: CalibrationResult) -> dict[str, str]:
    values = f"measured on {result.figures.values:,} values of images that did not calibrate"
    return {"value": _decibels(result.figures.sqnr_db), "detail": values}


def _clipping_tile(figures: RangeFigures) -> dict[str, str]:
    if not figures.clipped:
        return {"value": "none", "detail": f"all {figures.values:,} values lie inside the range"}
    share = figures.clipped / figures.values
    values = "value" if figures.clipped == 1 else "values"
    return {
        "value": _decibels(figures.clipping_db),
        "detail": f"against the signal; {figures.clipped:,} {values} clipped ({share:.3%})",
    }


def _rounding_tile(figures: RangeFigures) -> dict[str, str]:
    value = "none" if figures.rounding_db == -math.inf else _decibels(figures.rounding_db)
    return {"value": value, "detail": f"against the signal; the step S is {significant(figures.scale)}"}


def _range_tile(result: CalibrationResult) -> dict[str, str]:
    h = result.histogram
    seen = f"calibration images reach from {_number(h.lowest)} to {_number(h.highest)}"
    return {"value": _from_to(result.figures.low, result.figures.high), "detail": seen}


def _accuracy_tile(result: CalibrationResult) -> dict[str, str]:
    a, baseline = result.accuracy, f"{result.baseline_accuracy:.2%} in floating point"
    if a is None:
        return {"value": "…", "detail": f"of the whole model; {baseline}"}
    if a.exact:
        change = 100 * (a.value - result.baseline_accuracy)
        against = f"{change:+.2f} points against {baseline}".replace("-", "−")
        return {"value": f"{a.value:.2%}", "detail": f"exact, all {a.total:,} images; {against}"}
    interval = f"95 % interval {a.low:.1%} to {a.high:.1%} from {a.seen:,} of {a.total:,} images"
    return {"value": _estimate(a), "detail": interval}


def _estimate(a: AccuracyEstimate) -> str:
    if a.exact:
        return f"{a.value:.2%}"
    if a.low == 0 or a.high == 1:
        return f"{a.low:.1%} – {a.high:.1%}"
    return f"{a.value:.1%} ± {50 * (a.high - a.low):.1f}"


def _note(result: CalibrationResult) -> str:
    """Return one sentence on what makes the noise, and on how far the best observer is."""
    f = result.figures
    if math.isinf(f.sqnr_db):
        return "Every held-out value lies exactly on the grid, so that there is no noise to speak of."
    clipping = 10 ** ((f.clipping_db + f.sqnr_db) / 10)
    what = f"Of the noise, {clipping:.0%} comes from clipping and {1 - clipping:.0%} from rounding"
    best = result.best_observer
    if best is None:
        return f"{what}."
    (found,) = [figures for figures in result.observers if figures.observer == best]
    if found.sqnr_db - f.sqnr_db < 0.05:
        return f"{what}. No other observer finds a better range for this activation."
    gain = f"{found.sqnr_db - f.sqnr_db:.1f} dB"
    return (
        f"{what}. {_capital(NAMES.get(best, best))} finds a range that is {gain} better for this activation."
    )


def _row(result: CalibrationResult, observer: str) -> dict[str, Any]:
    here = observer == result.setting.observer
    known = {figures.observer: figures for figures in result.observers}.get(observer)
    accuracy = result.accuracy if here else result.accuracies.get(observer)
    cells = ["…"] * 4
    if known:
        clipping, rounding = _clipping_tile(known)["value"], _rounding_tile(known)["value"]
        cells = [_from_to(known.low, known.high), clipping, rounding, _decibels(known.sqnr_db)]
    unknown = "…" if here else "not measured yet"
    return {
        "observer": observer,
        "name": NAMES.get(observer, observer),
        "db": known.sqnr_db if known and math.isfinite(known.sqnr_db) else None,
        "here": here,
        "best": observer == result.best_observer,
        "cells": [*cells, _estimate(accuracy) if accuracy else unknown],
    }


def _histogram_summary(result: CalibrationResult) -> str:
    h = result.histogram
    grid = f"lines: the {len(result.levels)} values of the grid; " if result.levels else ""
    ends = _from_to(result.figures.low, result.figures.high)
    return (
        f"{h.total:,} values of {result.setting.images:,} calibration images, {h.zeros / h.total:.0%} "
        f"of them exactly 0; {grid}shaded: what the range {ends} clips. "
        "Each line across is ten times as many values."
    )


def _ranges_summary(result: CalibrationResult) -> str:
    name = NAMES.get(result.setting.observer, result.setting.observer)
    if len(result.by_images) < len(result.stops):
        return f"The range that {name} finds, at every number of images …"
    first, last = result.by_images[0], result.by_images[-1]
    return (
        f"The range that {name} finds: {_from_to(first.low, first.high)} after {first.images:,} images, "
        f"{_from_to(last.low, last.high)} after {last.images:,}"
    )


def _observers_summary(result: CalibrationResult) -> str:
    known = ", ".join(
        f"{NAMES.get(figures.observer, figures.observer)} {_decibels(figures.sqnr_db)}"
        for figures in result.observers
    )
    return f"SQNR of this activation on images that did not calibrate: {known}"


def _code(result: CalibrationResult, source: str | None) -> str:
    s = result.setting
    setting = (
        f"setting = CalibrationSetting(\n    observer={s.observer!r}, bits={s.bits}, "
        f"symmetric={s.symmetric}, images={s.images}\n)\nresult = engine.exact(setting, {result.tensor!r})\n"
    )
    if source is None:
        return (
            "from course_lib.explore import CalibrationEngine, CalibrationSetting\n\n"
            "engine = CalibrationEngine(model, dataset, calibration)  # your own model and images\n" + setting
        )
    return (
        "from course_lib.data import load_dataset\n"
        "from course_lib.explore import CalibrationEngine, CalibrationSetting\n\n"
        'test, training = load_dataset("fashion-mnist"), load_dataset("fashion-mnist", "train")\n'
        f"engine = CalibrationEngine({source}, test, training)\n" + setting
    )


def _decibels(db: float) -> str:
    return "∞ dB" if db == math.inf else f"{db:.1f} dB".replace("-", "−")


def _number(value: float) -> str:
    return significant(value).replace("-", "−") if value else "0"


def _from_to(low: float, high: float) -> str:
    return f"{_number(low)} to {_number(high)}"


def _capital(words: str) -> str:
    return words[0].upper() + words[1:]
