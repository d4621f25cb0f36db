"""How many items a second, and from which batch size on does a larger batch stop paying?"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from course_lib.benchmarking.checks import require_callable, require_count
from course_lib.benchmarking.latency import LatencyResult, measure_latency
from course_lib.benchmarking.machine import record_machine
from course_lib.benchmarking.table import MeasuredResult, Row
from course_lib.errors import SettingError


@dataclass(frozen=True, kw_only=True)
class ThroughputResult(MeasuredResult):
    """One `LatencyResult` for each batch size, in the order asked for, with all samples."""

    by_batch: tuple[LatencyResult, ...]
    derived: ClassVar[tuple[str, ...]] = ("throughput_per_s", "best_batch_size")

    @property
    def throughput_per_s(self) -> dict[int, float]:
        """Batch size → items a second."""
        return {result.items_per_call: result.throughput_per_s for result in self.by_batch}

    @property
    def best_batch_size(self) -> int:
        """The batch size with the highest throughput."""
        return max(self.by_batch, key=lambda result: result.throughput_per_s).items_per_call

    def table_rows(self) -> list[Row]:
        return [result.table_row() for result in self.by_batch]

    def notes(self) -> list[str]:
        warnings = [result.noise_warning for result in self.by_batch]
        return [*(warning for warning in warnings if warning), *super().notes()]


def measure_throughput(
    call: Callable[[Any], object],
    inputs: Any,
    *,
    batch_sizes: Sequence[int] = (1, 8, 32, 128),
    warmup: int = 3,
    runs: int = 20,
    threads: int = 1,
    seed: int = 0,
) -> ThroughputResult:
    """Time ``call(inputs[:n])`` for each batch size n.

    Parameters
    ----------
    call
        Takes one batch, for example a model.
    inputs
        Anything that can be sliced along its first axis: an array, a tensor, a list. It must hold at least
        as many items as the largest batch; cutting the batch is not timed.
    batch_sizes
        Different sizes, each at least 1.
    warmup, runs, threads, seed
        As in `measure_latency`, for each batch size.

    Raises
    ------
    SettingError
        If a number is outside its range, or ``inputs`` is shorter than a batch.
    MeasurementError
        If ``call`` is not callable or raises.
    """
    require_callable("call", call)
    sizes = [require_count("batch_sizes", size, 1) for size in batch_sizes]
    if not sizes or len(set(sizes)) < len(sizes):
        raise SettingError(
            f"batch_sizes={tuple(batch_sizes)!r} must name at least one size and none twice: "
            f"pass for example batch_sizes=(1, 8, 32)."
        )
    if len(inputs) < max(sizes):
        raise SettingError(
            f"inputs holds {len(inputs)} items, fewer than the largest batch of {max(sizes)}: "
            f"pass more inputs or smaller batch_sizes."
        )
    results = []
    for size in sizes:
        results.append(
            measure_latency(
                partial(call, inputs[:size]),
                warmup=warmup,
                runs=runs,
                items_per_call=size,
                threads=threads,
                seed=seed,
                name=f"batch of {size}",
            )
        )
    return ThroughputResult(machine=record_machine(threads, seed), by_batch=tuple(results))
