"""The other half of `session_memory`: reads a task as JSON, measures in this fresh process, prints JSON."""

import json
import sys
from typing import Any

import numpy as np

from course_lib.benchmarking.memory import measure_peak_memory
from course_lib.errors import SettingError
from course_lib.runtimes.onnx_model import OnnxModel, with_shapes
from course_lib.runtimes.onnx_runtime import OnnxRuntime

EXTENSIONS = {"power_of_two": 0, "as_requested": 1}


def measure(task: dict[str, Any]) -> dict[str, Any]:
    """Load and run the task's model, and return the fields of `SessionBytes` and the method."""
    entries: dict[str, Any] = {  # JSON made lists of the tuples
        key: tuple(value) if isinstance(value, list) else value for key, value in task["runtime"].items()
    }
    runtime = OnnxRuntime(**entries)
    options = runtime.session_options(task["threads"])
    if task["arena_extension"] != "power_of_two":
        _extend_arena(task["arena_extension"], options)
    batch = np.load(task["batch"])
    loaded: list[OnnxModel] = []

    def load() -> None:
        session = runtime.create_session(task["model"], options)
        loaded.append(with_shapes(session, task["threads"], runtime.run_options()))

    first = measure_peak_memory(load, runs=1)
    before = first.start_bytes
    load_bytes = _held() - before
    peaks, held = [], []
    for _ in range(task["runs"]):
        run = measure_peak_memory(lambda: loaded[0].run(batch), runs=1)
        peaks.append(run.start_bytes + run.peak_memory_bytes - before)
        held.append(_held() - before)
    return {
        "load_bytes": load_bytes,
        "load_peak_bytes": first.peak_memory_bytes,
        "peak_bytes": peaks,
        "held_bytes": held,
        "method": first.method,
    }


def _held() -> int:
    """Return what the process holds after all that is free went back to the system."""
    return measure_peak_memory(lambda: None, runs=1).start_bytes


def _extend_arena(extension: str, options: Any) -> None:
    """Register an arena for the whole process; sessions with these options share it."""
    if extension not in EXTENSIONS:
        raise SettingError(f"arena_extension is {extension!r}; pass one of {', '.join(EXTENSIONS)}.")
    import onnxruntime

    kind, place = onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, onnxruntime.OrtMemType.DEFAULT
    # 0 and -1 leave a figure to ONNX Runtime.
    figures = {"max_mem": 0, "initial_chunk_size_bytes": -1, "max_dead_bytes_per_chunk": -1}
    arena = onnxruntime.OrtArenaCfg({**figures, "arena_extend_strategy": EXTENSIONS[extension]})
    onnxruntime.create_and_register_allocator(onnxruntime.OrtMemoryInfo("Cpu", kind, 0, place), arena)
    options.add_session_config_entry("session.use_env_allocators", "1")


def main() -> None:
    """Measure the task on standard input."""
    print(json.dumps(measure(json.load(sys.stdin))))


if __name__ == "__main__":
    main()
