"""Charts of weeks 7 and 8: operators at each level, memory of a session, and a model on every target."""

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Literal

from course_lib.benchmarking.number_text import format_bytes, significant
from course_lib.pipelines.compile_report import CompiledCell, CompileReport
from course_lib.runtimes.compilation import PRECISIONS, Precision
from course_lib.runtimes.session_memory import SessionMemory
from course_lib.widgets.chart import BLUE, GREEN, ORANGE, PALE, WIDE, Chart, Size, panels

COLOURS = (BLUE, ORANGE, GREEN, "#7c3aed", "#0e7490", "#a16207", "#be185d")
PRECISION_COLOURS: dict[Precision, str] = dict(zip(PRECISIONS, (BLUE, GREEN, ORANGE), strict=True))
MARKERS: dict[Precision, str] = dict(zip(PRECISIONS, "os^", strict=True))

Figure = Literal["size", "parity", "build"]
"""What `cells_chart` draws of each cell."""

AXES: dict[Figure, tuple[str, str]] = {
    "size": ("kB of all its files", "File size"),
    "parity": ("worst difference from the original", "Worst difference"),
    "build": ("seconds to build", "Seconds to build"),
}
"""The label of the axis, and how the sentence about the chart begins."""

EQUAL = 1e-9
"""Outputs that are equal bit for bit are drawn here, because a logarithmic axis has no 0."""


def operators_chart(counts: Mapping[str, Sequence[int]], columns: Sequence[str], size: Size = WIDE) -> Chart:
    """Draw how many operators of each kind there are in several versions of a graph, a bar each.

    Parameters
    ----------
    counts
        Operator → its number in each version; see `LevelReport.operator_counts`.
    columns
        The names of the versions.
    """
    figure, (axes,) = panels(1, size)
    common = sorted(counts, key=lambda kind: -max(counts[kind]))
    own, rest = common[: len(COLOURS)], common[len(COLOURS) :]
    drawn = {kind: list(counts[kind]) for kind in own}
    if rest:
        drawn["others"] = [sum(counts[kind][place] for kind in rest) for place in range(len(columns))]
    left = [0] * len(columns)
    for (kind, numbers), colour in zip(drawn.items(), (*COLOURS, PALE), strict=False):
        axes.barh(range(len(columns)), numbers, left=left, color=colour, edgecolor="white", label=kind)
        left = [before + more for before, more in zip(left, numbers, strict=True)]
    for row, total in enumerate(left):
        axes.annotate(str(total), (total, row), (5, 0), textcoords="offset points", va="center")
    axes.set(xlabel="operators", ylim=(len(columns) - 0.5, -0.5))
    axes.set_yticks(range(len(columns)), columns)
    axes.margins(x=0.1)
    figure.legend(loc="outside upper center", fontsize="small", ncols=2)
    totals = ", ".join(f"{name} {total}" for name, total in zip(columns, left, strict=True))
    return Chart(figure, f"Number of operators: {totals}.")


def session_memory_chart(memory: SessionMemory, size: Size = WIDE) -> Chart:
    """Draw for each setting the most memory at any moment, and what is held between runs."""
    figure, (axes,) = panels(1, size)
    names = list(memory.results)
    peaks = [memory.results[name].peak_memory_bytes for name in names]
    held = [memory.results[name].held_bytes[-1] for name in names]
    for row, (most, kept) in enumerate(zip(peaks, held, strict=True)):
        axes.plot((kept / 1e6, most / 1e6), (row, row), color=PALE, linewidth=6, zorder=1)
    axes.plot([value / 1e6 for value in peaks], range(len(names)), "o", color=ORANGE, label="peak")
    axes.plot([value / 1e6 for value in held], range(len(names)), "s", color=BLUE, label="held between runs")
    axes.set(xlabel="MB above what the process held before", ylim=(len(names) - 0.5, -0.5), xlim=(0, None))
    axes.set_yticks(range(len(names)), [textwrap.fill(name, 18) for name in names])
    figure.legend(loc="outside upper right", fontsize="small", ncols=2)
    said = "; ".join(
        f"{name} {format_bytes(most)} and {format_bytes(kept)}"
        for name, most, kept in zip(names, peaks, held, strict=True)
    )
    return Chart(figure, f"Peak, and held between runs: {said}.")


def cells_chart(report: CompileReport, drawn: Figure, size: Size = WIDE) -> Chart:
    """Draw one figure of all cells of a compilation table, a row a target and a mark a precision.

    Cells without this figure, such as the parity of what cannot run here, are left out.
    """
    figure, (axes,) = panels(1, size)
    known = [cell for cell in report.cells if _value(cell, drawn) is not None]
    targets = list(dict.fromkeys(cell.target for cell in known))
    for precision in dict.fromkeys(cell.precision for cell in known):
        of_it = [cell for cell in known if cell.precision == precision]
        rows = [targets.index(cell.target) + 0.16 * (PRECISIONS.index(precision) - 1) for cell in of_it]
        values = [_value(cell, drawn) or 0.0 for cell in of_it]  # all are known
        colour, marker = PRECISION_COLOURS[precision], MARKERS[precision]
        axes.plot(values, rows, marker, color=colour, markersize=10, label=precision)
    label, begins = AXES[drawn]
    axes.set(xlabel=label, ylim=(len(targets) - 0.5, -0.5))
    axes.set_yticks(range(len(targets)), [textwrap.fill(name.replace("_", " "), 14) for name in targets])
    if drawn in ("parity", "build"):
        axes.set_xscale("log")
    else:
        axes.set_xlim(left=0)
    figure.legend(loc="outside upper right", fontsize="small", ncols=3)
    said = ", ".join(
        f"{cell.target} {cell.precision} {significant(_value(cell, drawn) or 0.0)}" for cell in known
    )
    return Chart(figure, f"{begins}: {said}.")


def launches_chart(counts: Mapping[str, Mapping[str, int]], size: Size = WIDE) -> Chart:
    """Draw how many operators or kernels a network has in several forms: network → form → number."""
    figure, (axes,) = panels(1, size)
    forms = list(dict.fromkeys(form for row in counts.values() for form in row))
    thick = 0.8 / len(forms)
    for place, (form, colour) in enumerate(zip(forms, COLOURS, strict=False)):
        rows = [row + (place - (len(forms) - 1) / 2) * thick for row in range(len(counts))]
        numbers = [each.get(form, math.nan) for each in counts.values()]
        bars = axes.barh(rows, numbers, height=0.9 * thick, color=colour, label=form)
        axes.bar_label(bars, ["" if math.isnan(number) else str(number) for number in numbers], padding=3)
    axes.set(xlabel="operators or kernels", ylim=(len(counts) - 0.5, -0.5))
    axes.set_yticks(range(len(counts)), [textwrap.fill(name.replace("_", " "), 12) for name in counts])
    axes.margins(x=0.12)
    figure.legend(loc="outside upper right", fontsize="small", ncols=len(forms))
    said = "; ".join(
        f"{name}: {', '.join(f'{form} {number}' for form, number in row.items())}"
        for name, row in counts.items()
    )
    return Chart(figure, f"Operators or kernels. {said}.")


def _value(cell: CompiledCell, drawn: Figure) -> float | None:
    match drawn:
        case "size":
            return None if cell.size_bytes is None else cell.size_bytes / 1e3
        case "parity":
            return None if cell.max_absolute is None else max(cell.max_absolute, EQUAL)
        case "build":
            return cell.build_s
