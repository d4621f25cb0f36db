"""What ONNX Runtime makes of a graph: the operators that really run, and how long each of them takes.

The file says what to compute; while loading, the runtime folds, fuses and exchanges operators. Which kernels
are left is told by the graph that it writes back, and the time of each by its own profiler.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx

from course_lib.runtimes.onnx_profile import Event, node_name, profile_runs
from course_lib.runtimes.onnx_runtime import OnnxRuntime
from course_lib.runtimes.protocol import Array, ModelSource


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
    kernels: dict[str, list[Event]] = {}
    for run in profile_runs(source, batch, runs=runs, threads=threads, runtime=runtime):
        for event in run.operators:
            kernels.setdefault(node_name(event), []).append(event)
    return tuple(_operator_time(name, found) for name, found in kernels.items())


def _operator_time(name: str, events: Sequence[Event]) -> OperatorTime:
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
