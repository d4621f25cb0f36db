from pathlib import Path

import pytest

from course_lib.errors import DataError
from course_lib.pipelines.ledger import Ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "runs" / "ledger.json")


def enter(ledger: Ledger, change: str = "pruned", week: int = 4, cost: str = "0.5 points") -> Ledger:
    return ledger.enter(week=week, change=change, cost=cost, bought="half the size")


def test_rows_are_kept_in_the_file(ledger: Ledger) -> None:
    enter(ledger)
    again = Ledger(ledger.path)
    assert again.rows == ledger.rows
    assert (again.rows[0].week, again.rows[0].change, again.rows[0].cost) == (4, "pruned", "0.5 points")
    assert again.rows[0].machine


def test_weeks_come_in_order_and_a_change_has_one_row(ledger: Ledger) -> None:
    enter(ledger)
    enter(ledger, "exported", week=1)
    enter(ledger, cost="0.3 points")
    assert [(row.week, row.change, row.cost) for row in ledger.rows] == [
        (1, "exported", "0.5 points"),
        (4, "pruned", "0.3 points"),
    ]
    assert Ledger(ledger.path).rows == ledger.rows


def test_it_shows_itself_and_escapes(ledger: Ledger) -> None:
    assert "| what it cost |" in str(ledger)
    assert not ledger.path.exists()
    enter(ledger, change="a < b")
    assert "a &lt; b" in ledger._repr_html_()
    assert '<th scope="col">what it bought</th>' in ledger._repr_html_()
    assert repr(ledger) == str(ledger)


@pytest.mark.parametrize("content", ["{", "[1]", '[{"week": 1}]', '{"week": 1}'])
def test_another_file_is_refused_and_left_alone(tmp_path: Path, content: str) -> None:
    path = tmp_path / "ledger.json"
    path.write_text(content)
    with pytest.raises(DataError, match=r"ledger\.json is not a ledger written by this course: move it"):
        Ledger(path)
    assert path.read_text() == content
