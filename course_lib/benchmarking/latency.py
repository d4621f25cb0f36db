"""How long does one call take? A callable in, every sample out, and the statistics derived from them."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from time import perf_counter_ns
from typing import ClassVar

import numpy as np

from course_lib.benchmarking.checks import explained_failure, require_callable, require_count
from course_lib.benchmarking.intervals import Interval, median_interval
from course_lib.benchmarking.machine import record_machine
from course_lib.benchmarking.number_text import significant
from course_lib.benchmarking.table import MeasuredResult, Row
from course_lib.errors import MeasurementError

WIDE_INTERVAL = 0.10
"""An interval of the median wider than this fraction of the median draws a warning."""

LONG_TAIL = 2.0
"""A 95th percentile above this many medians draws a warning."""


@dataclass(frozen=True, kw_only=True)
class LatencyResult(MeasuredResult):
    """The samples of one latency measurement; every statistic is computed from them.

    ``samples_ms`` are in the order in which they were taken, ``items_per_call`` is the batch size, and
    ``warmup`` the number of calls before the first sample.

    Raises
    ------
    MeasurementError
        If there are no samples, or one is negative or not finite.
    """

    samples_ms: tuple[float, ...] = field(repr=False)
    name: str = "call"
    items_per_call: int = 1
    warmup: int = 0
    derived: ClassVar[tuple[str, ...]] = (
        *("p50_ms", "p95_ms", "p99_ms", "mean_ms", "std_ms"),
        *("p50_interval_ms", "throughput_per_s", "noise_warning"),
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "samples_ms", tuple(float(sample) for sample in self.samples_ms))
        if not self.samples_ms or not all(0 <= sample < float("inf") for sample in self.samples_ms):
            raise MeasurementError(
                f"{self.name} has {len(self.samples_ms)} latency samples, of which none may be negative or "
                f"not finite and at least one is needed: take them with measure_latency."
            )

    @cached_property
    def _percentiles_ms(self) -> tuple[float, float, float]:
        p50, p95, p99 = np.percentile(self.samples_ms, (50, 95, 99))
        return float(p50), float(p95), float(p99)

    @property
    def p50_ms(self) -> float:
        """The median: half of the calls were at most this slow."""
        return self._percentiles_ms[0]

    @property
    def p95_ms(self) -> float:
        """The 95th percentile, interpolated between samples; below 20 runs it is close to the maximum."""
        return self._percentiles_ms[1]

    @property
    def p99_ms(self) -> float:
        """The 99th percentile, interpolated between samples; below 100 runs it is close to the maximum."""
        return self._percentiles_ms[2]

    @cached_property
    def mean_ms(self) -> float:
        """The arithmetic mean, which a few slow calls can move far."""
        return float(np.mean(self.samples_ms))

    @cached_property
    def std_ms(self) -> float:
        """The sample standard deviation (n − 1 in the denominator); NaN for a single sample."""
        return float(np.std(self.samples_ms, ddof=1)) if len(self.samples_ms) > 1 else float("nan")

    @cached_property
    def p50_interval_ms(self) -> Interval:
        """The 95 % interval of the median (`median_interval`)."""
        return median_interval(self.samples_ms)

    @property
    def throughput_per_s(self) -> float:
        """Items a second over the whole measurement: all items divided by all the time."""
        return self.items_per_call * 1000 / self.mean_ms if self.mean_ms else float("inf")

    @property
    def noise_warning(self) -> str | None:
        """One sentence when the samples are too few or too noisy to trust, otherwise None."""
        interval = self.p50_interval_ms
        if interval.confidence < 0.95:
            return (
                f"{self.name}: {len(self.samples_ms)} runs are too few for a 95 % interval, take at least 6."
            )
        if interval.high - interval.low > WIDE_INTERVAL * self.p50_ms:
            spread = (interval.high - interval.low) / self.p50_ms if self.p50_ms else float("inf")
            return (
                f"{self.name}: the 95 % interval of the median spans {spread:.0%} of it, "
                f"so take more runs or close other programs before comparing it."
            )
        if self.p95_ms > LONG_TAIL * self.p50_ms:
            return (
                f"{self.name}: one call in twenty took {self.p95_ms / self.p50_ms:.1f} times the median or "
                f"longer, so something else used the machine and only medians of interleaved runs compare."
            )
        return None

    def table_row(self) -> Row:
        interval = self.p50_interval_ms
        return {
            "measured": self.name,
            "p50 ms": significant(self.p50_ms),
            f"{interval.confidence:.0%} interval": interval.text(),
            "p95 ms": significant(self.p95_ms),
            "p99 ms": significant(self.p99_ms),
            "mean ± std ms": f"{significant(self.mean_ms)} ± {significant(self.std_ms)}",
            "items/s": significant(self.throughput_per_s),
            "items a call": str(self.items_per_call),
            "runs": str(len(self.samples_ms)),
        }

    def notes(self) -> list[str]:
        return [*([self.noise_warning] if self.noise_warning else []), *super().notes()]


def measure_latency(
    call: Callable[[], object],
    *,
    warmup: int = 10,
    runs: int = 100,
    items_per_call: int = 1,
    threads: int = 1,
    seed: int = 0,
    name: str = "call",
) -> LatencyResult:
    """Time a callable ``runs`` times, after ``warmup`` calls that are not counted.

    The first calls of a model allocate memory, fill caches and choose kernels; they belong to start-up.
    Python's garbage collector waits while the clock runs, as in `timeit`. To compare two things use
    `compare_latency`: results of separate measurements differ because the machine changes in between.

    Parameters
    ----------
    call
        Called without arguments; it must have finished its work when it returns.
    warmup
        Calls before the first sample, at least 0.
    runs
        Samples to take, at least 1; an interval of the median needs 6.
    items_per_call
        Items that one call processes (its batch size), for the throughput.
    threads, seed
        What the call was set up with, for the record; see `record_machine`.
    name
        What to call it in tables and warnings.

    Raises
    ------
    SettingError
        If a number is outside its range.
    MeasurementError
        If ``call`` is not callable or raises.
    """
    require_callable("call", call)
    require_count("warmup", warmup, 0)
    require_count("runs", runs, 1)
    require_count("items_per_call", items_per_call, 1)
    machine = record_machine(threads, seed)
    with explained_failure(name), garbage_collection_paused():
        for _ in range(warmup):
            call()
        samples_ms = tuple(time_once(call) for _ in range(runs))
    return LatencyResult(
        samples_ms=samples_ms, machine=machine, name=name, items_per_call=items_per_call, warmup=warmup
    )


def time_once(call: Callable[[], object]) -> float:
    """Return how many milliseconds one call takes."""
    start = perf_counter_ns()
    call()
    return (perf_counter_ns() - start) / 1e6


@contextmanager
def garbage_collection_paused() -> Iterator[None]:
    """Keep the garbage collector from running inside a timed block; it is switched on again afterwards."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
