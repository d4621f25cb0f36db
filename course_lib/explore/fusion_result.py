"""What is known of a model at one optimization level: picture, tiles, tables and sentences all read this.

Ratios are this level / level off, in time: 0.5 is half the time.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from course_lib.benchmarking.compare import Ratio
from course_lib.benchmarking.intervals import ratio_interval
from course_lib.benchmarking.latency import LatencyResult
from course_lib.export.graph_diff import GraphDiff
from course_lib.runtimes.onnx_runtime import Optimization

LEVELS: tuple[Optimization, ...] = ("off", "basic", "extended", "all")
"""The stops of the slider."""


@dataclass(frozen=True)
class FusionSetting:
    """One position of the explorer's controls.

    ``timed`` asks for the time of every node as well.
    """

    level: Optimization
    timed: bool = False


@dataclass(frozen=True)
class LevelLatency:
    """Latency of one input on one thread, measured in turns with the same model at level off.

    ``planned`` is how many rounds make it complete. At level off a second session of the same graph is
    compared, so the ratio's distance from 1 shows how much is noise.
    """

    level: LatencyResult
    off: LatencyResult
    planned: int

    @property
    def complete(self) -> bool:
        """Whether all rounds are done."""
        return len(self.level.samples_ms) >= self.planned

    @cached_property
    def ratio(self) -> Ratio:
        """This level's median / that of level off, with its 95 % interval."""
        return Ratio(
            self.level.p50_ms / self.off.p50_ms,
            ratio_interval(self.level.samples_ms, self.off.samples_ms),
        )


@dataclass(frozen=True)
class OperatorRow:
    """One type of operator: how many in the file and at this level, and their time, None until measured."""

    kind: str
    before: int
    after: int
    p50_us: float | None


@dataclass(frozen=True, kw_only=True)
class FusionResult:
    """The state of knowledge about one setting; later results of the same setting know more.

    Attributes
    ----------
    diff
        The file's graph, the one that runs, and which nodes of one stand for which of the other.
    node_counts
        How many nodes run at each level.
    latencies
        What was measured so far, by level; this level's is `latency`.
    times_us
        Node that runs → median of its time, from the runtime's own profiler, which adds about one
        microsecond to each; None until measured, or not asked for.
    untimed
        One sentence where the model cannot be run with one made-up input, empty otherwise.
    """

    model: str
    setting: FusionSetting
    diff: GraphDiff
    node_counts: Mapping[Optimization, int]
    latencies: Mapping[Optimization, LevelLatency]
    times_us: Mapping[str, float] | None = None
    untimed: str = ""

    @property
    def latency(self) -> LevelLatency | None:
        """The latency of this level, as far as it is measured."""
        return self.latencies.get(self.setting.level)

    @property
    def exact(self) -> bool:
        """Whether nothing more will be measured."""
        if self.untimed:
            return True
        asked = self.times_us is not None or not self.setting.timed
        return asked and self.latency is not None and self.latency.complete

    @property
    def operators(self) -> tuple[OperatorRow, ...]:
        """All types of operators, those that take longest or changed most first."""
        sums: dict[str, float] = {}
        for node in self.diff.after.nodes:
            if self.times_us is not None:
                sums[node.kind] = sums.get(node.kind, 0.0) + self.times_us.get(node.name, 0.0)
        rows = [OperatorRow(*counts, sums.get(counts[0])) for counts in self.diff.operators]
        return tuple(sorted(rows, key=lambda row: -(row.p50_us or 0.0)))
