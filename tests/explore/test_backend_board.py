import threading
import time
from collections.abc import Callable, Iterator

import pytest

from course_lib.errors import ModelError
from course_lib.explore.backend_board import AGAIN, ROUNDS, BoardEngine, BoardState, sentence_of
from course_lib.explore.backend_cell import Cell, CellResult

CELLS = tuple(Cell("net", f"target{number}", "fp32") for number in range(4))
ABSENT = Cell("net", "absent", "fp32")


class SlowBench:
    """Works on a cell until it is let go, and notes every cell and its rounds."""

    def __init__(self) -> None:
        self.gate = threading.Semaphore(0)
        self.worked: list[tuple[Cell, int]] = []
        self.installed = False

    def known(self, cell: Cell) -> CellResult | None:
        if cell == ABSENT and not self.installed:
            return CellResult(cell=cell, outcome="missing", why="absent is needed; install it.")
        return None

    def measure(self, cell: Cell, rounds: int) -> CellResult:
        self.worked.append((cell, rounds))
        assert self.gate.acquire(timeout=60)
        if cell.target == "target3":
            raise ModelError("target3 takes no such network.")
        return CellResult(cell=cell, outcome="ran", p50_ms=1.0, rounds=rounds)

    def let(self, count: int) -> None:
        for _ in range(count):
            self.gate.release()


@pytest.fixture
def bench() -> SlowBench:
    return SlowBench()


@pytest.fixture
def engine(bench: SlowBench) -> Iterator[BoardEngine]:
    made = BoardEngine(bench)
    yield made
    made.close()
    bench.let(10)


def wait(engine: BoardEngine, until: Callable[[BoardState], object]) -> BoardState:
    give_up = time.monotonic() + 60
    state = engine.state
    while not until(state) and time.monotonic() < give_up:
        state = engine.wait_for_news(state, 1)
    assert until(state)
    return state


def test_cells_are_done_one_after_the_other_in_the_order_asked_for(
    engine: BoardEngine, bench: SlowBench
) -> None:
    first = engine.ask(CELLS[:3])
    assert (first.waiting, first.done, first.finished) == (CELLS[:3], (), False)
    bench.let(1)
    state = wait(engine, lambda state: len(state.done) == 1 and state.doing)
    assert (state.doing, state.waiting) == (CELLS[1], CELLS[2:3])
    bench.let(2)
    state = wait(engine, lambda state: state.finished)
    assert [result.cell for result in state.done] == list(CELLS[:3])
    assert bench.worked == [(cell, ROUNDS) for cell in CELLS[:3]]


def test_the_newest_selection_wins_and_nothing_is_lost(engine: BoardEngine, bench: SlowBench) -> None:
    engine.ask(CELLS[:3])
    wait(engine, lambda state: state.doing == CELLS[0])
    engine.ask(CELLS[2:3])
    bench.let(2)
    state = wait(engine, lambda state: state.finished)
    assert [cell for cell, _ in bench.worked] == [CELLS[0], CELLS[2]]
    assert set(state.results) == {CELLS[0], CELLS[2]}
    assert [result.cell for result in state.done] == [CELLS[2]]
    state = engine.ask(CELLS[:1])
    assert (state.finished, state.done[0].cell) == (True, CELLS[0])


def test_it_stops_after_the_cell_in_progress_and_goes_on_when_asked(
    engine: BoardEngine, bench: SlowBench
) -> None:
    engine.ask(CELLS[:2])
    wait(engine, lambda state: state.doing == CELLS[0])
    state = engine.ask(CELLS[:2], running=False)
    assert not state.finished
    bench.let(1)
    state = wait(engine, lambda state: state.finished)
    assert (state.waiting, len(state.done)) == (CELLS[1:2], 1)
    engine.ask(CELLS[:2])
    bench.let(1)
    assert wait(engine, lambda state: state.finished).waiting == ()


def test_what_takes_no_work_is_known_at_once_and_asked_again_each_time(
    engine: BoardEngine, bench: SlowBench
) -> None:
    state = engine.ask([ABSENT])
    assert (state.finished, state.done[0].outcome, bench.worked) == (True, "missing", [])
    bench.installed = True
    bench.let(1)
    engine.ask([ABSENT])
    assert wait(engine, lambda state: state.finished).done[0].outcome == "ran"


def test_a_cell_that_fails_says_why_and_the_others_go_on(engine: BoardEngine, bench: SlowBench) -> None:
    engine.ask([CELLS[3], CELLS[0]])
    bench.let(2)
    failed, ran = wait(engine, lambda state: state.finished).done
    assert (failed.outcome, failed.why) == ("refused", "target3 takes no such network.")
    assert ran.outcome == "ran"


def test_measuring_again_takes_more_rounds_and_shows_the_old_result_meanwhile(
    engine: BoardEngine, bench: SlowBench
) -> None:
    engine.ask([CELLS[0], CELLS[3]])
    bench.let(2)
    wait(engine, lambda state: state.finished)
    state = engine.measure_again()
    assert (state.finished, len(state.done)) == (False, 2)
    bench.let(1)
    state = wait(engine, lambda state: state.finished)
    assert state.done[0].rounds == AGAIN
    assert bench.worked[2:] == [(CELLS[0], AGAIN)]


def test_two_engines_take_turns(engine: BoardEngine, bench: SlowBench) -> None:
    other_bench = SlowBench()
    other = BoardEngine(other_bench)
    engine.ask(CELLS[:1])
    wait(engine, lambda state: bench.worked)
    other.ask(CELLS[:1])
    wait(other, lambda state: state.doing)
    time.sleep(0.05)
    assert other_bench.worked == []
    bench.let(1)
    other_bench.let(1)
    assert wait(other, lambda state: state.finished).done[0].outcome == "ran"
    other.close()


def test_news_are_waited_for_no_longer_than_asked(engine: BoardEngine) -> None:
    state = engine.state
    assert engine.wait_for_news(state, 0.01) is state


def test_errors_in_one_sentence() -> None:
    assert sentence_of(ModelError("It is odd.")) == "It is odd."
    assert sentence_of(ValueError("one\ntwo")) == "ValueError: one"
    assert sentence_of(KeyError()) == "KeyError"
