"""One cell of the backend board: a network, a target that compiles it, a precision, and what came of it.

Four things can come of it. It **ran**: it was built, its outputs were compared with the original's, and it
was timed in turns with ONNX Runtime in float32. It was **built** and does not run here. It was **refused**,
by the compiler or because the target has no such precision. Or the compiler is **missing** here. Where it
did not run, one sentence says why.

Worked example: a cell at 0.30 ms beside 0.40 ms of ONNX Runtime in the same rounds has a ratio of 0.75.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from course_lib.benchmarking.compare import Ratio
from course_lib.benchmarking.number_text import format_bytes, significant
from course_lib.errors import SettingError
from course_lib.registry import look_up
from course_lib.runtimes.compilation import PRECISIONS, Precision

Outcome = Literal["ran", "built", "refused", "missing"]

BASELINE = "onnxruntime fp32"
"""What every cell takes turns with."""


@dataclass(frozen=True)
class Cell:
    """A network, a target and a precision."""

    model: str
    target: str
    precision: Precision

    @property
    def label(self) -> str:
        """The target with its precision, as a comparison calls it."""
        return f"{self.target} {self.precision}"

    def __str__(self) -> str:
        return f"{self.model} for {self.label}"


@dataclass(frozen=True, kw_only=True)
class CellResult:
    """What came of a cell.

    Parameters
    ----------
    why
        One sentence where it did not run; empty where it did.
    version
        Of the compiler.
    size_bytes
        Of all files that were built.
    max_absolute, argmax_agreement
        Worst difference from the original's outputs, and the fraction of equal predictions; None where there
        was nothing to compare with.
    p50_ms, ratio, rounds
        Median latency of one call, its ratio to that of `BASELINE` in the same rounds (None where that does
        not run), and how many those were.
    messages
        What is to be known about its files, weights and inputs, a sentence each.
    """

    cell: Cell
    outcome: Outcome
    why: str = ""
    version: str | None = None
    size_bytes: int | None = None
    max_absolute: float | None = None
    argmax_agreement: float | None = None
    p50_ms: float | None = None
    ratio: Ratio | None = None
    rounds: int = 0
    messages: tuple[str, ...] = ()


@dataclass(frozen=True)
class Figure:
    """A number of a cell that the board sorts by and draws.

    Parameters
    ----------
    title
        What stands at an axis.
    of
        The number, or None where there is none.
    text
        The number in words.
    """

    title: str
    of: Callable[[CellResult], float | None]
    text: Callable[[float], str]


def difference_text(value: float) -> str:
    """Write a difference of outputs: 0, 1.2e-06, 0.031."""
    return significant(value, 2) if value == 0 or value >= 0.001 else f"{value:.1e}"


FIGURES: dict[str, Figure] = {
    "latency": Figure(
        "median latency of one call, ms", lambda result: result.p50_ms, lambda ms: f"{significant(ms)} ms"
    ),
    "ratio": Figure(
        "latency, times ONNX Runtime fp32",
        lambda result: result.ratio.value if result.ratio else None,
        lambda times: f"{significant(times)} ×",
    ),
    "size": Figure("size of the built files", lambda result: result.size_bytes, format_bytes),
    "parity": Figure(
        "worst difference of an output",
        lambda result: result.max_absolute,
        difference_text,
    ),
    "agreement": Figure(
        "same answer as the original",
        lambda result: result.argmax_agreement,
        lambda share: f"{share:.1%}",
    ),
}
"""Name → figure, in the order of the board's columns."""

ORDER = "order"
"""The order of the board itself: by network, precision and target."""


CHART_AXES = ("latency", "ratio", "size")
"""Figures that the chart shows beside the worst difference."""


@dataclass(frozen=True, kw_only=True)
class BoardSetting:
    """Where the controls of the board stand.

    Attributes
    ----------
    models, targets, precisions
        What is on the board, each name once.
    sort, falling
        The figure that rows are sorted by, or `ORDER`, and whether the largest comes first.
    axis
        One of `CHART_AXES`.
    running
        Whether cells that wait are worked on.

    Raises
    ------
    UnknownNameError
        If there is no such figure, axis or precision.
    SettingError
        If a name is given twice.
    """

    models: tuple[str, ...]
    targets: tuple[str, ...]
    precisions: tuple[Precision, ...] = PRECISIONS
    sort: str = ORDER
    falling: bool = False
    axis: str = "latency"
    running: bool = True

    def __post_init__(self) -> None:
        look_up(dict.fromkeys((ORDER, *FIGURES)), "figure to sort by", self.sort)
        look_up(dict.fromkeys(CHART_AXES), "axis", self.axis)
        for precision in self.precisions:
            look_up(dict.fromkeys(PRECISIONS), "precision", precision)
        for title in ("models", "targets", "precisions"):
            names = getattr(self, title)
            if len(set(names)) < len(names):
                raise SettingError(f"The {title} are {', '.join(names)}; give each of them once.")

    @property
    def cells(self) -> tuple[Cell, ...]:
        """All cells in the order in which they are worked on: of a network, all targets in one precision.

        So every target shows up early.
        """
        return tuple(
            Cell(model, target, precision)
            for model in self.models
            for precision in self.precisions
            for target in self.targets
        )


def sort_cells(
    cells: Sequence[Cell], results: Mapping[Cell, CellResult], by: str = ORDER, falling: bool = False
) -> list[Cell]:
    """Return the cells by a figure, those without it last and equal ones in the order given.

    A figure that is no number (the difference from an output that is none) counts as infinitely large.

    Raises
    ------
    UnknownNameError
        If there is no such figure.
    """
    if by == ORDER:
        return list(reversed(cells)) if falling else list(cells)
    of = look_up(FIGURES, "figure", by).of
    values = {cell: of(results[cell]) if cell in results else None for cell in cells}
    known = [
        (math.inf if math.isnan(value) else value, cell)
        for cell, value in values.items()
        if value is not None
    ]
    known.sort(key=lambda pair: pair[0], reverse=falling)
    return [cell for _, cell in known] + [cell for cell, value in values.items() if value is None]
