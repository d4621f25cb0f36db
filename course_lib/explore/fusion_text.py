"""The fusion explorer's sentences: what became of each node, and what a level did to the model."""

from collections import Counter
from collections.abc import Sequence

from course_lib.benchmarking.number_text import format_bytes
from course_lib.explore.fusion_result import FusionResult
from course_lib.export.graph_diff import LAYOUT, GraphDiff, Match
from course_lib.export.graph_facts import NodeFacts
from course_lib.runtimes.onnx_runtime import Optimization

LEVEL_WORDS: dict[Optimization, str] = {
    "off": "the graph runs as it is in the file",
    "basic": "constants are folded, needless nodes removed, norms folded into convolutions",
    "extended": "fusions on top that only this runtime's own operators can express",
    "all": "a blocked memory layout for convolutions on top",
}
"""Level → what it does, in the runtime's own order: each does what the ones before do."""

LONGEST_PATTERN = 4
"""Of operators that are listed one by one."""


def words_before(diff: GraphDiff) -> dict[str, str]:
    """Return node of the file → one sentence that says what became of it."""
    into: dict[str, list[Match]] = {}
    for match in diff.matches:
        for part in match.parts:
            into.setdefault(part, []).append(match)
    folded = set(diff.folded)
    return {
        node.name: _became(node, into.get(node.name, []), node.name in folded) for node in diff.before.nodes
    }


def words_after(diff: GraphDiff) -> dict[str, str]:
    """Return node that runs → sentences that say which nodes of the file went into it, and what it moves."""
    matches = {match.node: match for match in diff.matches}
    nodes = {node.name: node for node in diff.before.nodes}
    words = {}
    for node in diff.after.nodes:
        match = matches.get(node.name)
        parts = [nodes[name] for name in match.parts] if match else []
        words[node.name] = " ".join(filter(None, (_is(node, match), _moves(node), _spares(node, parts))))
    return words


def explain(result: FusionResult) -> str:
    """Return what the level did to the graph, and to the latency as far as that is measured."""
    diff = result.diff
    if result.setting.level == "off":
        what = f"Level off: {_nodes(len(diff.after.nodes))} run, {LEVEL_WORDS['off']}."
    else:
        what = (
            f"{_nodes(len(diff.before.nodes))} in the file, {len(diff.after.nodes)} run"
            f"{_why(diff)}.{_most_frequent(diff)}"
        )
    return f"{what} {_latency(result)}"


def pattern_words(match: Match) -> str:
    """Return which operators became which; those of long lists are counted: 3 DequantizeLinear + 1 Conv."""
    if len(match.part_kinds) <= LONGEST_PATTERN:
        return match.pattern
    counted = Counter(match.part_kinds)
    return f"{' + '.join(f'{count} {kind}' for kind, count in counted.items())} → {match.kind}"


def _why(diff: GraphDiff) -> str:
    reasons = []
    if diff.fused:
        # A node that is computed twice, as part of two others, is one node all the same.
        gone = len({part for match in diff.fused for part in match.parts})
        stands = "1 of them stands" if len(diff.fused) == 1 else f"{len(diff.fused)} of them stand"
        reasons.append(f"{stands} for {_nodes(gone)} of the file")
    if diff.folded or diff.removed:
        reasons.append(f"{len(diff.folded) + len(diff.removed)} folded or removed")
    if diff.added:
        kinds = Counter(node.operator for node in diff.after.nodes if node.name in set(diff.added))
        layout = " to change the memory layout" if set(kinds) <= set(LAYOUT) else ""
        reasons.append(f"{len(diff.added)} added{layout}")
    return f": {', '.join(reasons)}" if reasons else ""


def _most_frequent(diff: GraphDiff) -> str:
    fused = Counter(map(pattern_words, diff.fused))
    if not fused:
        return ""
    pattern, count = fused.most_common(1)[0]
    return f" Most often: {pattern} ({count}×)."


def _latency(result: FusionResult) -> str:
    if result.untimed:
        return f"No latency: {result.untimed}"
    measured = result.latency
    if measured is None:
        return "Latency is being measured …"
    low, high = measured.ratio.interval
    if result.setting.level == "off":
        return (
            f"Compared with itself in a second session: {measured.ratio.value:.2f}× "
            f"({low:.2f} to {high:.2f}), and what differs from 1 is noise."
        )
    if high < 1:
        return f"Measured {1 / measured.ratio.value:.2f}× faster than level off."
    if low > 1:
        return f"Measured {measured.ratio.value:.2f}× slower than level off."
    return "No difference in latency from level off that could be told from noise."


def _became(node: NodeFacts, matches: Sequence[Match], folded: bool) -> str:
    if not matches:
        fate = (
            "was computed while loading: its result is a stored value now"
            if folded
            else "was removed: it does nothing in inference, or no output depends on it"
        )
        return f"{node.kind} {node.name} {fate}."
    sentences = []
    for match in matches:
        if match.change == "fused":
            others = [
                kind for part, kind in zip(match.parts, match.part_kinds, strict=True) if part != node.name
            ]
            sentences.append(f"went into {match.kind} {match.node}, together with {_listed(others)}")
        elif match.change == "exchanged":
            sentences.append(f"runs as {match.kind} {match.node}")
        else:
            sentences.append("runs as it is")
    return f"{node.kind} {node.name} {' and '.join(dict.fromkeys(sentences))}."


def _is(node: NodeFacts, match: Match | None) -> str:
    name = f"{node.kind} {node.name}"
    if match is None:
        layout = ": it changes the memory layout" if node.operator in LAYOUT else ""
        return f"{name} is not in the file{layout}."
    parts = [f"{kind} {part}" for part, kind in zip(match.parts, match.part_kinds, strict=True)]
    if match.change == "fused":
        return f"{name} stands for {len(parts)} nodes of the file: {_listed(parts)}."
    if match.change == "exchanged":
        return f"{name} takes the place of {parts[0]}."
    return f"{name} runs as it is in the file."


def _moves(node: NodeFacts) -> str:
    tensor = node.outputs[0] if node.outputs else None
    if tensor is None or tensor.shape is None:
        return ""
    size = node.activation_bytes
    written = f"It writes {tensor.shape_text} {tensor.dtype or ''}".rstrip()
    written += "" if size is None else f" ({format_bytes(size)})"
    stored = (
        f" and reads {format_bytes(node.parameter_bytes)} of stored values" if node.parameter_bytes else ""
    )
    return f"{written}{stored}."


def _spares(node: NodeFacts, parts: Sequence[NodeFacts]) -> str:
    sizes = [part.activation_bytes for part in parts]
    if len(parts) < 2 or node.activation_bytes is None or None in sizes:
        return ""
    spared = sum(size or 0 for size in sizes) - node.activation_bytes
    return f"{format_bytes(spared)} between them are not written any more." if spared > 0 else ""


def _nodes(count: int) -> str:
    return f"{count} node{'' if count == 1 else 's'}"


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
