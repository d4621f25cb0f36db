"""The session options that the tuner chooses among, and how a session is made with them.

``SessionSetting()`` is what ``onnxruntime.SessionOptions()`` gives without being asked for anything: all
optimizations, one thread a physical core, waiting threads that spin, a pool, and a memory pattern.
"""

from dataclasses import dataclass, fields, replace
from typing import Literal

import psutil

from course_lib.registry import look_up
from course_lib.runtimes.io_binding import bind
from course_lib.runtimes.onnx_model import with_shapes
from course_lib.runtimes.onnx_runtime import LEVELS, ExecutionMode, OnnxRuntime, Optimization
from course_lib.runtimes.protocol import Array, LoadedModel, ModelSource

Waiting = Literal["spin", "spin while running", "sleep"]

WAITING = {"spin": (True, False), "spin while running": (True, True), "sleep": (False, False)}
"""What a thread does without work → allow_spinning, stop_spinning of `OnnxRuntime`."""


@dataclass(frozen=True)
class SessionSetting:
    """Options of one session; see `OnnxRuntime` for their meaning.

    ``threads`` is None for ONNX Runtime's own choice, one a physical core. With ``io_binding`` the input is
    copied into a bound array and the output out of one, which is part of its time.
    """

    optimization: Optimization = "all"
    threads: int | None = None
    waiting: Waiting = "spin"
    execution_mode: ExecutionMode = "sequential"
    arena: bool = True
    memory_pattern: bool = True
    io_binding: bool = False

    def __str__(self) -> str:
        changed = [entry for entry in fields(self) if getattr(self, entry.name) != entry.default]
        listed = ", ".join(f"{entry.name}={getattr(self, entry.name)!r}" for entry in changed)
        return listed or "default"

    @property
    def thread_count(self) -> int:
        """How many threads it computes with on this machine."""
        return physical_cores() if self.threads is None else self.threads

    @property
    def keeps_spinning(self) -> bool:
        """Whether threads of its session go on using a core for a while after each run."""
        return self.waiting == "spin" and self.thread_count > 1

    def runtime(self) -> OnnxRuntime:
        """Return the runtime with these options; threads and binding are none of its options."""
        allow_spinning, stop_spinning = look_up(WAITING, "way of waiting", self.waiting)
        return OnnxRuntime(
            optimization=self.optimization,
            allow_spinning=allow_spinning,
            stop_spinning=stop_spinning,
            execution_mode=self.execution_mode,
            arena=self.arena,
            memory_pattern=self.memory_pattern,
        )

    def load(self, source: ModelSource, example: Array) -> LoadedModel:
        """Make a session, bound to batches like the example if the setting says so.

        Raises
        ------
        ModelError, SettingError, MissingPackageError
            As `OnnxRuntime.load` and `bind`.
        """
        runtime = self.runtime()
        options = runtime.session_options(self.thread_count)
        if self.threads is None:
            options.intra_op_num_threads = 0  # its own choice, which pins each thread to a core as well
        model = with_shapes(runtime.create_session(source, options), self.thread_count)
        return bind(model, example) if self.io_binding else model


DEFAULT = SessionSetting()


def physical_cores() -> int:
    """Return the number of physical cores, or of logical ones where the system does not tell."""
    return psutil.cpu_count(logical=False) or psutil.cpu_count() or 1


def thread_counts(largest: int) -> list[int]:
    """Return 1 to 4, then powers of two, and the largest: 1, 2, 3, 4, 8, 12 for 12."""
    powers = [2**power for power in range(3, largest.bit_length()) if 2**power < largest]
    return sorted({each for each in (1, 2, 3, 4, *powers, largest) if each <= largest})


def computing_settings(largest: int) -> list[SessionSetting]:
    """Return every way to compute: level × threads, and with several threads × waiting × execution mode."""
    levels: list[Optimization] = [level for level in ("off", "basic", "extended", "all") if level in LEVELS]
    single = [SessionSetting(level, threads=1) for level in levels]
    ways: list[Waiting] = ["spin", "spin while running", "sleep"]
    modes: list[ExecutionMode] = ["sequential", "parallel"]
    several = [
        SessionSetting(level, threads, waiting, mode)
        for level in levels
        for threads in thread_counts(largest)[1:]
        for waiting in ways
        for mode in modes
    ]
    return [*single, *several]


def memory_settings(base: SessionSetting) -> list[SessionSetting]:
    """Return the setting with every way to keep memory; in parallel mode there is no memory pattern."""
    patterns = (True, False) if base.execution_mode == "sequential" else (True,)
    return [
        replace(base, arena=arena, memory_pattern=pattern, io_binding=binding)
        for arena in (True, False)
        for pattern in patterns
        for binding in (False, True)
    ]
