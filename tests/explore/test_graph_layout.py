from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.explore.graph_layout import GUTTER, LAYER_GAP, Layout, lay_out

SIZE = (100.0, 50.0)


def chain(count: int) -> tuple[dict[str, tuple[float, float]], list[tuple[str, str]]]:
    names = [f"n{index}" for index in range(count)]
    return dict.fromkeys(names, SIZE), list(pairwise(names))


def overlaps(layout: Layout, sizes: dict[str, tuple[float, float]]) -> list[tuple[str, str]]:
    found = []
    for one, other in combinations(sizes, 2):
        (x1, y1), (x2, y2) = layout.boxes[one], layout.boxes[other]
        if (
            x1 < x2 + sizes[other][0]
            and x2 < x1 + sizes[one][0]
            and y1 < y2 + sizes[other][1]
            and y2 < y1 + sizes[one][1]
        ):
            found.append((one, other))
    return found


def test_a_chain_by_hand() -> None:
    sizes, links = chain(3)
    layout = lay_out(sizes, links)
    assert layout.boxes == {"n0": (0, 0), "n1": (0, 50 + LAYER_GAP), "n2": (0, 2 * (50 + LAYER_GAP))}
    assert layout.ways[0][0] == (50, 50)
    assert layout.ways[0][-1] == (50, 50 + LAYER_GAP)
    assert (layout.width, layout.height) == (100, 150 + 2 * LAYER_GAP)


def test_a_link_that_skips_a_box_passes_beside_it() -> None:
    sizes, links = chain(3)
    layout = lay_out(sizes, [*links, ("n0", "n2")])
    left, top = layout.boxes["n1"]
    beside = [x for x, y in layout.ways[-1] if top <= y <= top + 50]
    assert beside
    assert all(x < left or x > left + 100 for x in beside)
    # Both links arrive at places of their own.
    assert layout.ways[1][-1] != layout.ways[-1][-1]


def test_what_has_no_source_comes_right_before_its_reader() -> None:
    sizes, links = chain(5)
    layout = lay_out({**sizes, "weight": SIZE}, [*links, ("weight", "n4")])
    assert layout.boxes["weight"][1] == layout.boxes["n3"][1]


@pytest.mark.parametrize("columns", [1, 2, 4])
def test_columns_are_cut_evenly(columns: int) -> None:
    sizes, links = chain(20)
    layout = lay_out(sizes, links, columns=columns)
    lefts = sorted({left for left, _ in layout.boxes.values()})
    assert len(lefts) == columns
    assert all(other - one >= 100 + GUTTER for one, other in pairwise(lefts))
    for left in lefts:
        assert sum(each[0] == left for each in layout.boxes.values()) == 20 // columns


def test_a_large_graph_comes_near_to_the_wanted_shape() -> None:
    sizes, links = chain(60)
    wide, tall = (lay_out(sizes, links, aspect=aspect) for aspect in (2.0, 0.5))
    assert wide.width / wide.height == pytest.approx(2.0, rel=0.4)
    assert tall.width / tall.height == pytest.approx(0.5, rel=0.4)


@settings(max_examples=40, deadline=None)
@given(data=st.data(), count=st.integers(1, 14), columns=st.integers(0, 3))
def test_boxes_never_overlap_and_links_go_down(data: st.DataObject, count: int, columns: int) -> None:
    sizes = {
        f"n{i}": (data.draw(st.sampled_from([40.0, 120.0])), data.draw(st.sampled_from([30.0, 90.0])))
        for i in range(count)
    }
    pairs = [(f"n{i}", f"n{j}") for j in range(count) for i in range(j)]
    links = data.draw(st.lists(st.sampled_from(pairs), max_size=20)) if pairs else []
    layout = lay_out(sizes, links, columns=columns)
    assert overlaps(layout, sizes) == []
    for (source, target), way in zip(links, layout.ways, strict=True):
        (left, top), (width, height) = layout.boxes[source], sizes[source]
        assert way[0] == (pytest.approx(left + width / 2), pytest.approx(top + height))
        left, top = layout.boxes[target]
        assert way[-1][1] == pytest.approx(top)
        assert left <= way[-1][0] <= left + sizes[target][0]
    for left, top in layout.boxes.values():
        assert left >= -1e-6
        assert top >= -1e-6
        assert left <= layout.width
        assert top <= layout.height
