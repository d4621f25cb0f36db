"""How much energy does one call take? Counters where the machine has them, otherwise a labelled model."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import ClassVar

import numpy as np

from course_lib.benchmarking.checks import explained_failure, require_callable, require_count
from course_lib.benchmarking.intervals import Interval, median_interval
from course_lib.benchmarking.machine import record_machine
from course_lib.benchmarking.number_text import significant
from course_lib.benchmarking.table import MeasuredResult, Row
from course_lib.errors import MeasurementError, SettingError

COUNTER = "counter"
MODEL = "model"


@dataclass(frozen=True, kw_only=True)
class EnergyResult(MeasuredResult):
    """Energy per call, one sample for each block of ``runs`` calls.

    ``source`` is ``"counter"`` (the processor's own energy counters, which include whatever else ran) or
    ``"model"`` (time × ``assumed_power_w``, no energy was measured); one result never mixes the two.
    ``assumed_power_w`` is None for counters.
    """

    samples_j: tuple[float, ...] = field(repr=False)
    runs: int
    source: str
    assumed_power_w: float | None
    name: str = "call"
    derived: ClassVar[tuple[str, ...]] = ("energy_per_call_j", "energy_interval_j")

    @property
    def energy_per_call_j(self) -> float:
        """The median over the blocks, in joules."""
        return float(np.median(self.samples_j))

    @property
    def energy_interval_j(self) -> Interval:
        """The interval of that median (`median_interval`)."""
        return median_interval(self.samples_j)

    def table_row(self) -> Row:
        interval = self.energy_interval_j
        scaled = Interval(1000 * interval.low, 1000 * interval.high, interval.confidence)
        assumed = "" if self.assumed_power_w is None else f" (assumes {significant(self.assumed_power_w)} W)"
        return {
            "measured": self.name,
            "energy mJ": significant(1000 * self.energy_per_call_j),
            f"{interval.confidence:.0%} interval": scaled.text(),
            "source": self.source + assumed,
            "blocks × runs": f"{len(self.samples_j)} × {self.runs}",
        }


@dataclass(frozen=True)
class EnergyCounter:
    """One RAPL zone of a processor package: a count of microjoules that starts again at its range."""

    folder: Path
    range_uj: int

    def read_uj(self) -> int:
        """Return the count now, in microjoules."""
        file = self.folder / "energy_uj"
        try:
            return int(file.read_text())
        except (OSError, ValueError) as error:
            raise MeasurementError(
                f"The energy counter {file} cannot be read: allow reading it, or pass a root without "
                f"counters to use the model."
            ) from error

    def used_uj(self, before: int, after: int) -> int:
        """Return the energy between two readings less than one turn of the counter apart."""
        return after - before if after >= before else after - before + self.range_uj


def find_counters(root: Path) -> list[EnergyCounter]:
    """Return the readable package zones under a powercap folder; empty where there are none.

    Zones inside a package (cores) and the zone of the whole platform count the same energy again and are
    left out; so is memory outside the package.
    """
    counters = []
    for folder in sorted(root.glob("intel-rapl:*")):
        try:
            if not (folder / "name").read_text().startswith("package"):
                continue
            counter = EnergyCounter(folder, int((folder / "max_energy_range_uj").read_text()))
            counter.read_uj()
        except (OSError, ValueError, MeasurementError):
            return []  # part of the packages would be less than the machine's energy: use the model instead
        counters.append(counter)
    return counters


def measure_energy(
    call: Callable[[], object],
    *,
    power_w: float,
    warmup: int = 10,
    runs: int = 100,
    blocks: int = 10,
    threads: int = 1,
    seed: int = 0,
    name: str = "call",
    root: Path = Path("/sys/class/powercap"),
) -> EnergyResult:
    """Measure the energy of one call by the processor's counters, or model it where there are none.

    The counters move about once a millisecond, so each sample is a block of ``runs`` calls divided by
    ``runs``. They can usually be read by the administrator only.

    Parameters
    ----------
    call
        Called without arguments.
    power_w
        The power in watts to assume where no counter can be read: energy = power × time. State where it
        comes from, for example the processor's data sheet. Not used with counters.
    warmup
        Calls before the first block, at least 0.
    runs, blocks
        Calls in a block and number of blocks, each at least 1.
    threads, seed
        What the call was set up with, for the record; see `record_machine`.
    name
        What to call it in tables.
    root
        The folder of Linux's powercap interface.

    Raises
    ------
    SettingError
        If a number is outside its range.
    MeasurementError
        If ``call`` is not callable or raises, or a counter stands still or stops being readable.

    References
    ----------
    H. David et al., "RAPL: memory power estimation and capping", 2010.
    """
    require_callable("call", call)
    require_count("warmup", warmup, 0)
    require_count("runs", runs, 1)
    require_count("blocks", blocks, 1)
    if not 0 < power_w < math.inf:
        raise SettingError(
            f"power_w={power_w!r} is not a power: pass watts above 0, for example power_w=15.0."
        )
    machine = record_machine(threads, seed)
    counters = find_counters(root)
    samples_j = []
    with explained_failure(name):
        for _ in range(warmup):
            call()
        for _ in range(blocks):
            spent_j = _block_by_counter(call, runs, counters) if counters else _block_s(call, runs) * power_w
            samples_j.append(spent_j / runs)
    if counters and min(samples_j) <= 0:
        raise MeasurementError(
            f"The energy counter stood still during {runs} calls of {name}: use more calls, "
            f"for example runs={10 * runs}."
        )
    return EnergyResult(
        machine=machine,
        samples_j=tuple(samples_j),
        runs=runs,
        source=COUNTER if counters else MODEL,
        assumed_power_w=None if counters else float(power_w),
        name=name,
    )


def _block_s(call: Callable[[], object], runs: int) -> float:
    start = perf_counter()
    for _ in range(runs):
        call()
    return perf_counter() - start


def _block_by_counter(call: Callable[[], object], runs: int, counters: list[EnergyCounter]) -> float:
    before = [counter.read_uj() for counter in counters]
    for _ in range(runs):
        call()
    after = [counter.read_uj() for counter in counters]
    used = (counter.used_uj(*pair) for counter, *pair in zip(counters, before, after, strict=True))
    return sum(used) / 1e6
