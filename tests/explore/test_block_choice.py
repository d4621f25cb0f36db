from dataclasses import asdict
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.architectures.blocks.catalogue import BLOCKS, BlockShape
from course_lib.errors import SettingError, UnknownNameError
from course_lib.explore.block_choice import STOPS, nearest_shape, obeyed, standard_of
from course_lib.explore.block_result import BlockSetting

SHAPES = st.builds(BlockShape, **{knob: st.sampled_from(stops) for knob, stops in STOPS.items()})


def test_the_worked_example() -> None:
    shape = BlockShape(48, 96, resolution=28, stride=1)
    assert nearest_shape(BlockSetting("shuffle_v1", shape)) == BlockShape(48, 96, resolution=28, stride=2)
    both = BlockShape(96, 48, resolution=28)
    assert nearest_shape(BlockSetting("shuffle_v1", both)) == BlockShape(48, 48, resolution=28)


@given(st.sampled_from(sorted(BLOCKS)), SHAPES)
def test_the_nearest_shape_can_be_had_and_is_the_same_where_nothing_is_refused(
    name: str, shape: BlockShape
) -> None:
    nearest = nearest_shape(BlockSetting(name, shape))
    assert nearest is not None
    assert BLOCKS[name].macs(nearest) > 0
    try:
        BLOCKS[name].macs(shape)
    except SettingError:
        assert nearest != shape
    else:
        assert nearest == shape


def test_no_other_shape_moves_fewer_knobs() -> None:
    shape = BlockShape(30, 64, resolution=7, groups=4)
    nearest = nearest_shape(BlockSetting("standard", shape))
    assert nearest is not None
    moved = sum(asdict(nearest)[knob] != value for knob, value in asdict(shape).items())
    assert moved == 1
    single = [(knob, stop) for knob in ("in_channels", "groups") for stop in STOPS[knob]]
    assert any(asdict(nearest)[knob] == stop for knob, stop in single)


def test_knobs_that_a_block_does_not_have_stand_at_their_defaults() -> None:
    asked = BlockShape(24, 48, 14, kernel=7, stride=2, expansion=3, groups=3)
    assert obeyed("fire", asked) == BlockShape(24, 48, 14)
    assert obeyed("squeeze_excitation", asked) == BlockShape(24, 24, 14)
    assert obeyed("mbconv", asked) == BlockShape(24, 48, 14, kernel=7, stride=2, expansion=3)
    assert standard_of("standard", asked) == BlockShape(24, 48, 14, kernel=7, stride=2)
    assert standard_of("shuffle_v1", asked) == BlockShape(24, 48, 14, stride=2)


def test_every_stop_is_a_shape() -> None:
    assert set(STOPS) == set(asdict(BlockShape(1, 1, 1)))
    for knob, stops in STOPS.items():
        assert list(stops) == sorted(set(stops)), knob
    for kernel, stride in product(STOPS["kernel"], STOPS["stride"]):
        BlockShape(8, 8, 7, kernel=kernel, stride=stride)


def test_an_unknown_block_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="no block called 'conv'"):
        obeyed("conv", BlockShape(8, 8, 7))
    with pytest.raises(UnknownNameError, match="no block called 'conv'"):
        nearest_shape(BlockSetting("conv", BlockShape(8, 8, 7)))
