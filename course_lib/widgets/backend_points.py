"""The backend board's chart as plain values: a cost against the worst difference, on logarithmic scales."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

from course_lib.explore.backend_cell import FIGURES, BoardSetting, Cell, CellResult, difference_text

MANTISSAS = (1, 2, 5)
MARGIN = 1.15
LEAST_DECADES = 3
"""Of the differences, so that 1e-6 and 2e-6 do not look far apart."""


def chart_view(setting: BoardSetting, results: Sequence[CellResult], key_of: Any) -> dict[str, Any]:
    """Return ends, ticks and points; a cell has a point if it ran and its difference is a number.

    A difference of exactly 0 has no place on such a scale; its point lies on the lower edge (None).
    """
    figure = FIGURES[setting.axis]
    shown = [
        (result, cost)
        for result in results
        if (cost := figure.of(result)) is not None and _is_number(result.max_absolute)
    ]
    costs = [cost for _, cost in shown] or [0.1, 10.0]
    worst = [result.max_absolute for result, _ in shown if result.max_absolute]
    low, high = min(costs) / MARGIN, max(costs) * MARGIN
    least, most = _decades(worst)
    return {
        "title": f"{figure.title} (log scale)",
        "empty": "" if shown else "Nothing that could be compared with the original has run here yet.",
        "low": low,
        "high": high,
        "ticks": [[value, _tick_text(setting.axis, value)] for value in ticks(low, high)],
        "floor": 10.0**least,
        "top": 10.0**most,
        "levels": [[10.0**power, f"1e{power}"] for power in range(least, most + 1)],
        "points": [
            {
                "key": key_of(result.cell),
                "cost": cost,
                "difference": result.max_absolute or None,
                "precision": result.cell.precision,
                "name": _name(result.cell, setting),
                "words": _words(result, cost, setting),
            }
            for result, cost in shown
        ],
    }


def ticks(low: float, high: float) -> list[float]:
    """Return the numbers 1, 2 and 5 times powers of ten between two numbers above 0.

    Where those are fewer than three, all numbers of one digit, and else of two digits.
    """
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for mantissas in (MANTISSAS, range(1, 10), [step / 10 for step in range(10, 100)]):
        found = [
            value for decade in decades for step in mantissas if low <= (value := step * 10.0**decade) <= high
        ]
        if len(found) >= 3:
            break
    every = max(1, math.ceil(len(found) / 8))
    return [float(f"{value:.2g}") for value in found[::every]]


def _decades(differences: Iterable[float]) -> tuple[int, int]:
    powers = [math.log10(value) for value in differences] or [-6.0]
    least, most = math.floor(min(powers)), math.ceil(max(powers) + 0.05)
    return min(least, most - LEAST_DECADES), most


def _is_number(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _tick_text(axis: str, value: float) -> str:
    return FIGURES[axis].text(value) if axis == "size" else f"{value:g}"


def _name(cell: Cell, setting: BoardSetting) -> str:
    return f"{cell.target}, {cell.model}" if len(setting.models) > 1 else cell.target


def _words(result: CellResult, cost: float, setting: BoardSetting) -> str:
    difference = difference_text(result.max_absolute or 0)
    return f"{result.cell}: {FIGURES[setting.axis].text(cost)}, worst difference {difference}"
