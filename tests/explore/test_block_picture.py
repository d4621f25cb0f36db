from itertools import product

import pytest

from course_lib.architectures.blocks.catalogue import BLOCKS, BlockShape
from course_lib.errors import SettingError
from course_lib.explore.block_picture import draw_block
from course_lib.explore.block_result import BlockPicture
from course_lib.explore.block_trace import trace_block


def picture(name: str, shape: BlockShape) -> BlockPicture:
    return draw_block(trace_block(name, shape))


def test_the_worked_example() -> None:
    drawn = picture("separable", BlockShape(8, 8, resolution=10))
    assert [(layer.title, layer.detail, layer.after) for layer in drawn.layers] == [
        ("in", "10×10 pixels", ""),
        ("3×3", "depthwise", "BN, ReLU"),
        ("1×1", "", "BN, ReLU"),
        ("+", "added", ""),
    ]
    assert [(layer.column, layer.lane) for layer in drawn.layers] == [(0, 0), (1, 0), (2, 0), (3, 0)]
    assert sorted(edge.level for edge in drawn.edges) == [0, 0, 0, 1]
    (passing,) = [edge for edge in drawn.edges if edge.level]
    assert (passing.start, passing.end) == ("input", drawn.layers[-1].name)


def test_a_gate_passes_inside_of_an_identity() -> None:
    drawn = picture("mbconv", BlockShape(8, 8, resolution=10))
    titles = {layer.name: layer.title for layer in drawn.layers}
    assert [layer.title for layer in drawn.layers] == [
        "in",
        "1×1",
        "3×3",
        "avg",
        "1×1",
        "1×1",
        "×",
        "1×1",
        "+",
    ]
    passing = {(titles[edge.start], titles[edge.end]): edge.level for edge in drawn.edges if edge.level}
    assert passing == {("3×3", "×"): 1, ("in", "+"): 2}


def test_a_branch_lies_in_a_lane_of_its_own() -> None:
    drawn = picture("shuffle_v2", BlockShape(8, 16, resolution=10, stride=2))
    lanes = [[layer.title for layer in drawn.layers if layer.lane == lane] for lane in (0, 1)]
    assert sorted(lanes[0]) == sorted(["in", "1×1", "3×3", "1×1", "‖", "shuffle"])
    assert lanes[1] == ["3×3", "1×1"]
    assert [layer.channels for layer in drawn.layers if layer.title in ("‖", "shuffle")] == [16, 16]


def test_groups_are_named() -> None:
    drawn = picture("shuffle_v1", BlockShape(24, 24, resolution=10, groups=3))
    kinds = [(layer.kind, layer.detail) for layer in drawn.layers if layer.path]
    assert kinds == [("grouped", "3 groups"), ("depthwise", "depthwise"), ("grouped", "3 groups")]


@pytest.mark.parametrize("name", BLOCKS)
def test_boxes_have_places_of_their_own_and_all_macs(name: str) -> None:
    compared = 0
    for channels, stride, expansion in product(((24, 24), (24, 48)), (1, 2), (1, 3)):
        shape = BlockShape(*channels, 9, stride=stride, expansion=expansion, groups=3)
        try:
            expected = BLOCKS[name].macs(shape)
        except SettingError:
            continue
        drawn = picture(name, shape)
        places = [(layer.column, layer.lane) for layer in drawn.layers]
        assert len(set(places)) == len(places)
        assert sum(layer.macs for layer in drawn.layers) == expected
        columns = {layer.name: layer.column for layer in drawn.layers}
        assert all(columns[edge.start] < columns[edge.end] for edge in drawn.edges)
        compared += 1
    assert compared
