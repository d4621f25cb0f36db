"""The fusion explorer's page as plain values: the picture of both graphs, and results in words and bars.

The picture is sent once a model and level; the times of its nodes come with the results.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from course_lib.benchmarking.number_text import format_bytes, significant
from course_lib.explore.fusion_picture import DrawnNode, draw_fusion
from course_lib.explore.fusion_result import LEVELS, FusionResult, LevelLatency, OperatorRow
from course_lib.explore.fusion_text import LEVEL_WORDS, explain, pattern_words, words_after, words_before
from course_lib.explore.graph_picture import GROUP_COLOURS
from course_lib.export.graph_diff import GraphDiff
from course_lib.runtimes.onnx_runtime import Optimization


def picture_view(model: str, level: Optimization, diff: GraphDiff) -> dict[str, Any]:
    """Return the two columns of nodes with their places, colours and sentences, and what links them.

    Nodes that became one have the colour of their pattern, as in `draw_diff`.
    """
    picture = draw_fusion(diff)
    colours = _colours(diff)
    right = {match.node: colours[pattern_words(match)] for match in diff.fused}
    left: dict[str, str] = {}
    for match in diff.fused:
        for part in match.parts:
            left.setdefault(part, colours[pattern_words(match)])
    return {
        "model": model,
        "level": level,
        "before": _column(picture.before, left, words_before(diff)),
        "after": _column(picture.after, right, words_after(diff)),
        "links": [list(link) for link in picture.links],
        "arcs": {
            "before": [asdict(arc) for arc in picture.before_arcs],
            "after": [asdict(arc) for arc in picture.after_arcs],
        },
        "steps": {"before": list(picture.before_steps), "after": list(picture.after_steps)},
        "rows": picture.rows,
        "patterns": [
            {"words": words, "count": f"{count}×", "colour": colours[words]}
            for words, count in Counter(map(pattern_words, diff.fused)).most_common()
        ],
        "heads": [
            f"In the file: {_nodes(len(diff.before.nodes))}",
            f"Runs at level {level}: {_nodes(len(diff.after.nodes))}",
        ],
    }


def result_view(result: FusionResult, source: str | None) -> dict[str, Any]:
    """Return one result as plain values: tiles, tables, times of nodes, a sentence, and code.

    ``source`` are the engine's arguments as Python, or None where only the student's notebook has the model.
    """
    level = result.setting.level
    return {
        "model": result.model,
        "level": level,
        "timed": result.setting.timed,
        "exact": result.exact,
        "label": f"{result.model} at level {level}: {LEVEL_WORDS[level]}",
        "explanation": explain(result),
        "tiles": _tiles(result),
        "levels": [_level(result, each) for each in LEVELS],
        "operators": _operators(result.operators),
        "times": _times(result),
        "code": _code(result, source),
    }


def _colours(diff: GraphDiff) -> dict[str, str]:
    patterns = [words for words, _ in Counter(map(pattern_words, diff.fused)).most_common()]
    return {words: GROUP_COLOURS[place % len(GROUP_COLOURS)][1] for place, words in enumerate(patterns)}


def _column(
    nodes: tuple[DrawnNode, ...], colours: Mapping[str, str], words: Mapping[str, str]
) -> list[dict[str, Any]]:
    return [
        {
            **{"name": node.name, "title": node.title, "detail": node.detail, "change": node.change},
            **{"top": node.top, "rows": node.rows},
            **{"colour": colours.get(node.name, ""), "words": words[node.name]},
        }
        for node in nodes
    ]


def _tiles(result: FusionResult) -> dict[str, dict[str, str]]:
    diff = result.diff
    before, after = len(diff.before.nodes), len(diff.after.nodes)
    changes = [match.change for match in diff.matches]
    parts = len({part for match in diff.fused for part in match.parts})
    return {
        "nodes": {"value": f"{after} of {before}", "detail": _less(after, before, "fewer", "in the file")},
        "fused": {
            "value": f"{len(diff.fused)}",
            "detail": (
                f"stand for {parts} of the file; {changes.count('kept')} kept, "
                f"{changes.count('exchanged')} exchanged, {len(diff.added)} added, "
                f"{len(diff.folded) + len(diff.removed)} folded or removed"
            ),
        },
        "latency": _latency_tile(result),
        "written": _written_tile(diff),
    }


def _written_tile(diff: GraphDiff) -> dict[str, str]:
    before, after = diff.before.activation_bytes, diff.after.activation_bytes
    in_file = f"the file's {format_bytes(before)}"
    if diff.after.unknown:
        return {
            "value": f"≥ {format_bytes(after)}",
            "detail": f"activations; {len(diff.after.unknown)} of unknown size; {in_file}",
        }
    return {"value": format_bytes(after), "detail": f"activations; {_less(after, before, 'less', in_file)}"}


def _less(now: int, before: int, less: str, than: str) -> str:
    """Say by which part a number fell or rose."""
    if now == before:
        return f"as {'much' if less == 'less' else 'many'} as {than}"
    word = less if now < before else "more"
    return f"{abs(now - before) / before:.0%} {word} than {than}" if before else f"{word} than {than}"


def _latency_tile(result: FusionResult) -> dict[str, str]:
    if result.untimed:
        return {"value": "–", "detail": result.untimed}
    measured = result.latency
    if measured is None:
        return {"value": "…", "detail": "measuring"}
    low, high = measured.level.p50_interval_ms
    more = "" if measured.complete else ", more to come"
    noisy = "; a noisy moment" if measured.level.noise_warning else ""
    return {
        "value": f"{measured.level.p50_ms:.3f} ms",
        "detail": (
            f"{_ratio(measured)} level off's {measured.off.p50_ms:.3f} ms; median of "
            f"{len(measured.level.samples_ms)} runs, {low:.3f} to {high:.3f} ms{more}{noisy}"
        ),
    }


def _ratio(measured: LevelLatency) -> str:
    low, high = measured.ratio.interval
    return f"{measured.ratio.value:.2f}× ({low:.2f} to {high:.2f})"


def _level(result: FusionResult, level: Optimization) -> dict[str, Any]:
    """Return one row of the comparison of levels; bars are shares of the most nodes and of the slowest."""
    counts, measured = result.node_counts, result.latencies
    most = max(counts.values())
    slowest = max([1.0, *(each.ratio.value for each in measured.values())])
    latency = measured.get(level)
    return {
        "level": level,
        "nodes": f"{counts[level]}",
        "nodes_share": counts[level] / most if most else 0.0,
        "latency": _ratio(latency) if latency else "–" if result.untimed else "not yet measured",
        "latency_share": latency.ratio.value / slowest if latency else None,
    }


def _operators(rows: tuple[OperatorRow, ...]) -> list[dict[str, Any]]:
    total = sum(row.p50_us or 0.0 for row in rows)
    return [
        {
            "kind": row.kind,
            "before": f"{row.before}" if row.before else "–",
            "after": f"{row.after}" if row.after else "–",
            "time": ""
            if row.p50_us is None
            else f"{_us(row.p50_us)}, {row.p50_us / total if total else 0:.0%}",
            "share": (row.p50_us or 0.0) / total if total else None,
        }
        for row in rows
    ]


def _times(result: FusionResult) -> list[dict[str, Any]] | None:
    """Return the time of each node that runs, in its order; bars are shares of the longest."""
    if result.times_us is None:
        return None
    longest = max(result.times_us.values(), default=0.0)
    times = [result.times_us.get(node.name) for node in result.diff.after.nodes]
    return [
        {"words": "" if each is None else _us(each), "share": (each or 0.0) / longest if longest else 0.0}
        for each in times
    ]


def _us(time_us: float) -> str:
    """Return a time in words; the profiler counts whole microseconds, and tells no less than one."""
    return "< 1 µs" if time_us < 1 else f"{significant(time_us)} µs"


def _nodes(count: int) -> str:
    return f"{count} node{'' if count == 1 else 's'}"


def _code(result: FusionResult, source: str | None) -> str:
    own = "" if source else "  # your own model, with its input_shape"
    timed = ", timed=True" if result.setting.timed else ""
    return (
        "from course_lib.explore.fusion import FusionEngine, FusionSetting\n\n"
        f"engine = FusionEngine({source or 'model'}){own}\n"
        f'result = engine.measured(FusionSetting("{result.setting.level}"{timed}))\n'
        "print(result.diff)\n"
    )
