import json
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import ClassVar

from hypothesis import given
from hypothesis import strategies as st

from course_lib.benchmarking.machine import record_machine
from course_lib.benchmarking.table import MeasuredResult, Row, html_table, text_table


@dataclass(frozen=True, kw_only=True)
class Length(MeasuredResult):
    samples_m: tuple[float, ...]
    inner: "Length | None" = None
    derived: ClassVar[tuple[str, ...]] = ("longest_m", "undefined_m")

    @property
    def longest_m(self) -> float:
        return max(self.samples_m)

    @property
    def undefined_m(self) -> float:
        return float("nan")

    def table_row(self) -> Row:
        return {"what": "a < b", "longest m": str(self.longest_m)}


class CellReader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.cells: list[str] = []
        self.inside = False

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.inside = tag in ("td", "th")
        if self.inside:
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        self.inside = False

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.cells[-1] += data


def test_a_text_table_by_hand() -> None:
    rows = [{"name": "a", "p50 ms": "1.25"}, {"name": "long name", "p50 ms": "3"}]
    assert text_table(rows) == (
        "| name      | p50 ms |\n|-----------|--------|\n| a         | 1.25   |\n| long name | 3      |"
    )


def test_a_bar_in_a_cell_does_not_make_a_column() -> None:
    assert text_table([{"name": "a|b"}]).splitlines()[-1] == "| a\\|b |"


@given(st.lists(st.tuples(st.text("ab<>&\"'|"), st.text("ab<>&\"'|")), min_size=1))
def test_html_cells_read_back_as_they_went_in(cells: list[tuple[str, str]]) -> None:
    reader = CellReader()
    reader.feed(html_table([{"x": first, "y": second} for first, second in cells]))
    assert reader.cells == ["x", "y", *(cell for row in cells for cell in row)]


def test_a_result_prints_its_row_and_its_machine() -> None:
    result = Length(machine=record_machine(seed=5), samples_m=(1.0, 2.5))
    assert str(result).startswith("| what  | longest m |")
    assert str(result).endswith(result.machine.summary())
    assert "<td>a &lt; b</td><td>2.5</td>" in result._repr_html_()
    assert "seed 5" in result._repr_html_()


def test_as_dict_is_strict_json_with_derived_numbers_at_every_depth() -> None:
    machine = record_machine()
    inner = Length(machine=machine, samples_m=(4.0,))
    values = Length(machine=machine, samples_m=(1.0, 2.5), inner=inner).as_dict()
    assert json.loads(json.dumps(values, allow_nan=False)) == values
    assert values["samples_m"] == [1.0, 2.5]
    assert values["longest_m"] == 2.5
    assert values["undefined_m"] is None
    assert values["inner"]["longest_m"] == 4.0
    assert values["machine"]["cpu"] == machine.cpu
