"""The learner's own ledger: for each thing tried, what it cost and what it bought.

One row a week and change, kept as JSON beside the learner's other runs, so that after twelve weeks the whole
way from the first baseline to the deployed model can be read in one table.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from course_lib.benchmarking.machine import record_machine
from course_lib.benchmarking.table import Row, html_table, text_table
from course_lib.errors import DataError
from course_lib.reproducibility import write_text_atomically


@dataclass(frozen=True)
class LedgerRow:
    """One change: what was done in which week, what it cost, what it bought, and on which machine.

    Cost and gain are text with units, written from measured values.
    """

    week: int
    change: str
    cost: str
    bought: str
    machine: str


class Ledger:
    """A table of changes in a JSON file; shows itself in a notebook.

    Parameters
    ----------
    path
        The file; it is made when the first row is entered.

    Raises
    ------
    DataError
        If the file is not a ledger.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.rows: tuple[LedgerRow, ...] = ()
        if self.path.exists():
            try:
                entries = json.loads(self.path.read_text(encoding="utf-8"))
                self.rows = tuple(LedgerRow(**entry) for entry in entries)
            except (ValueError, TypeError, OSError) as error:
                raise DataError(
                    f"{self.path} is not a ledger written by this course: move it elsewhere and start a new "
                    f'one with Ledger("{self.path}").'
                ) from error

    def enter(self, *, week: int, change: str, cost: str, bought: str) -> "Ledger":
        """Enter a row, or replace the one of the same week and change, and save; return the ledger."""
        row = LedgerRow(week, change, cost, bought, record_machine().cpu)
        others = [old for old in self.rows if (old.week, old.change) != (week, change)]
        self.rows = tuple(sorted([*others, row], key=lambda entry: entry.week))
        text = json.dumps([asdict(entry) for entry in self.rows], indent=2, ensure_ascii=False)
        write_text_atomically(self.path, text + "\n")
        return self

    def table_rows(self) -> list[Row]:
        """Return the rows, column heading → text; one row of dashes while there is none."""
        rows = self.rows or (LedgerRow(0, "–", "–", "–", "–"),)
        return [
            {
                "week": str(row.week or "–"),
                "what was done": row.change,
                "what it cost": row.cost,
                "what it bought": row.bought,
                "machine": row.machine,
            }
            for row in rows
        ]

    def __str__(self) -> str:
        return text_table(self.table_rows())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return html_table(self.table_rows())
