"""ONNX Runtime's own profiler: what it writes down while a model runs, sorted by run."""

import json
from bisect import bisect_right
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from course_lib.errors import SettingError
from course_lib.runtimes.onnx_runtime import OnnxRuntime, with_shapes
from course_lib.runtimes.protocol import Array, ModelSource

WARMUP = 5
"""Runs before the first that counts: they allocate memory and fill the caches."""

Event = dict[str, Any]
"""One entry of the profile: ``ts`` and ``dur`` in whole microseconds, ``tid``, ``name`` and ``args``."""

KERNEL = "_kernel_time"


@dataclass(frozen=True)
class ProfiledRun:
    """One run of a model: the whole call, and its operators in the order in which they began."""

    whole: Event
    operators: tuple[Event, ...]


def profile_runs(
    source: ModelSource, batch: Array, *, runs: int, threads: int = 1, runtime: OnnxRuntime | None = None
) -> tuple[ProfiledRun, ...]:
    """Run a model under ONNX Runtime's profiler and return ``runs`` runs, after a few that do not count.

    Raises
    ------
    SettingError
        If ``runs`` is below 1.
    ModelError, MissingPackageError
        As `OnnxRuntime.load` and `OnnxModel.run`.
    """
    if runs < 1:
        raise SettingError(f"runs is {runs}; pass at least 1, such as 30.")
    runtime = runtime or OnnxRuntime()
    options = runtime.session_options(threads)
    with TemporaryDirectory() as folder:
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "profile")
        session = runtime.create_session(source, options)
        loaded = with_shapes(session, threads, runtime.run_options())
        try:
            for _ in range(WARMUP + runs):
                loaded.run(batch)
        finally:
            path = Path(session.end_profiling())
        events = json.loads(path.read_text(encoding="utf-8"))
    return _by_run(events)[WARMUP:]


def node_name(event: Event) -> str:
    """Return the name of the node whose kernel an event is."""
    name: str = event["name"]
    return name.removesuffix(KERNEL)


def _by_run(events: list[Event]) -> tuple[ProfiledRun, ...]:
    """Sort kernels into the runs in which they began; between two runs Python passes some microseconds."""
    wholes = sorted((event for event in events if event["name"] == "model_run"), key=_start)
    kernels = [event for event in events if event.get("cat") == "Node" and event["name"].endswith(KERNEL)]
    found: list[list[Event]] = [[] for _ in wholes]
    starts = [_start(event) for event in wholes]
    for event in sorted(kernels, key=_start):
        found[bisect_right(starts, _start(event)) - 1].append(event)
    return tuple(ProfiledRun(whole, tuple(each)) for whole, each in zip(wholes, found, strict=True))


def _start(event: Event) -> int:
    start: int = event["ts"]
    return start
