"""The engine behind the fusion explorer: an optimization level in, the graph that runs and its latency out.

ONNX Runtime rewrites a model's graph while it loads it. The engine asks for the rewritten graph at every
level, finds out which of its nodes stand for which of the file's, and runs it in turns with level off.

The first result of a setting takes milliseconds, because all graphs are made when the engine is; latency
follows, first from few runs and then from more, and is remembered.

Worked example: the zoo's "residual" has 45 nodes in its file. On an x64 processor 17 run at level all:
13 of them stand for 42 of the file's, one was added to change the memory layout, and 3 are as they were.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from os import PathLike, fspath
from pathlib import Path

from course_lib.benchmarking.machine import record_machine
from course_lib.errors import CourseError
from course_lib.explore.cancelling import Cancelled, cancelled_meanwhile
from course_lib.explore.fusion_latency import example_input, measure_level, node_times
from course_lib.explore.fusion_result import LEVELS, FusionResult, FusionSetting, LevelLatency
from course_lib.explore.model_source import ZOO_INPUT, ModelSource, onnx_of
from course_lib.export.graph_diff import GraphDiff, diff_graphs
from course_lib.export.graph_facts import read_graph
from course_lib.registry import look_up
from course_lib.runtimes.onnx_insight import optimized_graph
from course_lib.runtimes.onnx_model import OnnxModel
from course_lib.runtimes.onnx_runtime import OnnxRuntime, Optimization
from course_lib.runtimes.protocol import Array

__all__ = ["LEVELS", "FusionEngine", "FusionResult", "FusionSetting"]

Measure = Callable[[OnnxModel, OnnxModel, Array, Callable[[], bool]], Iterator[LevelLatency]]


class FusionEngine:
    """A model's graph at every optimization level, and what each level saves.

    Parameters
    ----------
    source
        A name of the zoo, the path of an ``.onnx`` file, its content, or a PyTorch module.
    input_shape
        Of one input without the batch: needed to export a module, and for a file with more free axes than
        the batch.
    name
        How the model is called in results; by default the zoo's name, the file's name or the class's name.
    measure
        What measures latencies.

    Raises
    ------
    UnknownNameError
        If a name is not in the zoo.
    ModelError, ExportError
        If a file is no ONNX model or one that the runtime refuses, or a module cannot be exported.

    Examples
    --------
    >>> engine = FusionEngine("residual")  # doctest: +SKIP
    >>> print(engine.measured(FusionSetting("all")).diff)  # doctest: +SKIP
    """

    def __init__(
        self,
        source: "ModelSource | bytes",
        *,
        input_shape: Sequence[int] = ZOO_INPUT,
        name: str | None = None,
        measure: Measure = measure_level,
    ) -> None:
        self.name = name or _name_of(source)
        self.content = source if isinstance(source, bytes) else onnx_of(source, input_shape)
        self._input_shape, self._measure = tuple(input_shape), measure
        file = read_graph(self.content)
        self._diffs: dict[str, GraphDiff] = {
            level: diff_graphs(
                file, read_graph(optimized_graph(self.content, OnnxRuntime(optimization=level)))
            )
            for level in LEVELS
        }
        self._latencies: dict[Optimization, LevelLatency] = {}
        self._times_us: dict[Optimization, dict[str, float]] = {}
        self._session = cache(self._load)
        self._untimed: str | None = None
        # The first look at the machine takes a second; no slider should wait for it.
        record_machine(threads=1)

    def diff(self, level: Optimization) -> GraphDiff:
        """Return how the graph at a level differs from the file's.

        Raises
        ------
        UnknownNameError
            If there is no such level.
        """
        return look_up(self._diffs, "optimization level", level)

    def stream(
        self, setting: FusionSetting, *, cancelled: Callable[[], bool] = lambda: False
    ) -> Iterator[FusionResult]:
        """Yield the graph of a setting, then the same with measured latency, then with a better one.

        What was measured before comes with the first result; a setting that was measured before yields one.

        Parameters
        ----------
        cancelled
            Asked before every run of the measurement; once it says True, the stream ends.

        Raises
        ------
        UnknownNameError
            If there is no such level.
        """
        first = self._result(setting)
        yield first
        if first.exact or cancelled_meanwhile(cancelled):
            return
        batch = self._example()
        if batch is None:
            yield self._result(setting)
            return
        try:
            yield from self._measured(setting, batch, cancelled)
        except Cancelled:
            return

    def measured(self, setting: FusionSetting) -> FusionResult:
        """Return the last result of the stream: all that was asked for is measured."""
        *_, last = self.stream(setting)
        return last

    def _measured(
        self, setting: FusionSetting, batch: Array, cancelled: Callable[[], bool]
    ) -> Iterator[FusionResult]:
        level = setting.level
        known = self._latencies.get(level)
        if known is not None and known.complete:
            self._time_nodes(setting, batch, known)
        else:
            # At level off a second session of the same graph shows how far apart equals are measured.
            loaded = self._load(level) if level == "off" else self._session(level)
            for latency in self._measure(loaded, self._session("off"), batch, cancelled):
                self._latencies[level] = latency
                if not latency.complete:
                    yield self._result(setting)
                # The second of the results has them; the first should not wait for them.
                self._time_nodes(setting, batch, latency)
        yield self._result(setting)

    def _time_nodes(self, setting: FusionSetting, batch: Array, known: LevelLatency) -> None:
        level = setting.level
        if setting.timed and level not in self._times_us:
            runtime = OnnxRuntime(optimization=level)
            facts = self._diffs[level].after
            self._times_us[level] = node_times(self.content, facts, batch, runtime, known.level.p50_ms)

    def _result(self, setting: FusionSetting) -> FusionResult:
        return FusionResult(
            model=self.name,
            setting=setting,
            diff=self.diff(setting.level),
            node_counts={level: len(self._diffs[level].after.nodes) for level in LEVELS},
            latencies=dict(self._latencies),
            times_us=self._times_us.get(setting.level) if setting.timed else None,
            untimed=self._untimed or "",
        )

    def _example(self) -> Array | None:
        """Return an input that the model takes, or None and remember why there is none."""
        if self._untimed:
            return None
        try:
            off = self._session("off")
            batch = example_input(off, self._input_shape)
            off.run(batch)
        except CourseError as error:
            self._untimed = str(error)
            return None
        return batch

    def _load(self, level: Optimization) -> OnnxModel:
        return OnnxRuntime(optimization=level).load(self.content, threads=1)


def _name_of(source: "ModelSource | bytes") -> str:
    if isinstance(source, bytes):
        return "model"
    return Path(fspath(source)).name if isinstance(source, str | PathLike) else type(source).__name__
