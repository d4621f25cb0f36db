"""What every benchmark script shares: its options, its table and its JSON object.

A script holds one function ``measure(quick: bool)`` that returns its figures, key → number, with the unit
as the key's suffix, and ends with::

    if __name__ == "__main__":
        run(measure, targets={"first_p50_ms": Target(high=60), "coverage": Target(low=0.93, high=0.99)})

What it prints on the way (progress) belongs on stderr; ``--json`` is then the last thing on stdout.
"""

import argparse
import inspect
import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from course_lib.benchmarking.machine import record_machine
from course_lib.benchmarking.number_text import significant
from course_lib.benchmarking.table import Row, text_table

Figures = Mapping[str, Any]


@dataclass(frozen=True)
class Target:
    """The range that a figure should lie in, bounds included; a yes-or-no figure counts as 1 or 0."""

    low: float | None = None
    high: float | None = None

    def holds(self, value: float | None) -> bool:
        """Return whether the value lies in the range; a value that could not be measured does not."""
        if value is None:
            return False
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)

    def __str__(self) -> str:
        low, high = (None if bound is None else _text(bound) for bound in (self.low, self.high))
        if low is not None and high is not None:
            return f"{low} to {high}"
        return f"at least {low}" if low is not None else f"at most {high}"


def run(
    measure: Callable[[bool], Figures],
    targets: Mapping[str, Target] | None = None,
    threads: int = 1,
    seed: int = 0,
) -> None:
    """Read the options, measure, and print the figures as a table and, when asked, as one JSON object.

    Parameters
    ----------
    measure
        Called with True for the quick run; returns the same keys either way. Nested values are shown in the
        JSON only.
    targets
        Key → range. A missed target is said in the table; it is no error, for machines differ.
    threads, seed
        What the measurement used; recorded with the machine.
    """
    options = _parse_options(inspect.getdoc(inspect.getmodule(measure)) or "")
    machine = record_machine(threads=threads, seed=seed)
    start = time.perf_counter()
    figures = measure(options.quick)
    duration_s = time.perf_counter() - start
    print(text_table(table_rows(figures, targets or {})))
    print(f"{'Quick run' if options.quick else 'Run'} of {duration_s:.0f} s on {machine.summary()}")
    if options.json:
        run_facts = {"quick": options.quick, "duration_s": round(duration_s, 3), "machine": machine.as_dict()}
        print(json.dumps({**figures, **run_facts}, allow_nan=False))


def table_rows(figures: Figures, targets: Mapping[str, Target]) -> list[Row]:
    """Return one row for each plain figure: its name, its value, its target and whether that is met."""
    rows: list[Row] = []
    for name, value in figures.items():
        if isinstance(value, (Mapping, list, tuple)):
            continue
        target = targets.get(name)
        verdict = "" if target is None else "met" if target.holds(value) else "missed"
        rows.append({"figure": name, "value": _text(value), "target": str(target or ""), "": verdict})
    return rows


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return significant(value)
    return "–" if value is None else str(value)


def _parse_options(description: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{Path(sys.argv[0]).stem}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="a smaller run of under a minute, same keys")
    parser.add_argument("--json", action="store_true", help="print one JSON object after the table")
    return parser.parse_args()
