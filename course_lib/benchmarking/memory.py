"""How much memory does a run need at its worst moment?"""

import ctypes
import gc
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import psutil

from course_lib.benchmarking.checks import explained_failure, require_callable, require_count
from course_lib.benchmarking.machine import record_machine
from course_lib.benchmarking.number_text import format_bytes
from course_lib.benchmarking.table import MeasuredResult, Row
from course_lib.errors import MeasurementError

HIGH_WATER_MARK = "high-water mark"
SAMPLED = "sampled"


@dataclass(frozen=True, kw_only=True)
class PeakMemoryResult(MeasuredResult):
    """Peak resident memory of each run above what the process held just before it.

    ``method`` is ``"high-water mark"`` (kept by the kernel, misses nothing) or ``"sampled"`` (read every
    millisecond, may miss a short peak). ``start_bytes`` is what the process held before the first run.
    """

    samples_bytes: tuple[int, ...] = field(repr=False)
    start_bytes: int
    method: str
    name: str = "call"
    derived: ClassVar[tuple[str, ...]] = ("peak_memory_bytes",)

    @property
    def peak_memory_bytes(self) -> int:
        """The largest of the runs: usually the first, which also allocates what a runtime keeps."""
        return max(self.samples_bytes)

    def table_row(self) -> Row:
        return {
            "measured": self.name,
            "peak memory": format_bytes(self.peak_memory_bytes),
            "each run": ", ".join(format_bytes(sample) for sample in self.samples_bytes),
            "before": format_bytes(self.start_bytes),
            "method": self.method,
        }


def measure_peak_memory(
    call: Callable[[], object],
    *,
    runs: int = 3,
    threads: int = 1,
    seed: int = 0,
    name: str = "call",
    process_folder: Path = Path("/proc/self"),
) -> PeakMemoryResult:
    """Run a callable and return the peak of the process's resident memory above its start.

    Memory that the process already holds is reused without showing: garbage is collected and the
    allocator's free pages are handed back before each run, but a runtime's own pool stays. So measure a
    model's first run, in a process that has done little else. Other threads' allocations are counted too.

    Parameters
    ----------
    call
        Called without arguments; what it returns counts as part of the run.
    runs
        How often, at least 1. There is no warm-up: the first run is the one that allocates.
    threads, seed
        What the call was set up with, for the record; see `record_machine`.
    name
        What to call it in tables.
    process_folder
        Where Linux describes the running process; where that cannot be reset, memory is sampled.

    Raises
    ------
    SettingError
        If a number is outside its range.
    MeasurementError
        If ``call`` is not callable or raises.
    """
    require_callable("call", call)
    require_count("runs", runs, 1)
    machine = record_machine(threads, seed)
    method = HIGH_WATER_MARK if _reset_high_water_mark(process_folder) else SAMPLED
    starts, peaks = [], []
    with explained_failure(name):
        for _ in range(runs):
            _release_unused_memory()
            if method == HIGH_WATER_MARK:
                start, peak = _peak_by_kernel(call, process_folder)
            else:
                start, peak = _peak_by_sampling(call)
            starts.append(start)
            peaks.append(peak)
    return PeakMemoryResult(
        machine=machine,
        samples_bytes=tuple(max(0, peak - start) for start, peak in zip(starts, peaks, strict=True)),
        start_bytes=starts[0],
        method=method,
        name=name,
    )


def _reset_high_water_mark(process_folder: Path) -> bool:
    # Writing 5 sets the mark VmHWM back to the memory held now (proc(5), clear_refs).
    try:
        (process_folder / "clear_refs").write_text("5")
        _read_high_water_mark(process_folder)
    except (OSError, MeasurementError):
        return False
    return True


def _read_high_water_mark(process_folder: Path) -> int:
    for line in (process_folder / "status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise MeasurementError(f"{process_folder / 'status'} has no line VmHWM: pass another process_folder.")


def _peak_by_kernel(call: Callable[[], object], process_folder: Path) -> tuple[int, int]:
    _reset_high_water_mark(process_folder)
    start = _read_high_water_mark(process_folder)
    call()
    return start, _read_high_water_mark(process_folder)


def _peak_by_sampling(call: Callable[[], object], period_s: float = 0.001) -> tuple[int, int]:
    process = psutil.Process()
    start = peak = process.memory_info().rss
    finished = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not finished.wait(period_s):
            peak = max(peak, process.memory_info().rss)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        result = call()
        at_end = process.memory_info().rss
        del result  # held until here, so that what the call returns was still counted
    finally:
        finished.set()
        watcher.join()
    return start, max(peak, at_end)


def _release_unused_memory() -> None:
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it, musl does not
        if trim is not None:
            trim(0)
