"""The architecture map's page as plain values: points, budget lines and the shortlist in words.

A network that is not timed yet has a place only where its cost is known from its card.
"""

import csv
import io
import math
from collections.abc import Sequence
from typing import Any

from course_lib.edge.architecture_map import (
    AXES,
    DEVICES,
    HERE,
    MapResult,
    floor_stops,
    limit_stops,
    limits_in_words,
)
from course_lib.explore.architecture_map import MapState
from course_lib.explore.pareto import pareto_frontier
from course_lib.widgets.architecture_details import details_view

CARD_AXES = ("macs", "params")
"""Costs that the cards know before anything is measured."""

TICK_STEPS = ((1, 2, 5), (1, 1.5, 2, 3, 5, 7))
FEWEST_TICKS = 4
LEAST_GAP = 0.12
"""Between two ticks, relative to the axis: their words need the room."""


def axes_view() -> list[list[str]]:
    """Return (name, words) of every cost that the map can show."""
    return [[name, axis.noun] for name, axis in AXES.items()]


def devices_view() -> list[list[str]]:
    """Return (name, words) of every device."""
    return [[name, device.title if device else HERE] for name, device in DEVICES.items()]


def result_view(state: MapState, result: MapResult, selected: str) -> dict[str, Any]:
    """Return one result as plain values; ``selected`` is the network whose details are shown, or none."""
    shown = shown_axis(state, result)
    points = _points(state, result, shown)
    device = result.setting.device_limit if shown == result.setting.axis else math.inf
    # What the device has is to be seen, also where it is far from all networks.
    marks = [point["cost"] for point in points] + ([device] if device < math.inf else [])
    stops = limit_stops(marks)
    selected = selected or _first(state, result)
    return {
        "asked_axis": result.setting.axis,
        "selected": selected,
        "exact": state.finished,
        "progress": _progress(state, result, shown),
        "chart": {
            **_scales(points, stops, shown),
            "name": shown,
            "title": f"{AXES[shown].title} (log scale)",
        },
        "points": points,
        "budget": _budget(result, shown, points, stops, device),
        "chosen": _chosen(result),
        "summary": summary(state, result),
        "impossible": bool(result.chosen and result.chosen.impossible),
        "notes": [*(result.chosen.notes if result.chosen else ()), *state.failed.values()],
        "details": details_view(state, selected),
        "csv": _csv(state, result),
        "code": map_code(result),
    }


def shown_axis(state: MapState, result: MapResult) -> str:
    """Return the cost on the chart: the one asked for, or MACs as long as no network has a value for it."""
    return result.setting.axis if result.networks or result.setting.axis in CARD_AXES else "macs"


def summary(state: MapState, result: MapResult) -> str:
    """Say in one sentence how many networks keep the budget and which is the first."""
    if result.chosen is None:
        return f"{len(state.names)} networks; none is timed yet."
    if result.chosen.impossible:
        return result.chosen.impossible
    words = list(limits_in_words(result.setting.limits).values())
    if result.setting.preset is not None:
        words.append(f"fits {result.setting.preset.title}")
    kept = f"keep the budget ({', '.join(words)})" if words else "are on the map, and there is no budget"
    best = result.chosen.best
    first = f"; the first to try is {best.name}" if best else ""
    return f"{len(result.accepted)} of {len(result.networks)} networks {kept}{first}."


def map_text(state: MapState, result: MapResult | None) -> str:
    """Return the shortlist as a table of text, for pages without widgets."""
    if result is None or result.chosen is None:
        return f"Architecture map: {len(state.names)} networks, none is timed yet."
    return f"{summary(state, result)}\n{result.chosen}"


def map_code(result: MapResult) -> str:
    """Return Python that measures and chooses again."""
    setting = result.setting
    limits = {axis.limit: getattr(setting.limits, axis.limit) for axis in AXES.values()}
    given = [f"{name}={limit:g}" for name, limit in limits.items() if limit < math.inf]
    if setting.limits.accuracy:
        given.append(f"accuracy={setting.limits.accuracy:g}")
    return (
        "from course_lib.edge import DeviceLimits, Task, shortlist\n"
        "from course_lib.edge.architecture_map import DEVICES\n"
        "from course_lib.widgets import ArchitectureMap\n\n"
        "explorer = ArchitectureMap()\n"
        "explorer.wait()\n"
        f"limits = DeviceLimits({', '.join(given)})\n"
        f'chosen = shortlist(explorer.networks, limits, Task(prefer="{setting.prefer}"), '
        f'device=DEVICES["{setting.device}"])\n'
        "print(chosen)\n"
    )


def _first(state: MapState, result: MapResult) -> str:
    """Return the network whose details are shown before one is chosen."""
    best = result.chosen.best if result.chosen else None
    return best.name if best else next(iter(state.figures), "")


def _progress(state: MapState, result: MapResult, shown: str) -> str:
    words = [state.doing] if state.doing else []
    if shown != result.setting.axis:
        words.append(f"Until the first networks are timed, the map shows {AXES[shown].noun}.")
    if state.latencies and state.pending:
        timed = len(state.latencies.results)
        words.append(f"{timed} of {len(state.names)} networks are timed.")
    return " ".join(words)


def _points(state: MapState, result: MapResult, shown: str) -> list[dict[str, Any]]:
    axis = AXES[shown]
    costs = {each.name: axis.of(each) for each in result.networks}
    if shown in CARD_AXES:
        costs = {name: float(getattr(figures, shown)) for name, figures in state.figures.items()} | costs
    names = [name for name in state.names if name in costs]
    front = pareto_frontier([costs[name] for name in names], [state.figures[name].accuracy for name in names])
    verdicts = {each.network.name: each for each in result.chosen.verdicts} if result.chosen else {}
    points = []
    for index, name in enumerate(names):
        figures, verdict = state.figures[name], verdicts.get(name)
        fits = verdict is not None and verdict.rank is not None
        reason = verdict.reason if verdict else "Not timed yet."
        points.append(
            {
                "name": name,
                "cost": costs[name],
                "cost_interval": _latency_interval(state, name) if shown == "latency" else None,
                "accuracy": figures.accuracy,
                "accuracy_interval": [figures.accuracy_low, figures.accuracy_high],
                "state": "fits" if fits else "refused" if verdict else "pending",
                "rank": verdict.rank if verdict else None,
                "front": index in front,
                "words": f"{name}: {figures.accuracy:.2%} right, {axis.text(costs[name])}. {reason}",
            }
        )
    return points


def _latency_interval(state: MapState, name: str) -> list[float] | None:
    return list(state.latencies.results[name].p50_interval_ms) if state.latencies else None


def _scales(points: Sequence[dict[str, Any]], stops: Sequence[float], shown: str) -> dict[str, Any]:
    """Return the ends and the ticks of both axes."""
    low, high = 0.95 * stops[0], 1.05 * stops[-2]
    percent = [100 * end for point in points for end in point["accuracy_interval"]]
    floor, top = math.floor(min(percent) - 0.2), math.ceil(max(percent))
    every = next(step for step in (1, 2, 5, 10, 20) if (top - floor) / step <= 10)
    return {
        "low": low,
        "high": high,
        "ticks": [[value, _tick(shown, value)] for value in _ticks(low, high)],
        "floor": floor / 100,
        "top": top / 100,
        "levels": [[value / 100, f"{value} %"] for value in range(floor, top + 1) if value % every == 0],
    }


def _ticks(low: float, high: float) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in TICK_STEPS:
        numbers = [step * 10.0**decade for decade in decades for step in steps]
        found = [float(f"{number:.2g}") for number in numbers if low <= number <= high]
        if len(found) >= FEWEST_TICKS:
            break
    apart = (high / low) ** LEAST_GAP
    kept = found[:1]
    for tick in found[1:]:
        if tick >= kept[-1] * apart:
            kept.append(tick)
    return kept


def _tick(shown: str, value: float) -> str:
    units = ("", " k", " M", " G") if shown in CARD_AXES else (" B", " kB", " MB", " GB")
    if shown == "latency":
        return f"{value:g}"
    step = min(int(math.log10(value) / 3 + 1e-9), len(units) - 1)
    return f"{value / 1000**step:g}{units[step]}"


def _budget(
    result: MapResult,
    shown: str,
    points: Sequence[dict[str, Any]],
    stops: Sequence[float],
    device: float,
) -> dict[str, Any]:
    """Return both lines: where they may stand and where they do, in numbers and in words."""
    axis, setting = AXES[shown], result.setting
    limit = getattr(setting.limits, axis.limit)
    accuracies = [point["accuracy"] for point in points]
    floors = floor_stops(min(accuracies), max(accuracies))
    unchecked = "" if setting.is_checked else f", not checked: unknown for {setting.device}"
    return {
        "cost": {
            "name": f"Budget: most {axis.noun}",
            "value": None if limit == math.inf else limit,
            "words": _limit_words(axis.text, limit) + (unchecked if limit < math.inf else ""),
            "stops": [[None if stop == math.inf else stop, _limit_words(axis.text, stop)] for stop in stops],
        },
        "accuracy": {
            "name": "Budget: least accuracy",
            "value": setting.limits.accuracy or None,
            "words": _floor_words(setting.limits.accuracy),
            "stops": [[stop or None, _floor_words(stop)] for stop in floors],
        },
        "device": None
        if device == math.inf
        else {"value": device, "words": f"the device has {axis.text(device)}"},
        "all": [[name, words] for name, words in limits_in_words(setting.limits).items()],
    }


def _limit_words(text: Any, limit: float) -> str:
    return "no limit" if limit == math.inf else f"at most {text(limit)}"


def _floor_words(floor: float) -> str:
    return f"at least {floor:.1%}" if floor else "no floor"


def _chosen(result: MapResult) -> list[dict[str, Any]]:
    if result.chosen is None:
        return []
    return [
        {"name": each.network.name, "rank": each.rank, "reason": each.reason}
        for each in result.chosen.verdicts
    ]


def _csv(state: MapState, result: MapResult) -> str:
    """Return the shortlist with all figures as comma-separated values."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    head = ("network", "rank", "accuracy", "accuracy_low", "accuracy_high", "p50_ms", "p50_low_ms")
    more = ("p50_high_ms", "macs", "params", "peak_activation_bytes", "size_bytes", "reason")
    writer.writerow((*head, *more))
    for each in result.chosen.verdicts if result.chosen else ():
        network, low_high = each.network, _latency_interval(state, each.network.name) or ()
        writer.writerow(
            (
                *(network.name, each.rank or "refused", network.accuracy, network.accuracy_low),
                *(network.accuracy_high, network.p50_ms, *low_high, network.macs, network.params),
                *(network.peak_activation_bytes, network.size_bytes, each.reason),
            )
        )
    return file.getvalue()
