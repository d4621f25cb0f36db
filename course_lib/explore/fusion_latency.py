"""Time a model at one optimization level in turns with level off, and node by node.

A first answer comes after a tenth of the rounds and the best one after all of them; the samples are kept and
pooled, so what is shown never jumps to a fresh measurement.

Worked example: 300 rounds are planned. After 30 the ratio may be 0.52 (0.48 to 0.57), after all 300 it is
0.53 (0.52 to 0.54).
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from course_lib.benchmarking.compare import LatencyComparison, compare_latency
from course_lib.benchmarking.latency import LatencyResult
from course_lib.errors import SettingError
from course_lib.explore.cancelling import Cancelled
from course_lib.explore.fusion_result import LevelLatency
from course_lib.export.graph_facts import GraphFacts
from course_lib.runtimes.onnx_insight import OperatorTime, operator_times
from course_lib.runtimes.onnx_model import OnnxModel
from course_lib.runtimes.onnx_runtime import OnnxRuntime
from course_lib.runtimes.protocol import Array

SECONDS = 0.6
MIN_ROUNDS, MAX_ROUNDS = 24, 300
SHARES = (0.1, 0.35, 1.0)
"""After which part of the rounds a result is given."""

PROFILED_SECONDS = 0.1
MIN_PROFILED, MAX_PROFILED = 5, 40


def measure_level(
    level: OnnxModel, off: OnnxModel, batch: Array, cancelled: Callable[[], bool] = lambda: False
) -> Iterator[LevelLatency]:
    """Yield the latency of a loaded model beside the one at level off, from more and more rounds.

    Parameters
    ----------
    cancelled
        Asked before every run.

    Raises
    ------
    Cancelled
        Once ``cancelled()`` says True.
    ModelError
        If the model does not take the batch.
    """

    def call(loaded: OnnxModel) -> Callable[[], object]:
        def run() -> object:
            if cancelled():
                raise Cancelled
            return loaded.run(batch)

        return run

    calls = {"level": call(level), "off": call(off)}
    planned = int(np.clip(SECONDS / _seconds(calls), MIN_ROUNDS, MAX_ROUNDS))
    parts: list[LatencyComparison] = []
    done = 0
    for number, share in enumerate(SHARES):
        rounds = max(1, round(share * planned) - done)
        done += rounds
        parts.append(
            compare_latency(calls, baseline="off", warmup=1 if number else 3, runs=rounds, seed=number)
        )
        yield LevelLatency(_pooled(parts, "level"), _pooled(parts, "off"), planned)


def node_times(
    content: bytes, facts: GraphFacts, batch: Array, runtime: OnnxRuntime, p50_ms: float
) -> dict[str, float]:
    """Return node that runs → median of its time in microseconds, from the runtime's own profiler.

    Parameters
    ----------
    facts
        Of the graph that runs.
    p50_ms
        About how long one run takes, which decides how often it is repeated.
    """
    runs = int(np.clip(1000 * PROFILED_SECONDS / max(p50_ms, 1e-3), MIN_PROFILED, MAX_PROFILED))
    return times_by_node(facts, operator_times(content, batch, runs=runs, runtime=runtime))


def times_by_node(facts: GraphFacts, operators: Sequence[OperatorTime]) -> dict[str, float]:
    """Match the profiler's kernels with the nodes of a graph: by name, and without one by type and order."""
    names = {node.name for node in facts.nodes}
    times = {each.name: each.p50_us for each in operators if each.name in names}
    nameless = [each for each in operators if each.name not in names]
    for node in facts.nodes:
        match = next((each for each in nameless if each.operator == node.operator), None)
        if node.name not in times and match is not None:
            times[node.name] = match.p50_us
            nameless.remove(match)
    return times


def example_input(loaded: OnnxModel, input_shape: Sequence[int]) -> Array:
    """Return one made-up input: normal numbers, or zeros where the model takes whole numbers.

    Parameters
    ----------
    input_shape
        Without the batch; used where the model leaves axes free.

    Raises
    ------
    SettingError
        If the model has several inputs or outputs, or leaves axes free for which there is no length.
    """
    if len(loaded.input_names) != 1 or len(loaded.output_names) != 1:
        raise SettingError(
            f"This model has {len(loaded.input_names)} inputs and {len(loaded.output_names)} outputs, and "
            "latency is measured for one of each; its graph is shown all the same."
        )
    declared = loaded.input_shape or (None, *input_shape)
    fallback = (1, *input_shape)
    if len(declared) != len(fallback) and None in declared[1:]:
        shape = ", ".join("any" if axis is None else str(axis) for axis in declared)
        raise SettingError(
            f"This model takes input of shape ({shape}), which leaves more open than the batch; pass "
            "input_shape with a length for each axis after the first, such as (3, 224, 224)."
        )
    lengths = [fallback[at] if axis is None else axis for at, axis in enumerate(declared)]
    if loaded.input_dtype.startswith("float"):
        normal: Array = np.random.default_rng(0).standard_normal(lengths).astype(loaded.input_dtype)
        return normal
    return np.zeros(lengths, loaded.input_dtype)


def _pooled(parts: Sequence[LatencyComparison], name: str) -> LatencyResult:
    samples = [sample for part in parts for sample in part.results[name].samples_ms]
    return LatencyResult(samples_ms=tuple(samples), machine=parts[0].machine, name=name, warmup=3)


def _seconds(calls: Mapping[str, Callable[[], object]]) -> float:
    """Return how long one run of each takes together, in the quicker of two rounds."""
    rounds = []
    for _ in range(2):
        started = time.perf_counter()
        for call in calls.values():
            call()
        rounds.append(time.perf_counter() - started)
    return min(rounds)
