from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from course_lib.architectures import create_model, list_models
from course_lib.architectures.multipliers import (
    Stage,
    blocks_of,
    scale_blocks,
    scale_channels,
    scale_depth,
    scale_repeats,
    scale_stages,
)

factors = st.floats(0.05, 4)
stages = st.lists(st.builds(Stage, st.integers(8, 200), st.integers(1, 6), st.integers(1, 2)), min_size=1)


class Block(NamedTuple):
    name: str
    stride: int


def test_the_worked_example() -> None:
    assert scale_channels(24, 0.75) == 24
    assert scale_repeats(3, 1.1) == 4


def test_by_hand() -> None:
    table = (Stage(20, 1, 2), Stage(100, 3, 1))
    assert scale_stages(table, 0.5, 0.5) == (Stage(16, 1, 2), Stage(48, 2, 1))
    assert scale_blocks(table, 1, 1) == ((20, 2), (100, 1), (100, 1), (100, 1))
    assert scale_repeats(10, 1.1) == 11  # 1.1 · 10 is 11.000000000000002


def test_unequal_blocks_are_left_out_or_repeated_at_the_end_of_their_stage() -> None:
    table = [[Block("a", 2)], [Block("b", 2), Block("c", 1)]]
    assert scale_depth(table, 0.5) == (Block("a", 2), Block("b", 2))
    assert scale_depth(table, 1.5) == (
        *(Block("a", 2), Block("a", 1)),
        *(Block("b", 2), Block("c", 1), Block("c", 1)),
    )


@given(st.integers(1, 2000), factors, factors, st.sampled_from([1, 4, 8, 12]))
def test_channels_are_multiples_near_the_product_and_rise_with_the_width(
    channels: int, one: float, other: float, multiple: int
) -> None:
    narrow, wide = sorted([one, other])
    scaled = scale_channels(channels, narrow, multiple)
    assert scale_channels(channels, 1.0, multiple) == channels
    if narrow != 1:
        assert scaled % multiple == 0
        assert max(multiple, 0.9 * channels * narrow) - 1e-9 <= scaled <= channels * narrow + multiple
    if 1 not in (narrow, wide):
        assert scaled <= scale_channels(channels, wide, multiple)


@given(stages, factors, factors)
def test_only_the_first_block_of_a_stage_has_its_stride(
    table: list[Stage], width: float, depth: float
) -> None:
    assert scale_stages(table, 1.0, 1.0) == tuple(table)
    blocks = scale_blocks(table, width, depth)
    assert len(blocks) == sum(scale_repeats(stage.repeats, depth) for stage in table)
    assert sum(stride == 2 for _, stride in blocks) == sum(stage.stride == 2 for stage in table)
    assert next(stride for _, stride in blocks_of(table)) == table[0].stride


def test_every_small_network_grows_with_both() -> None:
    for name in list_models((1, 28, 28)):
        sizes = [
            sum(value.numel() for value in create_model(name, 10, width, depth).parameters())
            for width, depth in ((0.5, 1), (1, 1), (1.5, 1), (1, 2), (1.5, 2))
        ]
        narrow, plain, wide, deep, large = sizes
        assert narrow < plain < min(wide, deep), name
        assert max(wide, deep) < large, name
