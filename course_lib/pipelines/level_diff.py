"""One model at each of ONNX Runtime's optimization levels: which graph runs, and what was changed.

>>> report = diff_levels("depthwise.onnx")  # doctest: +SKIP
>>> print(report.table())  # doctest: +SKIP
>>> print(report.level("all").diff)  # doctest: +SKIP
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import onnx

from course_lib.errors import SettingError
from course_lib.export.graph_diff import GraphDiff, diff_graphs
from course_lib.export.graph_facts import GraphFacts, read_graph
from course_lib.export.onnx_source import OnnxSource, read_onnx
from course_lib.registry import look_up
from course_lib.runtimes.onnx_insight import optimized_graph
from course_lib.runtimes.onnx_runtime import LEVELS, OnnxRuntime, Optimization

ALL_LEVELS: tuple[Optimization, ...] = ("off", "basic", "extended", "all")


@dataclass(frozen=True)
class LevelGraph:
    """The graph at one level; ``diff`` compares the file with it, ``diff.after`` are its facts."""

    level: Optimization
    diff: GraphDiff
    model: onnx.ModelProto = field(repr=False)

    @property
    def facts(self) -> GraphFacts:
        """The nodes that run at this level."""
        return self.diff.after


@dataclass(frozen=True)
class LevelReport:
    """One model at several levels, in the order that was asked for; ``file`` is what they start from."""

    file: GraphFacts
    levels: tuple[LevelGraph, ...]

    def level(self, name: Optimization) -> LevelGraph:
        """Return the graph at a level.

        Raises
        ------
        UnknownNameError
            If it was not asked for.
        """
        return look_up({each.level: each for each in self.levels}, "level in this report", name)

    @property
    def operator_counts(self) -> dict[str, tuple[int, ...]]:
        """Operator → how many nodes in the file and at each level; the file's operators first."""
        columns = [self.file.operator_counts, *(each.facts.operator_counts for each in self.levels)]
        kinds = dict.fromkeys(kind for column in columns for kind in column)
        return {kind: tuple(column.get(kind, 0) for column in columns) for kind in kinds}

    def table(self) -> str:
        """Return the operator counts as a Markdown table, with the totals in its last row."""
        rows = [["operator", "file", *(each.level for each in self.levels)]]
        for kind, counts in self.operator_counts.items():
            rows.append([kind, *(str(count) if count else "" for count in counts)])
        sizes = [len(self.file.nodes), *(len(each.facts.nodes) for each in self.levels)]
        rows.append(["all nodes", *map(str, sizes)])
        rows.insert(1, ["---", *["---:"] * len(sizes)])
        return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def diff_levels(
    source: OnnxSource,
    levels: Sequence[Optimization] = ALL_LEVELS,
    *,
    runtime: OnnxRuntime | None = None,
) -> LevelReport:
    """Load a model at each level and compare the graphs that run with the one in the file.

    Parameters
    ----------
    source
        An ONNX file, its content, or a model in memory.
    runtime
        Its other options; the level is set here.

    Raises
    ------
    ModelError, MissingPackageError
        As `read_graph` and `OnnxRuntime.load`.
    SettingError, UnknownNameError
        If there is no level, or one that does not exist.
    """
    if isinstance(levels, str) or not levels:
        raise SettingError(f"levels is {levels!r}; pass some of {', '.join(ALL_LEVELS)} as a tuple.")
    for name in levels:
        look_up(LEVELS, "optimization level", name)
    model = read_onnx(source)
    file, content = read_graph(model), model.SerializeToString()
    graphs = []
    for name in levels:
        at_level = replace(runtime or OnnxRuntime(), optimization=name)
        optimized = optimized_graph(content, at_level)
        graphs.append(LevelGraph(name, diff_graphs(file, read_graph(optimized)), optimized))
    return LevelReport(file, tuple(graphs))
