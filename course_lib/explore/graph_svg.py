"""Boxes and ways as SVG."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from textwrap import wrap

from course_lib.explore.graph_boxes import Box, BoxGraph
from course_lib.explore.graph_layout import Layout, Point, lay_out
from course_lib.explore.graph_words import bytes_words, details, family_of, short_name, tooltip
from course_lib.export.graph_facts import NodeFacts
from course_lib.export.tensor_facts import TensorFacts

INK, SOFT, WAY, PAPER = "#1b1b22", "#44444d", "#6b6b76", "#ffffff"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"
TITLE, TEXT = 16.0, 13.5
WIDTH, MAIN_ROW, LINE, NEXT_ROW = 240.0, 30.0, 18.0, 26.0
EM, BOLD_EM = 0.53, 0.64
"""Mean width of a letter in units of the size of the type, in a wide typeface."""


@dataclass(frozen=True)
class Look:
    """How a row is painted; ``mark`` stands at its right end, ``struck`` rows are gone in the other graph."""

    fill: str
    line: str
    mark: str = ""
    struck: bool = False


Painter = Callable[[NodeFacts], Look]


def by_family(node: NodeFacts) -> Look:
    """Paint a node in the colours of its operator's family."""
    family = family_of(node)
    return Look(family.fill, family.line)


@dataclass(frozen=True)
class Drawing:
    """A piece of SVG with its size in pixels."""

    body: str
    width: float
    height: float


def draw_boxes(graph: BoxGraph, paint: Painter, *, aspect: float, columns: int = 0) -> Drawing:
    """Return a graph as SVG, without the frame."""
    sizes = {box.key: _size(box) for box in graph.boxes}
    links = [(link.source, link.target) for link in graph.links]
    layout = lay_out(sizes, links, aspect=aspect, columns=columns)
    ways = [_way(way) for way in layout.ways]
    boxes = [_box(box, layout.boxes[box.key], sizes[box.key], paint) for box in graph.boxes]
    parts = [*ways, *_labels(graph, layout), *boxes]
    return Drawing("\n".join(parts), layout.width, layout.height)


def text(
    x: float,
    y: float,
    words: str,
    *,
    size: float = TEXT,
    fill: str = INK,
    style: str = "",
    room: float = math.inf,
) -> str:
    """Return a line of text made to fit into ``room`` pixels; ``style`` holds further attributes."""
    words, size = _fitted(words, room, size, BOLD_EM if "font-weight" in style else EM)
    extra = f" {style}" if style else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:.4g}" fill="{fill}"{extra}>{escape(words)}</text>'


def _size(box: Box) -> Point:
    if box.tensor is not None:
        wide = max(len(box.tensor.name) * TITLE, len(_tensor_words(box.tensor)) * TEXT) * EM + 40
        return min(WIDTH, max(100.0, wide)), MAIN_ROW + LINE
    return WIDTH, sum(_row_height(node, first=place == 0) for place, node in enumerate(box.nodes))


def _row_height(node: NodeFacts, *, first: bool) -> float:
    return MAIN_ROW + LINE * len(_lines(node)) + 3 if first else NEXT_ROW


def _lines(node: NodeFacts) -> list[str]:
    """Return what stands below the operator."""
    return [*wrap(details(node), int((WIDTH - 24) / (TEXT * EM))), bytes_words(node)]


def _box(box: Box, at: Point, size: Point, paint: Painter) -> str:
    (left, top), (width, height) = at, size
    if box.tensor is not None:
        words = (
            f"{'input' if box.role == 'input' else 'output'} {box.tensor.name}, {_tensor_words(box.tensor)}"
        )
        middle = left + width / 2
        return "".join(
            [
                f'<g role="img"><title>{escape(words)}</title>',
                _rectangle(left, top, width, height, PAPER, INK, 1.6, height / 2),
                text(middle, top + 21, box.tensor.name, size=TITLE, room=width - 24, style=_CENTRE_BOLD),
                text(middle, top + 39, _tensor_words(box.tensor), fill=SOFT, room=width - 24, style=_CENTRE),
                "</g>",
            ]
        )
    parts = []
    if box.count > 1:  # further sheets of a pile
        for step in (8, 4):
            parts.append(
                _rectangle(left + step, top + step, width, height, PAPER, paint(box.nodes[0]).line, 1)
            )
    y = top
    for place, node in enumerate(box.nodes):
        row_height = _row_height(node, first=place == 0)
        parts.append(_row(node, (left, y), (width, row_height), paint(node), first=place == 0))
        y += row_height
    parts.append(_rectangle(left, top, width, height, "none", paint(box.nodes[0]).line, 1.8))
    if box.count > 1:
        words = f"×{box.count}"
        wide = 14 + 9.5 * len(words)
        # Beside the corner, where it hides neither the operator nor the mark of its group.
        parts.append(_rectangle(left + width - 2, top - 14, wide, 25, INK, INK, round_=12.5))
        parts.append(
            text(left + width - 2 + wide / 2, top + 4, words, size=TITLE, fill=PAPER, style=_CENTRE_BOLD)
        )
    return "".join(parts)


_CENTRE = 'text-anchor="middle"'
_HALO = f'{_CENTRE} stroke="{PAPER}" stroke-width="5" paint-order="stroke" stroke-linejoin="round"'
_CENTRE_BOLD = 'text-anchor="middle" font-weight="600"'


def _row(node: NodeFacts, at: Point, size: Point, look: Look, *, first: bool) -> str:
    (left, top), (width, height) = at, size
    room = width - 26 - (10 * len(look.mark) if look.mark else 0)
    name, type_size = short_name(node), TITLE if first else TEXT + 0.5
    crossed = ' text-decoration="line-through"' if look.struck else ""
    parts = [
        f'<g role="img"><title>{escape(tooltip(node))}</title>',
        _rectangle(left, top, width, height, look.fill, "none"),
        _rectangle(left, top, 6, height, look.line, "none", round_=0),
    ]
    base = top + (22 if first else 18)
    parts.append(text(left + 14, base, name, size=type_size, room=room, style='font-weight="600"' + crossed))
    if look.mark:
        parts.append(
            text(
                left + width - 9, base, look.mark, fill=look.line, style='text-anchor="end" font-weight="700"'
            )
        )
    if first:
        for line in _lines(node):
            base += LINE
            parts.append(text(left + 14, base, line, fill=SOFT, room=width - 24))
    elif node.parameter_bytes and not look.mark:
        words = bytes_words(node).split(" · ")[0].removeprefix("weights ")
        if (len(name) + len(words) + 2) * TEXT * EM < width - 24:
            parts.append(text(left + width - 9, base, words, fill=SOFT, style='text-anchor="end"'))
    return "".join([*parts, "</g>"])


def _rectangle(
    x: float,
    y: float,
    width: float,
    height: float,
    fill: str,
    line: str,
    stroke: float = 1,
    round_: float = 5,
) -> str:
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="{round_:g}" '
        f'fill="{fill}" stroke="{line}" stroke-width="{stroke:g}"/>'
    )


def _fitted(words: str, room: float, size: float, em: float) -> tuple[str, float]:
    """Return words and a size of type with which they fit: a little smaller, then with dots in the middle."""
    if len(words) * size * em <= room:
        return words, size
    smaller = max(12.0, room / (len(words) * em))
    letters = int(room / (smaller * em))
    if len(words) > letters:
        words = f"{words[: math.ceil(letters / 2) - 1]}…{words[-(letters // 2) :]}"
    return words, smaller


def _tensor_words(tensor: TensorFacts) -> str:
    return f"{tensor.shape_text} {tensor.dtype or ''}".rstrip()


def _labels(graph: BoxGraph, layout: Layout) -> list[str]:
    """Return shape and type of each tensor once: below its box, above the reader if a box makes several."""
    made: Mapping[str, set[str]] = {box.key: set() for box in graph.boxes}
    for link in graph.links:
        made[link.source].add(link.tensor.name)
    inputs = {box.key for box in graph.boxes if box.role == "input"}
    outputs = {box.key for box in graph.boxes if box.role == "output"}
    labels, done = [], set[str]()
    for link, way in zip(graph.links, layout.ways, strict=True):
        if (
            link.tensor.name in done
            or link.source in inputs
            or (link.target in outputs and len(made[link.source]) == 1)
        ):
            continue
        done.add(link.tensor.name)
        x, y = (way[0][0], way[0][1] + 20) if len(made[link.source]) == 1 else (way[-1][0], way[-1][1] - 16)
        labels.append(text(x, y, _tensor_words(link.tensor), fill=SOFT, style=_HALO))
    return labels


def _way(corners: Sequence[Point]) -> str:
    """Return the line of a link with an arrow at its end, curved where it goes from layer to layer."""
    (x, y), *rest = corners
    path = [f"M{x:.1f} {y:.1f}"]
    for next_x, next_y in rest[:-1]:
        if next_x == x or next_y == y:
            path.append(f"L{next_x:.1f} {next_y:.1f}")
        else:
            middle = (y + next_y) / 2
            path.append(f"C{x:.1f} {middle:.1f} {next_x:.1f} {middle:.1f} {next_x:.1f} {next_y:.1f}")
        x, y = next_x, next_y
    end_x, end_y = rest[-1]
    middle = (y + end_y) / 2
    path.append(
        f"L{end_x:.1f} {end_y - 7:.1f}"
        if abs(end_x - x) < 0.5
        else f"C{x:.1f} {middle:.1f} {end_x:.1f} {middle:.1f} {end_x:.1f} {end_y - 7:.1f}"
    )
    arrow = f"M{end_x - 5:.1f} {end_y - 9:.1f}L{end_x + 5:.1f} {end_y - 9:.1f}L{end_x:.1f} {end_y:.1f}Z"
    return (
        f'<path d="{"".join(path)}" fill="none" stroke="{WAY}" stroke-width="1.8" stroke-linejoin="round"/>'
        f'<path d="{arrow}" fill="{WAY}"/>'
    )
