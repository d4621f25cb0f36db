import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.benchmarking.compare import Ratio
from course_lib.benchmarking.intervals import Interval
from course_lib.errors import SettingError, UnknownNameError
from course_lib.explore.backend_cell import (
    CHART_AXES,
    FIGURES,
    BoardSetting,
    Cell,
    CellResult,
    difference_text,
    sort_cells,
)
from course_lib.runtimes.compilation import PRECISIONS

CELLS = tuple(Cell("net", f"target{number}", "fp32") for number in range(5))


def results(values: list[float | None]) -> dict[Cell, CellResult]:
    return {
        cell: CellResult(cell=cell, outcome="ran", max_absolute=value)
        for cell, value in zip(CELLS, values, strict=False)
    }


def test_a_ratio_and_a_label_by_hand() -> None:
    cell = Cell("net", "openvino", "fp16")
    ran = CellResult(cell=cell, outcome="ran", p50_ms=0.3, ratio=Ratio(0.75, Interval(0.7, 0.8, 0.95)))
    assert (cell.label, str(cell)) == ("openvino fp16", "net for openvino fp16")
    assert (FIGURES["latency"].of(ran), FIGURES["ratio"].of(ran)) == (0.3, 0.75)
    assert FIGURES["ratio"].text(0.75) == "0.750 ×"
    assert FIGURES["size"].of(ran) is None
    assert set(CHART_AXES) <= set(FIGURES)


def test_cells_are_sorted_and_those_without_the_figure_come_last() -> None:
    known = results([3.0, None, 1.0, math.nan, 2.0])
    order = [CELLS.index(cell) for cell in sort_cells(CELLS, known, "parity")]
    assert order == [2, 4, 0, 3, 1]
    order = [CELLS.index(cell) for cell in sort_cells(CELLS, known, "parity", falling=True)]
    assert order == [3, 0, 4, 2, 1]
    assert sort_cells(CELLS, known) == list(CELLS)
    assert sort_cells(CELLS, known, falling=True) == list(reversed(CELLS))


def test_cells_that_are_not_done_come_last_in_their_order() -> None:
    known = results([3.0, 1.0])
    assert [CELLS.index(cell) for cell in sort_cells(CELLS, known, "parity")] == [1, 0, 2, 3, 4]


@given(st.lists(st.none() | st.floats(0, 10), min_size=5, max_size=5), st.booleans())
def test_sorting_keeps_all_cells_and_orders_the_known_ones(values: list[float | None], falling: bool) -> None:
    known = results(values)
    ordered = sort_cells(CELLS, known, "parity", falling)
    assert sorted(ordered, key=CELLS.index) == list(CELLS)
    found = [value for cell in ordered if (value := known[cell].max_absolute) is not None]
    assert found == sorted(found, reverse=falling)
    assert all(known[cell].max_absolute is None for cell in ordered[len(found) :])


def test_the_cells_of_a_network_come_precision_by_precision() -> None:
    setting = BoardSetting(models=("a", "b"), targets=("x", "y"), precisions=("fp32", "int8"))
    labels = [f"{cell.model} {cell.label}" for cell in setting.cells]
    assert labels[:4] == ["a x fp32", "a y fp32", "a x int8", "a y int8"]
    assert len(setting.cells) == 8
    assert len(BoardSetting(models=("a",), targets=("x",)).cells) == len(PRECISIONS)


def test_differences_in_words() -> None:
    assert [difference_text(value) for value in (0.0, 1.23e-6, 0.0312, 2.0)] == [
        "0",
        "1.2e-06",
        "0.031",
        "2.0",
    ]


@pytest.mark.parametrize(
    ("wrong", "kind", "sentence"),
    [
        ({"sort": "colour"}, UnknownNameError, "no figure to sort by called 'colour'"),
        ({"axis": "parity"}, UnknownNameError, "no axis called 'parity'; the known ones are latency"),
        ({"precisions": ("fp8",)}, UnknownNameError, "no precision called 'fp8'"),
        ({"models": ("a", "a")}, SettingError, r"^The models are a, a; give each of them once\.$"),
    ],
)
def test_a_wrong_setting_is_refused(wrong: dict, kind: type[Exception], sentence: str) -> None:
    with pytest.raises(kind, match=sentence):
        BoardSetting(**{"models": ("a",), "targets": ("x",), **wrong})
