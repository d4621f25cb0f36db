"""The backend board's page as plain values: rows, chart and details, all from the same results."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

from course_lib.benchmarking.number_text import significant
from course_lib.benchmarking.table import text_table
from course_lib.explore.backend_board import BoardState
from course_lib.explore.backend_cell import (
    BASELINE,
    CHART_AXES,
    FIGURES,
    BoardSetting,
    Cell,
    CellResult,
    difference_text,
    sort_cells,
)
from course_lib.widgets.backend_bench import BackendBench
from course_lib.widgets.backend_points import chart_view

STATES = {
    "ran": "measured",
    "built": "built, not run",
    "refused": "not built",
    "missing": "not installed",
    "waiting": "waiting",
    "working": "in progress",
}
"""What became of a cell → how a row says it."""

COLUMNS = {
    "latency": "p50",
    "ratio": "Ratio to ORT fp32",
    "size": "Size",
    "parity": "Worst difference",
    "agreement": "Same answer",
}


def columns_view() -> list[list[str]]:
    """Return (name, heading, long title) of every column with figures."""
    return [[name, heading, FIGURES[name].title] for name, heading in COLUMNS.items()]


def axes_view() -> list[list[str]]:
    """Return (name, title) of every cost that the chart can show."""
    return [[name, FIGURES[name].title] for name in CHART_AXES]


def key_of(cell: Cell) -> str:
    """Return the name of a cell on the page."""
    return f"{cell.model} {cell.label}"


def result_view(
    state: BoardState,
    setting: BoardSetting,
    selected: str,
    bench: BackendBench,
    told: Mapping[Cell, Sequence[str]],
) -> dict[str, Any]:
    """Return one result as plain values.

    Parameters
    ----------
    selected
        The key of the cell whose details are shown; without one, the fastest that ran.
    bench
        Gives the command line of a cell and the source of a network.
    told
        What a compiler tells about a cell when it is asked.
    """
    cells = sort_cells(setting.cells, state.results, setting.sort, setting.falling)
    results = [state.results[cell] for cell in cells if cell in state.results]
    chosen = next((cell for cell in cells if key_of(cell) == selected), None) or _first(results, cells)
    return {
        "exact": state.finished,
        "running": state.running,
        "again": any(result.outcome == "ran" for result in results),
        "sort": setting.sort,
        "falling": setting.falling,
        "selected": key_of(chosen) if chosen else "",
        "rows": [_row(cell, state) for cell in cells],
        "chart": chart_view(setting, results, key_of),
        "summary": summary(state, setting),
        "progress": _progress(state, setting),
        "absent": _absent(results),
        "details": _details(chosen, state, bench, told) if chosen else None,
        "csv": board_csv(results),
        "code": board_code(setting, bench),
    }


def summary(state: BoardState, setting: BoardSetting) -> str:
    """Say in one sentence how many cells were built and which is the fastest."""
    if not setting.cells:
        return "The board is empty: choose at least one network, one target and one precision."
    results = [state.results[cell] for cell in setting.cells if cell in state.results]
    built = [result for result in results if result.outcome in ("ran", "built")]
    words = f"{len(built)} of {len(setting.cells)} cells are built"
    ran = [result for result in built if result.outcome == "ran"]
    if not ran:
        return f"{words}; none is measured here yet."
    words = f"{words}, {len(ran)} of them measured here"
    if not any(result.ratio for result in ran):
        return f"{words}; there is no ratio, as {BASELINE} does not run here."
    best = min(ran, key=lambda result: result.ratio.value if result.ratio else math.inf)
    if best.cell.label == BASELINE or best.ratio is None:
        return f"{words}; none has a lower median than {BASELINE}."
    low, high, worst = best.ratio.interval.low, best.ratio.interval.high, best.max_absolute
    return (
        f"{words}; the lowest ratio has {best.cell}: {significant(best.ratio.value)} × {BASELINE} "
        f"({significant(low)} to {significant(high)})"
        + ("." if worst is None else f", with a worst difference of {difference_text(worst)}.")
    )


def board_text(state: BoardState, setting: BoardSetting) -> str:
    """Return the board as a table of text, for pages without widgets."""
    if not setting.cells:
        return summary(state, setting)
    rows = [
        _row(cell, state) for cell in sort_cells(setting.cells, state.results, setting.sort, setting.falling)
    ]
    table = [
        {
            "network": row["model"],
            "target": row["target"],
            "precision": row["precision"],
            "state": row["words"],
            **{COLUMNS[name]: row["figures"][name] for name in COLUMNS},
        }
        for row in rows
    ]
    absent = [f"{target}: {why}" for target, why in _absent(state.done)]
    return "\n".join([summary(state, setting), text_table(table), *absent])


def board_code(setting: BoardSetting, bench: BackendBench) -> str:
    """Return Python that makes the same table with the compile command's function."""
    literals = [bench.literal(model) for model in setting.models]
    lines = ["from course_lib.pipelines.compile import compile_model"]
    if any(literal.startswith("prepare_forms(") for literal in literals):
        lines.append("from course_lib.pipelines.model_forms import prepare_forms")
    lines += ["", f"targets = {list(setting.targets)}", f"precisions = {list(setting.precisions)}"]
    threads = f", threads={bench.threads}" if bench.threads != 1 else ""
    lines += [f"print(compile_model({literal}, targets, precisions{threads}))" for literal in literals]
    return "\n".join(lines) + "\n"


def board_csv(results: Sequence[CellResult]) -> str:
    """Return all figures as comma-separated values."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    head = (
        "network",
        "target",
        "precision",
        "outcome",
        "p50_ms",
        "ratio",
        "ratio_low",
        "ratio_high",
        "rounds",
    )
    writer.writerow((*head, "size_bytes", "max_absolute", "argmax_agreement", "version", "why"))
    for each in results:
        ratio = (each.ratio.value, *each.ratio.interval) if each.ratio else ("", "", "")
        writer.writerow(
            (
                *(each.cell.model, each.cell.target, each.cell.precision, each.outcome, each.p50_ms, *ratio),
                *(each.rounds or "", each.size_bytes, each.max_absolute, each.argmax_agreement),
                *(each.version, each.why),
            )
        )
    return file.getvalue()


def _row(cell: Cell, state: BoardState) -> dict[str, Any]:
    result = state.results.get(cell)
    kind = "working" if cell == state.doing else result.outcome if result else "waiting"
    figures = {name: _figure(name, result) for name in FIGURES}
    return {
        "key": key_of(cell),
        "model": cell.model,
        "target": cell.target,
        "precision": cell.precision,
        "state": kind,
        "words": STATES[kind],
        "figures": figures,
        "why": result.why if result else "",
    }


def _figure(name: str, result: CellResult | None) -> str:
    value = FIGURES[name].of(result) if result else None
    if result is None or value is None:
        return "–"
    if name == "ratio" and result.ratio is not None:
        if result.cell.label == BASELINE:
            return "1 (baseline)"
        low, high = result.ratio.interval.low, result.ratio.interval.high
        return f"{significant(value)} ({significant(low)} to {significant(high)})"
    return FIGURES[name].text(value)


def _first(results: Sequence[CellResult], cells: Sequence[Cell]) -> Cell | None:
    """Return the cell whose details are shown before one is chosen."""
    ran = [result for result in results if result.ratio is not None]
    if ran:
        return min(ran, key=lambda result: result.ratio.value if result.ratio else math.inf).cell
    return cells[0] if cells else None


def _progress(state: BoardState, setting: BoardSetting) -> dict[str, Any]:
    done = sum(cell in state.results and cell not in state.again for cell in setting.cells)
    words = f"{done} of {len(setting.cells)} cells done."
    if state.doing:
        end = "" if state.running else " The rest is stopped; a compiler cannot be interrupted."
        words = f"{words} Working on {state.doing} …{end}"
    elif not state.finished:
        words = f"{words} Working …"
    elif state.waiting:
        words = f"{words} Stopped."
    return {"done": done, "total": len(setting.cells), "words": words}


def _absent(results: Sequence[CellResult]) -> list[list[str]]:
    """Return (target, sentence) of the compilers that are not installed, each once."""
    return [
        list(pair)
        for pair in dict.fromkeys(
            (each.cell.target, each.why) for each in results if each.outcome == "missing"
        )
    ]


def _details(
    cell: Cell,
    state: BoardState,
    bench: BackendBench,
    told: Mapping[Cell, Sequence[str]],
) -> dict[str, Any]:
    row, result = _row(cell, state), state.results.get(cell)
    words = row["words"]
    if result and result.rounds:
        words = f"{words}: {result.rounds} interleaved rounds"
    details = dict.fromkeys(FIGURES, words)
    if result and result.ratio:
        details["ratio"] = result.ratio.verdict if cell.label != BASELINE else "the baseline itself"
    details["size"] = "all files of the compiled form"
    details["parity"] = "largest of all outputs, beside the original in float32"
    details["agreement"] = "of the compared inputs"
    return {
        "key": row["key"],
        "title": str(cell),
        "state": f"{words}." + (f" Compiler version {result.version}." if result and result.version else ""),
        "tiles": {name: {"value": row["figures"][name], "detail": details[name]} for name in FIGURES},
        "why": row["why"],
        "command": bench.command(cell),
        "messages": [*(result.messages if result else ()), *told.get(cell, ())],
    }
