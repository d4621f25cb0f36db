"""A picture of any ONNX graph, alone or before and after an optimizer.

>>> picture = draw_graph("model.onnx")  # doctest: +SKIP
>>> picture.save(Path("model.svg"))  # doctest: +SKIP

A box is a node: operator, what matters of its attributes, bytes of its weights and of what it makes. Colours
tell the operator's family; beside each other, before and after, they tell what was fused: the nodes that
became one and the node that they became have the same colour and the same number. Point at a box for all of
its tensors; they are `title` elements, which screen readers find too.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from course_lib.benchmarking.number_text import format_bytes
from course_lib.errors import SettingError
from course_lib.explore.graph_boxes import BoxGraph, boxes_of
from course_lib.explore.graph_svg import (
    FONT,
    INK,
    PAPER,
    SOFT,
    TEXT,
    TITLE,
    Drawing,
    Look,
    by_family,
    draw_boxes,
    text,
)
from course_lib.explore.graph_words import FAMILIES, family_of
from course_lib.export.graph_diff import GraphDiff
from course_lib.export.graph_facts import GraphFacts, NodeFacts, read_graph
from course_lib.export.onnx_source import OnnxSource
from course_lib.reproducibility import write_atomically

MANY_NODES = 24
"""Graphs with more nodes are stacked and folded, if nothing else is asked for."""

GROUP_COLOURS = (
    ("#cfe0fb", "#1d4ed8"),
    ("#fde0cc", "#b93c0a"),
    ("#d3efdb", "#15803d"),
    ("#e5d9f7", "#6d28d9"),
    ("#cdeef0", "#0e7490"),
    ("#fdeeb8", "#8a5a06"),
    ("#f8d7e3", "#be185d"),
    ("#e3e9c8", "#4d6310"),
)
"""Fill and line of each pattern of fusion, the most frequent first; rarer ones begin again."""

KEPT, GONE, NEW = Look(PAPER, "#8a8a94"), Look("#f1f1f4", "#8a8a94", struck=True), Look("#f1f1f4", INK, "new")
MARGIN, HEAD = 22.0, 34.0


@dataclass(frozen=True, repr=False)
class GraphPicture:
    """An SVG image, its size in pixels, and what it shows in one or two sentences."""

    svg: str = field(repr=False)
    summary: str
    width: int
    height: int

    def __str__(self) -> str:
        return self.summary

    __repr__ = __str__  # what a page without pictures shows

    def _repr_html_(self) -> str:
        # Larger graphs are scrolled: made smaller until they fit, nobody could read them.
        return f'<div style="max-width: 100%; overflow: auto;">{self.svg}</div>'

    def save(self, path: Path) -> None:
        """Write the SVG file, whole or not at all."""
        write_atomically(path, lambda target: _write(target, self.svg))


def draw_graph(
    source: OnnxSource | GraphFacts,
    *,
    title: str = "",
    stack: bool | None = None,
    fold: bool | None = None,
    aspect: float = 1.5,
    columns: int = 0,
) -> GraphPicture:
    """Return the picture of a graph.

    Parameters
    ----------
    source
        An ONNX model, or what `read_graph` found in it.
    title
        A line above the graph.
    stack, fold
        Whether what follows in a straight line shares a box, and whether stretches that come several times in
        a row are drawn once; both for more than 24 nodes when left out.
    aspect
        Width over height that the columns come near to, above 0.
    columns
        How many columns, chosen by ``aspect`` when 0.

    Raises
    ------
    ModelError
        If it is not an ONNX model.
    SettingError
        If ``aspect`` or ``columns`` is out of range.
    """
    _check(aspect, columns)
    facts = source if isinstance(source, GraphFacts) else read_graph(source)
    many = len(facts.nodes) > MANY_NODES
    boxes = boxes_of(facts, stack=many if stack is None else stack, fold=many if fold is None else fold)
    drawing = draw_boxes(boxes, by_family, aspect=aspect, columns=columns)
    used = {family_of(node) for node in facts.nodes}
    legend = [(family.fill, family.line, family.title) for family in FAMILIES if family in used]
    legend += _pile(boxes)
    return _framed([(title, drawing)], legend, _totals(facts), title or "Graph")


def draw_diff(
    diff: GraphDiff,
    *,
    titles: tuple[str, str] = ("before", "after"),
    stack: bool | None = None,
    fold: bool | None = None,
    aspect: float = 1.6,
    columns: int = 0,
) -> GraphPicture:
    """Return two versions of a graph side by side, what was fused in the same colours.

    Parameters
    ----------
    diff
        What `diff_graphs` found.
    titles
        Lines above the two graphs.
    stack, fold, columns
        As in `draw_graph`, for each of the two.
    aspect
        Width over height of both together.

    Raises
    ------
    SettingError
        If ``aspect`` or ``columns`` is out of range.
    """
    _check(aspect, columns)
    many = len(diff.before.nodes) > MANY_NODES
    stack, fold = (many if each is None else each for each in (stack, fold))
    patterns = [pattern for pattern in diff.patterns if any(match.pattern == pattern for match in diff.fused)]
    colours = {pattern: GROUP_COLOURS[place % len(GROUP_COLOURS)] for place, pattern in enumerate(patterns)}
    before: dict[str, str] = {}
    after: dict[str, str] = {}
    for number, match in enumerate(diff.fused, start=1):
        group = f"{match.pattern}#{number}"
        after[match.node] = group
        for part in match.parts:
            before.setdefault(part, group)
    gone, new = {*diff.folded, *diff.removed}, set(diff.added)

    def paint(groups: dict[str, str], node: NodeFacts) -> Look:
        if node.name in groups:
            pattern, number = groups[node.name].rsplit("#", 1)
            return Look(*colours[pattern], mark=number)
        if groups is before and node.name in gone:
            return GONE
        return NEW if groups is after and node.name in new else KEPT

    shown = [
        boxes_of(facts, stack=stack, fold=fold, groups=groups)
        for facts, groups in ((diff.before, before), (diff.after, after))
    ]
    drawings = [
        draw_boxes(
            boxes,
            lambda node, groups=groups: paint(groups, node),  # type: ignore[misc]
            aspect=aspect / 2,
            columns=columns,
        )
        for boxes, groups in zip(shown, (before, after), strict=True)
    ]
    legend = [
        (*colours[pattern], f"{pattern.replace(' (microsoft)', '')}, {diff.patterns[pattern]}×")
        for pattern in patterns
    ]
    legend.append((KEPT.fill, KEPT.line, "as before"))
    if gone:
        legend.append((GONE.fill, GONE.line, "struck out: folded or removed"))
    legend += _pile(*shown)
    heads = [
        f"{title}: {len(facts.nodes)} nodes"
        for title, facts in zip(titles, (diff.before, diff.after), strict=True)
    ]
    return _framed(
        list(zip(heads, drawings, strict=True)), legend, "", f"{titles[0]} and {titles[1]}: {diff}"
    )


def _check(aspect: float, columns: int) -> None:
    if not aspect > 0 or columns < 0:
        raise SettingError(
            f"aspect is {aspect} and columns {columns}; "
            "pass an aspect above 0, such as 1.5, and 0 or more columns."
        )


def _totals(facts: GraphFacts) -> str:
    unknown = f" and {len(facts.unknown)} of unknown size" if facts.unknown else ""
    lengths = ", ".join(f"{name} = {length}" for name, length in facts.lengths.items())
    return (
        f"{len(facts.nodes)} nodes, weights {format_bytes(facts.parameter_bytes)}, "
        f"activations {format_bytes(facts.activation_bytes)}{unknown}{f' for {lengths}' if lengths else ''}"
    )


def _pile(*graphs: BoxGraph) -> list[tuple[str, str, str]]:
    """Return the legend's entry for stretches that are drawn once, if there are any."""
    piles = any(box.count > 1 for graph in graphs for box in graph.boxes)
    return [(INK, INK, "×n: n in a row that are alike, drawn once")] if piles else []


def _framed(
    drawings: Sequence[tuple[str, Drawing]], legend: Sequence[tuple[str, str, str]], totals: str, said: str
) -> GraphPicture:
    """Put drawings beside each other under their titles, above them the legend."""
    inner = max(sum(drawing.width for _, drawing in drawings) + 2 * MARGIN * (len(drawings) - 1), 460.0)
    parts, y = [], MARGIN
    if totals:
        parts.append(text(MARGIN, y + 14, totals, size=TITLE, fill=INK))
        y += HEAD
    entries, x = [], MARGIN
    for fill, line, words in legend:
        wide = 30 + len(words) * TEXT * 0.57 + 16
        if x > MARGIN and x + wide > inner + MARGIN:
            x, y = MARGIN, y + 24
        entries.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="20" height="15" rx="3" fill="{fill}" '
            f'stroke="{line}" stroke-width="1.8"/>'
        )
        entries.append(text(x + 27, y + 12.5, words, fill=SOFT))
        x += wide
    parts += entries
    y += 24 + MARGIN
    left, deepest = MARGIN, y
    headed = any(title for title, _ in drawings)
    for title, drawing in drawings:
        if title:
            parts.append(text(left, y + 14, title, size=TITLE + 2, style='font-weight="700"'))
        top = y + (HEAD if headed else 0)
        parts.append(f'<g transform="translate({left:.1f} {top:.1f})">{drawing.body}</g>')
        left += drawing.width + 2 * MARGIN
        deepest = max(deepest, top + drawing.height)
    width, height = round(inner + 2 * MARGIN), round(deepest + MARGIN)
    summary = f"{said}: {totals}." if totals else f"{said}."
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" '
        f'role="group" aria-label="{escape(summary, quote=True)}" font-family="{escape(FONT, quote=True)}">\n'
        f'<rect width="{width}" height="{height}" fill="{PAPER}"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )
    return GraphPicture(svg, summary, width, height)


def _write(path: Path, content: str) -> None:
    path.write_text(content, encoding="utf-8")
