from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.explore.fusion import LEVELS, FusionEngine
from course_lib.explore.fusion_picture import FusionPicture, _tops, draw_fusion
from tests.explore.fusion_net import known_diff, net

WISHES = st.lists(
    st.tuples(st.one_of(st.none(), st.floats(0, 40)), st.integers(1, 2)), min_size=1, max_size=30
)


def test_the_worked_example() -> None:
    picture = draw_fusion(known_diff())
    assert [(node.title, node.top) for node in picture.before] == [
        ("Conv", 0),
        ("BatchNormalization", 1),
        ("Relu", 2),
        ("Flatten", 3),
    ]
    assert [(node.title, node.top, node.rows) for node in picture.after] == [
        ("FusedConv (microsoft)", 0.5, 2),
        ("Flatten", 3, 1),
    ]
    assert picture.links == ((0, 0), (1, 0), (2, 0), (3, 1))
    assert [node.change for node in picture.before] == ["fused", "fused", "fused", "kept"]
    assert [node.change for node in picture.after] == ["fused", "kept"]
    assert picture.after[0].detail == "3×3 → 1×2×4×4"
    assert (picture.before_steps, picture.after_steps, picture.before_arcs) == ((1, 2, 3), (1,), ())
    assert picture.rows == 4


@given(WISHES)
def test_boxes_keep_their_order_and_never_overlap(wishes: list[tuple[float | None, int]]) -> None:
    wanted, rows = zip(*wishes, strict=True)
    tops = _tops(wanted, rows)
    assert tops[0] >= 0
    for (top, height), (later, _) in pairwise(zip(tops, rows, strict=True)):
        assert later >= top + height - 2e-3  # places are rounded


@given(st.lists(st.floats(1, 30), min_size=1, max_size=5))
def test_no_other_places_in_order_are_nearer_to_the_wanted_ones(wanted: list[float]) -> None:
    rows = [1] * len(wanted)
    tops = np.array(_tops(wanted, rows))
    missed = float(np.square(tops + 0.5 - wanted).sum())
    others = np.random.default_rng(0).uniform(0, 31, (200, len(wanted)))
    others = np.sort(others, axis=1) + np.arange(len(wanted))  # in order and without overlap
    assert missed <= np.square(others + 0.5 - wanted).sum(1).min() + 0.1


def test_a_wish_that_can_be_granted_is_granted() -> None:
    assert _tops([1.0, 4.5, None], [2, 1, 1]) == [0, 4, 5]
    assert _tops([], []) == []


def lanes_overlap(picture: FusionPicture) -> bool:
    return any(
        one.lane == other.lane and one.start < other.end and other.start < one.end
        for arcs in (picture.before_arcs, picture.after_arcs)
        for place, one in enumerate(arcs)
        for other in arcs[place + 1 :]
    )


@pytest.mark.parametrize("level", LEVELS)
def test_every_node_is_drawn_and_every_match_linked(level: str) -> None:
    diff = FusionEngine(net()).diff(level)  # type: ignore[arg-type]
    picture = draw_fusion(diff)
    assert [node.name for node in picture.before] == [node.name for node in diff.before.nodes]
    assert [node.name for node in picture.after] == [node.name for node in diff.after.nodes]
    linked = {(picture.before[left].name, picture.after[right].name) for left, right in picture.links}
    assert linked == {(part, match.node) for match in diff.matches for part in match.parts}
    # The addition reads what a node further up made: the one way that is not to the next node.
    assert [
        (picture.before[arc.start].name, picture.before[arc.end].name) for arc in picture.before_arcs
    ] == [("relu_1", "add")]
    assert not lanes_overlap(picture)
    assert picture.rows >= max(node.top + node.rows for node in picture.after)


def test_a_crowd_of_skips_shares_the_outermost_lane() -> None:
    picture = draw_fusion(FusionEngine("vision_transformer").diff("off"))
    assert max(arc.lane for arc in picture.before_arcs) <= 3
    assert all(arc.end - arc.start > 1 for arc in picture.before_arcs)
