"""Claims of the literature beside what was measured here, with a verdict that nobody types in.

>>> print(ClaimTable((Claim("a file 4 times smaller", measured=3.25, unit="times", low=4.0),)))
| claim                  | measured here | verdict            |
|------------------------|---------------|--------------------|
| a file 4 times smaller | 3.25 times    | does not hold here |
"""

from dataclasses import dataclass
from math import inf, isinf

from course_lib.benchmarking.intervals import Interval
from course_lib.benchmarking.number_text import significant
from course_lib.benchmarking.table import Row, html_table, text_table


@dataclass(frozen=True)
class Claim:
    """One claim about one measured number.

    Parameters
    ----------
    text
        What is claimed, of what.
    measured
        The number found here, in ``unit``.
    low, high
        The claim holds for numbers from ``low`` to ``high``, both included.
    interval
        95 % interval of ``measured``, where it is known.
    """

    text: str
    measured: float
    unit: str
    low: float = -inf
    high: float = inf
    interval: Interval | tuple[float, float] | None = None

    @property
    def verdict(self) -> str:
        """Whether it holds; with an interval that reaches over an end of the claim, that is not settled."""
        first, last = self.interval or (self.measured, self.measured)
        if self.low <= first and last <= self.high:
            return "holds here"
        if last < self.low or self.high < first:
            return "does not hold here"
        return "not settled: the interval holds the limit"

    @property
    def range_text(self) -> str:
        """The claimed range in words."""
        if isinf(self.low):
            return f"at most {self.high:g}"
        return f"at least {self.low:g}" if isinf(self.high) else f"{self.low:g} to {self.high:g}"

    def row(self) -> Row:
        """Return it as a row, column heading → text."""
        measured = f"{significant(self.measured)} {self.unit}"
        if self.interval is not None:
            measured += " ({} to {})".format(*(significant(end) for end in self.interval))
        return {"claim": self.text, "measured here": measured, "verdict": self.verdict}


@dataclass(frozen=True, repr=False)
class ClaimTable:
    """Claims as a table; shows itself in a notebook."""

    claims: tuple[Claim, ...]

    def __str__(self) -> str:
        return text_table([claim.row() for claim in self.claims])

    __repr__ = __str__  # what a page without HTML shows

    def _repr_html_(self) -> str:
        return html_table([claim.row() for claim in self.claims])
