"""How results print: the same rows as aligned text, as Markdown and as HTML, with the machine underneath."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from html import escape
from typing import Any, ClassVar

from course_lib.benchmarking.machine import MachineRecord

Row = Mapping[str, str]
"""One table row: column heading → text. All rows of a table have the same headings."""


def text_table(rows: Sequence[Row]) -> str:
    """Return the rows as an aligned table that is also valid Markdown."""
    lines = [list(rows[0])] + [list(row.values()) for row in rows]
    lines = [[cell.replace("|", "\\|") for cell in line] for line in lines]
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    text = ["| " + " | ".join(map(str.ljust, line, widths)) + " |" for line in lines]
    return "\n".join([text[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *text[1:]])


def html_table(rows: Sequence[Row]) -> str:
    """Return the rows as an HTML table; every cell is escaped."""
    head = "".join(f'<th scope="col">{escape(heading)}</th>' for heading in rows[0])
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row.values()) + "</tr>" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


@dataclass(frozen=True, kw_only=True)
class MeasuredResult:
    """Base of every result: what was measured, the machine it came from, and how it prints.

    A subclass adds its fields and `table_row`, or `table_rows` where it has several; ``derived`` names the
    properties that `as_dict` writes beside the fields.
    """

    machine: MachineRecord = field(repr=False)
    derived: ClassVar[tuple[str, ...]] = ()

    def table_row(self) -> Row:
        """Return the result as one row, column heading → text."""
        raise NotImplementedError

    def table_rows(self) -> list[Row]:
        """Return the result as rows that share their headings."""
        return [self.table_row()]

    def notes(self) -> list[str]:
        """Return the sentences under the table: the machine, and in subclasses warnings before it."""
        return [self.machine.summary()]

    def as_dict(self) -> dict[str, Any]:
        """Return the fields and the derived numbers as plain values for JSON; undefined numbers are None."""
        names = [*(entry.name for entry in fields(self)), *self.derived]
        return {name: _plain(getattr(self, name)) for name in names}

    def __str__(self) -> str:
        return "\n".join([text_table(self.table_rows()), *self.notes()])

    def _repr_html_(self) -> str:
        notes = "".join(f"<p><small>{escape(note)}</small></p>" for note in self.notes())
        return html_table(self.table_rows()) + notes


def _plain(value: Any) -> Any:
    """Return a value that strict JSON can hold, with nested results and their derived numbers written out."""
    if isinstance(value, MeasuredResult):
        return value.as_dict()
    if is_dataclass(value):
        return {entry.name: _plain(getattr(value, entry.name)) for entry in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
