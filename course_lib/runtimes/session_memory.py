"""How much memory does a session need, and how much does it keep? Measured in a process of its own.

Memory that a process once had is reused without showing, so each setting gets a fresh Python, which loads
the model and runs it a few times. Three figures, each above what that process held before:

=============  ======================================================================================
load           kept once the session is made: weights, also as the kernels want them
peak           the most at any moment, while loading or in any of the runs
held           what is kept between the runs, after all that is free went back to the system
=============  ======================================================================================

What the settings ask for: the *arena* is a pool that keeps what activations needed for the next run. It grows
to the next power of two, or exactly as requested; with shrinkage it gives memory back after each run. The
*memory pattern* takes all activations of a run in one piece. Without either, every tensor is asked of the
system. How much that changes depends on the model and on the batch. Measured with onnxruntime 1.31,
"residual" on 256 pictures held 65 MB between runs by default, 38 MB with shrinkage, 24 MB where the arena
also grew as requested, and 11 MB without an arena.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, Literal

import numpy as np

from course_lib.benchmarking.checks import require_count
from course_lib.benchmarking.machine import record_machine
from course_lib.benchmarking.number_text import format_bytes
from course_lib.benchmarking.table import MeasuredResult, Row
from course_lib.errors import MeasurementError, SettingError
from course_lib.runtimes.onnx_runtime import OnnxRuntime
from course_lib.runtimes.protocol import Array, ModelSource

Extension = Literal["power_of_two", "as_requested"]

TIME_LIMIT_S = 600


@dataclass(frozen=True)
class MemorySetting:
    """A runtime, and how its arena grows; that belongs to the process and so is no option of a runtime."""

    runtime: OnnxRuntime = field(default_factory=OnnxRuntime)
    arena_extension: Extension = "power_of_two"


MEMORY_SETTINGS: Mapping[str, MemorySetting] = {
    "default": MemorySetting(),
    "arena grows as requested": MemorySetting(arena_extension="as_requested"),
    "arena shrinks after each run": MemorySetting(OnnxRuntime(arena_shrinkage=True)),
    "no memory pattern": MemorySetting(OnnxRuntime(memory_pattern=False)),
    "no arena": MemorySetting(OnnxRuntime(arena=False)),
    "neither": MemorySetting(OnnxRuntime(arena=False, memory_pattern=False)),
}


@dataclass(frozen=True)
class SessionBytes:
    """Of one setting: kept after loading, and in each run its peak and what was kept afterwards."""

    load_bytes: int
    load_peak_bytes: int
    peak_bytes: tuple[int, ...] = field(repr=False)
    held_bytes: tuple[int, ...] = field(repr=False)

    @property
    def peak_memory_bytes(self) -> int:
        """The most at any moment."""
        return max(self.load_peak_bytes, *self.peak_bytes)


@dataclass(frozen=True, kw_only=True)
class SessionMemory(MeasuredResult):
    """Setting → its memory, for batches of one shape; ``method`` as in `PeakMemoryResult`."""

    batch_shape: tuple[int, ...]
    results: Mapping[str, SessionBytes]
    method: str
    derived: ClassVar[tuple[str, ...]] = ("peak_memory_bytes",)

    @property
    def peak_memory_bytes(self) -> dict[str, int]:
        """Setting → the most at any moment."""
        return {name: each.peak_memory_bytes for name, each in self.results.items()}

    def table_rows(self) -> list[Row]:
        return [
            {
                "setting": name,
                "load": format_bytes(each.load_bytes),
                "peak": format_bytes(each.peak_memory_bytes),
                "held after each run": ", ".join(format_bytes(held) for held in each.held_bytes),
            }
            for name, each in self.results.items()
        ]

    def notes(self) -> list[str]:
        shape = "×".join(map(str, self.batch_shape))
        return [
            f"Batch of {shape}; each setting in a process of its own, above what that held before loading "
            f"({self.method}).",
            *super().notes(),
        ]


def measure_session_memory(
    source: ModelSource,
    batch: Array,
    settings: Mapping[str, MemorySetting] = MEMORY_SETTINGS,
    *,
    runs: int = 3,
    threads: int = 1,
    on_setting: Callable[[str], None] | None = None,
) -> SessionMemory:
    """Load and run a model under each setting, in a new process each, and measure its memory.

    Parameters
    ----------
    runs
        How often it runs in each process, at least 1.
    on_setting
        Called with the name of each setting when it is done; a setting takes about two seconds.

    Raises
    ------
    SettingError
        If there are no settings or a number is outside its range.
    ModelError, MissingPackageError
        As `OnnxRuntime.load` and `OnnxModel.run`, which the first setting tries here.
    MeasurementError
        If a process fails or hangs.
    """
    require_count("runs", runs, 1)
    if not settings:
        raise SettingError("measure_session_memory got no settings; leave them out for MEMORY_SETTINGS.")
    next(iter(settings.values())).runtime.load(source, threads=threads).run(batch)
    results, method = {}, ""
    with TemporaryDirectory() as name:
        folder = Path(name)
        np.save(folder / "batch.npy", batch)
        if isinstance(source, bytes):
            model = folder / "model.onnx"
            model.write_bytes(source)
        else:
            model = Path(str(source)).resolve()
        for title, setting in settings.items():
            found = _measure_in_child(folder, model, setting, runs, threads, title)
            method = found.pop("method")
            found |= {key: tuple(found[key]) for key in ("peak_bytes", "held_bytes")}
            results[title] = SessionBytes(**found)
            if on_setting is not None:
                on_setting(title)
    return SessionMemory(
        machine=record_machine(threads), batch_shape=batch.shape, results=results, method=method
    )


def _measure_in_child(
    folder: Path, model: Path, setting: MemorySetting, runs: int, threads: int, title: str
) -> dict[str, Any]:
    task = {
        "model": str(model),
        "batch": str(folder / "batch.npy"),
        "runtime": asdict(setting.runtime),
        "arena_extension": setting.arena_extension,
        "runs": runs,
        "threads": threads,
    }
    command = [sys.executable, "-m", "course_lib.runtimes.session_memory_child"]
    try:
        done = subprocess.run(
            command, input=json.dumps(task), capture_output=True, text=True, timeout=TIME_LIMIT_S
        )
    except subprocess.TimeoutExpired as error:
        raise MeasurementError(
            f"The process that measures {title!r} was stopped after {TIME_LIMIT_S} s; pass a smaller batch."
        ) from error
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
        raise MeasurementError(
            f"The process that measures {title!r} failed ({reason.rstrip('.')}); pass a smaller batch, or "
            "leave this setting out."
        )
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result
