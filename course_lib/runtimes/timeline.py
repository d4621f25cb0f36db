"""A timeline of one run in ONNX Runtime: which operator ran when, for how long, in which thread.

>>> timeline = record_timeline("model.onnx", images[:1])  # doctest: +SKIP
>>> print(timeline)  # doctest: +SKIP

The profiler writes down every kernel of every run. The timeline is the run of median length, as it was; the
sums by type of operator are medians over all runs. Whole microseconds are its resolution, and writing adds
about one to every operator: below some ten microseconds times only rank.

What lies between the operators (Python, the look-up of input and output, waiting) is shown as such:
``between_us`` of the whole call is in no kernel.

Left out: what happens inside a kernel. The threads among which one kernel divides its work are not in the
timeline; with "sequential" execution all kernels begin in the calling thread.
"""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from course_lib.benchmarking.machine import record_machine
from course_lib.benchmarking.number_text import format_bytes, significant
from course_lib.benchmarking.table import MeasuredResult, Row
from course_lib.runtimes.onnx_profile import Event, ProfiledRun, node_name, profile_runs
from course_lib.runtimes.onnx_runtime import OnnxRuntime
from course_lib.runtimes.protocol import Array, ModelSource


@dataclass(frozen=True)
class TimelineEvent:
    """One kernel of the run.

    ``start_us`` counts from the beginning of the call, ``thread`` from 0 in the order of appearance.
    ``memory_bytes`` is what the session's pool had lent out afterwards, activations and packed weights, or
    None without the pool.
    """

    name: str
    operator: str
    start_us: int
    duration_us: int
    thread: int
    memory_bytes: int | None

    @property
    def end_us(self) -> int:
        """When it ended, in microseconds from the beginning of the call."""
        return self.start_us + self.duration_us


@dataclass(frozen=True)
class OperatorSum:
    """All kernels of one type of operator: how many in a run, and their summed time in each run."""

    operator: str
    count: int
    samples_us: tuple[int, ...] = field(repr=False)

    @property
    def p50_us(self) -> float:
        """The median of their summed time."""
        return float(np.median(self.samples_us))


@dataclass(frozen=True, kw_only=True)
class Timeline(MeasuredResult):
    """The run of median length, and the sums over all runs.

    ``events`` are in the order in which they began, ``sums`` by time, the longest first. ``whole_us`` is
    the length of the call that the events belong to.
    """

    name: str
    events: tuple[TimelineEvent, ...]
    sums: tuple[OperatorSum, ...]
    whole_us: int
    runs: int
    derived: ClassVar[tuple[str, ...]] = ("between_us", "peak_memory_bytes")

    @property
    def between_us(self) -> int:
        """How much of the call passes while no kernel runs."""
        busy, until = 0, 0
        for event in self.events:
            busy += max(0, event.end_us - max(until, event.start_us))
            until = max(until, event.end_us)
        return max(0, self.whole_us - busy)

    @property
    def peak_memory_bytes(self) -> int | None:
        """The largest ``memory_bytes`` of the run."""
        known = [event.memory_bytes for event in self.events if event.memory_bytes is not None]
        return max(known, default=None)

    def share(self, entry: OperatorSum) -> float:
        """Return which part of the time of all kernels a type of operator takes, 0 to 1."""
        total = sum(each.p50_us for each in self.sums)
        return entry.p50_us / total if total else 0.0

    def table_rows(self) -> list[Row]:
        return [
            {
                "operator": each.operator,
                "kernels": str(each.count),
                "p50 µs": significant(each.p50_us),
                "share": f"{self.share(each):.0%}",
                "µs a kernel": significant(each.p50_us / each.count),
            }
            for each in self.sums
        ]

    def notes(self) -> list[str]:
        threads = len({event.thread for event in self.events})
        peak = self.peak_memory_bytes
        memory = "" if peak is None else f", at most {format_bytes(peak)} lent out by its memory pool"
        return [
            f"{self.name}: {len(self.events)} kernels from {threads} thread{'s' * (threads != 1)}, "
            f"{self.whole_us:,} µs in the run of median length of {self.runs}, {self.between_us:,} µs "
            f"of them in no kernel{memory}.",
            *super().notes(),
        ]


def record_timeline(
    source: ModelSource,
    batch: Array,
    *,
    runs: int = 30,
    threads: int = 1,
    runtime: OnnxRuntime | None = None,
    name: str = "model",
) -> Timeline:
    """Run a model under ONNX Runtime's profiler and return its timeline.

    Parameters
    ----------
    batch
        For the model's one input.
    runs
        How often, at least 1, after a few runs that do not count.
    runtime
        With its options; the default ones when left out.
    name
        What to call the model in texts.

    Raises
    ------
    SettingError
        If ``runs`` is below 1.
    ModelError, MissingPackageError
        As `OnnxRuntime.load` and `OnnxModel.run`.
    """
    profiled = profile_runs(source, batch, runs=runs, threads=threads, runtime=runtime)
    median = sorted(profiled, key=lambda run: run.whole["dur"])[(len(profiled) - 1) // 2]
    return Timeline(
        machine=record_machine(threads),
        name=name,
        events=_events(median),
        sums=_sums(profiled),
        whole_us=median.whole["dur"],
        runs=runs,
    )


def _events(run: ProfiledRun) -> tuple[TimelineEvent, ...]:
    threads = {thread: index for index, thread in enumerate(dict.fromkeys(e["tid"] for e in run.operators))}
    return tuple(
        TimelineEvent(
            name=node_name(event),
            operator=event["args"]["op_name"],
            start_us=event["ts"] - run.whole["ts"],
            duration_us=event["dur"],
            thread=threads[event["tid"]],
            memory_bytes=_memory(event),
        )
        for event in run.operators
    )


def _memory(event: Event) -> int | None:
    text = event["args"].get("mem_bytes_in_use")
    return None if text is None else int(text)


def _sums(profiled: tuple[ProfiledRun, ...]) -> tuple[OperatorSum, ...]:
    kinds = dict.fromkeys(event["args"]["op_name"] for run in profiled for event in run.operators)
    sums = []
    for kind in kinds:
        times = [[e["dur"] for e in run.operators if e["args"]["op_name"] == kind] for run in profiled]
        counted = max(len(each) for each in times)
        sums.append(OperatorSum(kind, counted, tuple(sum(each) for each in times)))
    return tuple(sorted(sums, key=lambda each: -each.p50_us))
