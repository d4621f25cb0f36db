"""What ONNX Runtime makes of a graph: the operators that really run, and how long each of them takes.

The file says what to compute; while loading, the runtime folds, fuses and exchanges operators. Which kernels
are left is told by the graph that it writes back, and the time of each by its own profiler.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx

from course_lib.errors import SettingError
from course_lib.runtimes.onnx_runtime import OnnxRuntime, with_shapes
from course_lib.runtimes.protocol import Array, ModelSource

WARMUP = 5


@dataclass(frozen=True)
class OperatorTime:
    """One operator of the optimized graph, as it ran.

    ``samples_us`` holds one time a run in whole microseconds, the profiler's resolution; the profiler itself
    adds about one to each. ``input_types`` and ``input_shapes`` leave out inputs that the runtime has packed.
    """

    name: str
    operator: str
    input_types: tuple[str, ...]
    input_shapes: tuple[tuple[int, ...], ...]
    output_shape: tuple[int, ...]
    samples_us: tuple[float, ...] = field(repr=False)

    @property
    def p50_us(self) -> float:
        """The median of its time."""
        return float(np.median(self.samples_us))


def optimized_graph(source: ModelSource, runtime: OnnxRuntime | None = None) -> onnx.ModelProto:
    """Return the graph that the runtime executes, its own operators included.

    Parameters
    ----------
    source
        An ONNX file or its content.
    runtime
        With its optimization level; all optimizations when left out.

    Raises
    ------
    ModelError, MissingPackageError
        As `OnnxRuntime.load`.
    """
    runtime = runtime or OnnxRuntime()
    options = runtime.session_options()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "optimized.onnx"
        options.optimized_model_filepath = str(path)
        runtime.create_session(source, options)
        return onnx.load(path)


def operator_times(
    source: ModelSource,
    batch: Array,
    *,
    runs: int = 30,
    threads: int = 1,
    runtime: OnnxRuntime | None = None,
) -> tuple[OperatorTime, ...]:
    """Run a model with ONNX Runtime's profiler and return its operators in order of execution.

    Parameters
    ----------
    batch
        For the model's one input.
    runs
        How often, at least 1, after a few runs that do not count.

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
        loaded = with_shapes(session, threads)
        try:
            for _ in range(WARMUP + runs):
                loaded.run(batch)
        finally:
            path = Path(session.end_profiling())
        events = json.loads(path.read_text(encoding="utf-8"))
    kernels: dict[str, list[dict[str, Any]]] = {}
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            kernels.setdefault(event["name"].removesuffix("_kernel_time"), []).append(event)
    return tuple(_operator_time(name, found[WARMUP:]) for name, found in kernels.items())


def _operator_time(name: str, events: Sequence[dict[str, Any]]) -> OperatorTime:
    facts = events[0]["args"]
    inputs = [next(iter(each.items())) for each in facts["input_type_shape"]]
    outputs = [next(iter(each.values())) for each in facts["output_type_shape"]]
    return OperatorTime(
        name=name,
        operator=facts["op_name"],
        input_types=tuple(kind for kind, _ in inputs),
        input_shapes=tuple(tuple(shape) for _, shape in inputs),
        output_shape=tuple(outputs[0]) if outputs else (),
        samples_us=tuple(float(event["dur"]) for event in events),
    )
