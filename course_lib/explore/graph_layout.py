"""Places for the boxes of a graph: layers from top to bottom, wrapped into columns, with ways for the links.

The steps are those of Sugiyama, Tagawa and Toda (1981):

1. A box's layer is the longest way to it from an input.
2. A link that passes layers gets a narrow place in each of them, so that it is led around the boxes.
3. The order within a layer follows the mean place of the neighbours, down and up several times.
4. Within that order each box moves as near to its neighbours' mean as the space between boxes allows: a
   least-squares problem under x₁ + gap ≤ x₂, which is isotonic regression and solved exactly by pooling
   neighbours that want to overlap.

Then the layers are cut into columns, at places that few links cross.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from scipy.optimize import isotonic_regression

Point = tuple[float, float]

LAYER_GAP, BOX_GAP, GUTTER = 54.0, 36.0, 48.0
"""Pixels between layers, between boxes of a layer, and between columns."""

STEM, PASS_WIDTH, CHANNEL = 27.0, 16.0, 12.0
"""Pixels that a link goes straight down, that it needs to pass a layer, and between links in a gutter."""

SWEEPS = 8
SINGLE_COLUMN = 720.0
"""A graph up to this height stays in one column."""

Cell = tuple[str, int]
"""A box is (key, -1); the place of a link in a layer that it passes is (source and target, layer)."""


@dataclass(frozen=True)
class Layout:
    """Where everything is, in pixels from the top left.

    ``boxes`` has (left, top) of each box, ``ways`` the corners of each link in the order of the links, from
    the bottom of one box to the top of the other.
    """

    boxes: Mapping[str, Point]
    ways: tuple[tuple[Point, ...], ...]
    width: float
    height: float


def lay_out(
    sizes: Mapping[str, Point], links: Sequence[tuple[str, str]], *, aspect: float = 1.5, columns: int = 0
) -> Layout:
    """Return a place for each box.

    Parameters
    ----------
    sizes
        Key of a box → (width, height), in order of execution.
    links
        (source, target), each source before its target.
    aspect
        Width over height that the columns should come near to.
    columns
        How many columns, at least 1; chosen by ``aspect`` when 0.
    """
    rank = _ranks(sizes, links)
    layers, chains = _layers(sizes, links, rank)
    edges = [edge for chain in chains for edge in pairwise(chain)]
    _order(layers, edges)
    width_of = {cell: sizes[cell[0]][0] if cell[1] < 0 else PASS_WIDTH for layer in layers for cell in layer}
    x = _across(layers, edges, width_of)
    heights = [max((sizes[cell[0]][1] for cell in layer if cell[1] < 0), default=0) for layer in layers]
    low = [min(x[cell] - width_of[cell] / 2 for cell in layer) for layer in layers]
    high = [max(x[cell] + width_of[cell] / 2 for cell in layer) for layer in layers]
    total = sum(heights) + LAYER_GAP * (len(layers) - 1)
    wide = max(high) - min(low) + GUTTER
    column_of = _columns(heights, chains, rank, columns or _how_many(aspect * total / wide, total))
    return _placed(layers, chains, links, x, heights, low, high, column_of, sizes)


def _ranks(sizes: Iterable[str], links: Sequence[tuple[str, str]]) -> dict[str, int]:
    rank = dict.fromkeys(sizes, 0)
    for _ in rank:
        changed = False
        for source, target in links:
            if rank[target] <= rank[source]:
                rank[target], changed = rank[source] + 1, True
        if not changed:
            break
    sources = {target for _, target in links}
    readers: dict[str, list[str]] = {}
    for source, target in links:
        readers.setdefault(source, []).append(target)
    # What has no source, such as a weight that is transposed, comes right before its first reader.
    for key in rank:
        if key not in sources and key in readers:
            rank[key] = min(rank[reader] for reader in readers[key]) - 1
    return rank


def _layers(
    sizes: Iterable[str], links: Sequence[tuple[str, str]], rank: Mapping[str, int]
) -> tuple[list[list[Cell]], list[list[Cell]]]:
    """Return the cells of each layer, and the cells that each link visits."""
    layers: list[list[Cell]] = [[] for _ in range(max(rank.values(), default=0) + 1)]
    for key in sizes:
        layers[rank[key]].append((key, -1))
    chains: list[list[Cell]] = []
    for source, target in links:
        name = f"{source} → {target}"
        passes = [(name, layer) for layer in range(rank[source] + 1, rank[target])]
        for cell in passes:
            if cell not in layers[cell[1]]:
                layers[cell[1]].append(cell)
        chains.append([(source, -1), *passes, (target, -1)])
    return layers, chains


def _neighbours(edges: Iterable[tuple[Cell, Cell]], down: bool) -> dict[Cell, list[Cell]]:
    found: dict[Cell, list[Cell]] = {}
    for upper, lower in edges:
        one, other = (lower, upper) if down else (upper, lower)
        found.setdefault(one, []).append(other)
    return found


def _order(layers: list[list[Cell]], edges: Sequence[tuple[Cell, Cell]]) -> None:
    """Sort each layer, in place, by the mean place of its neighbours."""
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        near = _neighbours(edges, down)
        place = {cell: index for layer in layers for index, cell in enumerate(layer)}
        for layer in layers if down else reversed(layers):
            mean = {
                cell: sum(place[each] for each in near[cell]) / len(near[cell])
                if cell in near
                else place[cell]
                for cell in layer
            }
            layer.sort(key=lambda cell: mean[cell])
            place.update({cell: index for index, cell in enumerate(layer)})


def _across(
    layers: Sequence[Sequence[Cell]], edges: Sequence[tuple[Cell, Cell]], width_of: Mapping[Cell, float]
) -> dict[Cell, float]:
    """Return the middle of each cell."""
    x: dict[Cell, float] = {}
    offsets: list[list[float]] = []
    for layer in layers:
        offset = [0.0]
        for one, other in pairwise(layer):
            offset.append(offset[-1] + (width_of[one] + width_of[other]) / 2 + BOX_GAP)
        offsets.append(offset)
        x |= {cell: at - offset[-1] / 2 for cell, at in zip(layer, offset, strict=True)}
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        near = _neighbours(edges, down)
        for index in range(len(layers)) if down else range(len(layers) - 1, -1, -1):
            layer, offset = layers[index], offsets[index]
            if not layer:
                continue
            wish = [
                sum(x[each] for each in near[cell]) / len(near[cell]) if cell in near else x[cell]
                for cell in layer
            ]
            # Boxes hold the straight line, what passes gives way.
            weights = [8.0 if cell[1] < 0 else 1.0 for cell in layer]
            free = [want - at for want, at in zip(wish, offset, strict=True)]
            solved = isotonic_regression(free, weights=weights).x
            x |= {cell: float(at + place) for cell, at, place in zip(layer, offset, solved, strict=True)}
    return x


def _how_many(square: float, height: float) -> int:
    """Return the number of columns n for which n² is nearest to ``square``, as a factor."""
    if height <= SINGLE_COLUMN:
        return 1
    below = max(1, math.floor(math.sqrt(square)))
    return below if square < below * (below + 1) else below + 1


def _columns(
    heights: Sequence[float],
    chains: Iterable[Sequence[Cell]],
    rank: Mapping[str, int],
    wanted: int,
) -> list[int]:
    """Return the column of each layer."""
    crossing = [0] * len(heights)  # links that cross the gap before a layer
    for chain in chains:
        for layer in range(rank[chain[0][0]] + 1, rank[chain[-1][0]] + 1):
            crossing[layer] += 1
    ends = [0.0]
    for height in heights:
        ends.append(ends[-1] + height + LAYER_GAP)
    cuts: list[int] = []
    for part in range(1, wanted):
        goal, reach = ends[-1] * part / wanted, 0.3 * ends[-1] / wanted
        first = cuts[-1] + 1 if cuts else 1
        near = [layer for layer in range(first, len(heights)) if abs(ends[layer] - goal) <= reach]
        if near:
            cuts.append(min(near, key=lambda layer: (crossing[layer], abs(ends[layer] - goal))))
    return [sum(cut <= layer for cut in cuts) for layer in range(len(heights))]


def _placed(
    layers: Sequence[Sequence[Cell]],
    chains: Sequence[Sequence[Cell]],
    links: Sequence[tuple[str, str]],
    x: Mapping[Cell, float],
    heights: Sequence[float],
    low: Sequence[float],
    high: Sequence[float],
    column_of: Sequence[int],
    sizes: Mapping[str, Point],
) -> Layout:
    layer_of = {cell: index for index, layer in enumerate(layers) for cell in layer}
    leaps = [
        (number, one, other)
        for number, chain in enumerate(chains)
        for one, other in pairwise(chain)
        if column_of[layer_of[one]] != column_of[layer_of[other]]
    ]
    lane: dict[tuple[int, str], int] = {}  # links of one tensor's source share a lane
    for number, one, _ in leaps:
        column = column_of[layer_of[one]]
        key = column, links[number][0]
        lane.setdefault(key, sum(known == column for known, _ in lane))
    room = CHANNEL * max((each + 1 for each in lane.values()), default=0)
    top_margin = room + CHANNEL if leaps else 0.0
    top, bottoms, cursor = [0.0] * len(layers), dict[int, float](), dict[int, float]()
    for index, height in enumerate(heights):
        column = column_of[index]
        top[index] = cursor.get(column, top_margin)
        bottoms[column] = top[index] + height
        cursor[column] = bottoms[column] + LAYER_GAP
    shift, right, edge = dict[int, float](), dict[int, float](), 0.0
    for column in range(max(column_of, default=0) + 1):
        inside = [index for index in range(len(layers)) if column_of[index] == column]
        shift[column] = edge - min(low[index] for index in inside)
        right[column] = shift[column] + max(high[index] for index in inside)
        edge = right[column] + GUTTER + room
    at = {cell: x[cell] + shift[column_of[index]] for cell, index in layer_of.items()}
    ports = _ports(links, chains, at, sizes)
    ways = []
    for number, chain in enumerate(chains):
        way: list[Point] = [(at[chain[0]], top[layer_of[chain[0]]] + sizes[chain[0][0]][1])]
        for one, other in pairwise(chain):
            here, there = layer_of[one], layer_of[other]
            from_x, to_x = at[one], ports[number] if other[1] < 0 else at[other]
            way.append((from_x, top[here] + heights[here] + STEM))
            if column_of[here] != column_of[there]:
                column = column_of[here]
                step = CHANNEL * lane[column, links[number][0]]
                deep, over = bottoms[column] + LAYER_GAP * 0.75 + step, top_margin - CHANNEL - step
                beside = right[column] + CHANNEL + step
                way += [(from_x, deep), (beside, deep), (beside, over), (to_x, over)]
            way.append((to_x, top[there]))
        ways.append(tuple(way))
    places = {key: (at[key, -1] - size[0] / 2, top[layer_of[key, -1]]) for key, size in sizes.items()}
    deepest = max(bottoms.values()) + (LAYER_GAP * 0.75 + room if leaps else 0)
    return Layout(places, tuple(ways), edge - GUTTER - room, deepest)


def _ports(
    links: Sequence[tuple[str, str]],
    chains: Sequence[Sequence[Cell]],
    at: Mapping[Cell, float],
    sizes: Mapping[str, Point],
) -> list[float]:
    """Return where each link enters its box: side by side, in the order in which they come."""
    arriving: dict[str, list[int]] = {}
    for number, (_, target) in enumerate(links):
        arriving.setdefault(target, []).append(number)
    ports = [0.0] * len(links)
    for target, numbers in arriving.items():
        numbers.sort(key=lambda number: at[chains[number][-2]])
        step = min(28.0, sizes[target][0] / (len(numbers) + 1))
        for place, number in enumerate(numbers):
            ports[number] = at[target, -1] + step * (place - (len(numbers) - 1) / 2)
    return ports
