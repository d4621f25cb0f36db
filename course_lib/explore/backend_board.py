"""The engine behind the backend board: cells compiled, checked and timed one after the other, in a thread.

Whoever asks gets what is known at that moment, without waiting. The newest selection wins: cells that nobody
wants any more are not begun, and what was found out about a cell is kept. A compiler cannot be interrupted,
so a cell in progress is finished in any case.

Worked example: three cells are wanted and one is done. Asked for two others, the engine finishes the second
cell, does the two new ones, and leaves the third for later; all results stay.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from course_lib.errors import CourseError
from course_lib.explore.backend_cell import Cell, CellResult

ROUNDS, AGAIN = 100, 400
"""Rounds of a first comparison of latencies, and of one that was asked for again."""

MEASURING = threading.Lock()
"""Two boards of one kernel take turns: compiling beside a measurement would be measured."""


class Bench(Protocol):
    """Where a cell is worked on."""

    def known(self, cell: Cell) -> CellResult | None:
        """Return what can be told about a cell without any work, or None."""

    def measure(self, cell: Cell, rounds: int) -> CellResult:
        """Compile a cell, compare its outputs and time it over so many rounds."""


@dataclass(frozen=True)
class BoardState:
    """What is known at a moment.

    Parameters
    ----------
    wanted
        The cells on the board.
    results
        Of all cells that were ever done, whether wanted now or not.
    again
        Cells with a result that are measured once more.
    doing
        The cell in progress.
    running
        Whether waiting cells are going to be worked on.
    """

    wanted: tuple[Cell, ...] = ()
    results: Mapping[Cell, CellResult] = field(default_factory=dict)
    again: frozenset[Cell] = frozenset()
    doing: Cell | None = None
    running: bool = True

    @property
    def waiting(self) -> tuple[Cell, ...]:
        """The wanted cells that are not done, without the one in progress."""
        return tuple(
            cell
            for cell in self.wanted
            if (cell not in self.results or cell in self.again) and cell != self.doing
        )

    @property
    def done(self) -> tuple[CellResult, ...]:
        """What came of the wanted cells, in their order."""
        return tuple(self.results[cell] for cell in self.wanted if cell in self.results)

    @property
    def finished(self) -> bool:
        """Whether nothing is going to change by itself."""
        return self.doing is None and not (self.running and self.waiting)


class BoardEngine:
    """Works on cells in a thread of its own, in the order asked for.

    Parameters
    ----------
    bench
        Where a cell is worked on; what it raises becomes the cell's sentence.
    """

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._state = BoardState()
        self._news = threading.Condition()
        self._closed = False
        threading.Thread(target=self._run, daemon=True, name="backend-board").start()

    @property
    def state(self) -> BoardState:
        """What is known now."""
        return self._state

    def ask(self, cells: Sequence[Cell], *, running: bool = True) -> BoardState:
        """Work on these cells from now on and on no others, or on none until asked again; return the state.

        What is known without any work is in that state already.
        """
        with self._news:
            missing = [
                cell
                for cell in cells
                if cell not in self._state.results or self._state.results[cell].outcome == "missing"
            ]
            known = {cell: told for cell in missing if (told := self._bench.known(cell)) is not None}
            kept = {cell: each for cell, each in self._state.results.items() if cell not in missing}
            self._publish(wanted=tuple(cells), results={**kept, **known}, running=running)
            return self._state

    def measure_again(self) -> BoardState:
        """Measure the wanted cells that ran once more, over more rounds; return the state at once."""
        with self._news:
            ran = {result.cell for result in self._state.done if result.outcome == "ran"}
            self._publish(again=self._state.again | ran)
            return self._state

    def wait_for_news(self, seen: BoardState, timeout_s: float) -> BoardState:
        """Return a state other than ``seen`` as soon as there is one, or the same after so many seconds."""
        with self._news:
            self._news.wait_for(lambda: self._state is not seen, timeout_s)
            return self._state

    def close(self) -> None:
        """End the thread after the cell in progress."""
        with self._news:
            self._closed = True
            self._news.notify_all()

    def _run(self) -> None:
        while True:
            with self._news:
                self._news.wait_for(lambda: self._closed or (self._state.running and self._state.waiting))
                if self._closed:
                    return
                cell = self._state.waiting[0]
                self._publish(doing=cell)
                rounds = AGAIN if cell in self._state.again else ROUNDS
            result = self._worked_on(cell, rounds)
            with self._news:
                self._publish(
                    results={**self._state.results, cell: result},
                    again=self._state.again - {cell},
                    doing=None,
                )

    def _worked_on(self, cell: Cell, rounds: int) -> CellResult:
        with MEASURING:
            try:
                return self._bench.measure(cell, rounds)
            except Exception as error:  # whatever a compiler raises; the other cells go on
                return CellResult(cell=cell, outcome="refused", why=sentence_of(error))

    def _publish(self, **changes: Any) -> None:
        with self._news:
            self._state = replace(self._state, **changes)
            self._news.notify_all()


def sentence_of(error: Exception) -> str:
    """Return an error as one sentence."""
    if isinstance(error, CourseError):
        return str(error)
    told = str(error).strip().splitlines()
    return f"{type(error).__name__}: {told[0]}" if told else type(error).__name__
