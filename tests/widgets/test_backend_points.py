import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.explore.backend_cell import BoardSetting, Cell, CellResult
from course_lib.widgets.backend_points import chart_view, ticks
from course_lib.widgets.backend_view import key_of

SETTING = BoardSetting(models=("net",), targets=("a", "b", "c"))


def ran(target: str, ms: float, difference: float) -> CellResult:
    cell = Cell("net", target, "fp32")
    return CellResult(cell=cell, outcome="ran", p50_ms=ms, max_absolute=difference, size_bytes=1000)


def test_points_by_hand() -> None:
    results = [
        ran("a", 0.2, 2e-6),
        ran("b", 1.0, 0.0),
        CellResult(cell=Cell("net", "c", "fp32"), outcome="built"),
    ]
    chart = chart_view(SETTING, results, key_of)
    assert [(point["name"], point["cost"], point["difference"]) for point in chart["points"]] == [
        ("a", 0.2, 2e-6),
        ("b", 1.0, None),
    ]
    assert chart["points"][0]["words"] == "net for a fp32: 0.200 ms, worst difference 2.0e-06"
    assert [text for _, text in chart["levels"]] == ["1e-8", "1e-7", "1e-6", "1e-5"]
    assert [value for value, _ in chart["ticks"]] == [0.2, 0.5, 1.0]
    assert chart["low"] < 0.2 < 1.0 < chart["high"]


def test_a_point_tells_the_network_where_there_are_several() -> None:
    setting = BoardSetting(models=("net", "other"), targets=("a",), axis="size")
    chart = chart_view(setting, [ran("a", 1.0, 1e-3)], key_of)
    assert chart["points"][0]["name"] == "a, net"
    assert chart["points"][0]["words"].startswith("net for a fp32: 1.00 kB")
    assert chart["ticks"][0][1].endswith(" B")


def test_an_empty_chart_and_differences_that_are_no_numbers() -> None:
    chart = chart_view(SETTING, [ran("a", 1.0, float("nan")), ran("b", 1.0, float("inf"))], key_of)
    assert chart["points"] == []
    assert chart["floor"] < chart["top"]


@given(st.floats(1e-4, 1e6), st.floats(1.32, 1e4))
def test_there_are_some_ticks_and_they_lie_between_the_ends(low: float, factor: float) -> None:
    found = ticks(low, low * factor)
    assert 1 <= len(found) <= 9
    assert found == sorted(found)
    assert all(low * 0.95 <= value <= low * factor * 1.05 for value in found)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0.9, 21, [1, 2, 5, 10, 20]), (0.255, 0.445, [0.26, 0.29, 0.32, 0.35, 0.38, 0.41, 0.44])],
)
def test_ticks_by_hand(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high) == expected
