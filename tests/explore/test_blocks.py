import re
from collections.abc import Callable
from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from course_lib.architectures.blocks.catalogue import BLOCKS, BlockShape
from course_lib.benchmarking.macs import profile_layers
from course_lib.errors import SettingError, UnknownNameError
from course_lib.explore.block_choice import STOPS
from course_lib.explore.block_result import BlockLatency, BlockSetting, KernelTime
from course_lib.explore.blocks import BlockEngine, cost_block
from course_lib.explore.cancelling import Cancelled
from tests.explore.known_block import latency

SETTING = BlockSetting("separable", BlockShape(8, 16, resolution=10))
SHAPES = st.builds(BlockShape, **{knob: st.sampled_from(stops) for knob, stops in STOPS.items()})


class Stopwatch:
    """Measures nothing, and notes what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, BlockShape, BlockShape]] = []

    def __call__(
        self, name: str, shape: BlockShape, standard: BlockShape, cancelled: Callable[[], bool]
    ) -> BlockLatency:
        self.asked.append((name, shape, standard))
        if cancelled():
            raise Cancelled("given up")
        kernels = (KernelTime("Conv", "0.0", 100, 5.0),)
        return latency(10, 20, kernels, kernels)


def test_the_worked_example() -> None:
    result = cost_block(SETTING)
    assert (result.macs, result.standard_macs) == (20_000, 115_200)
    assert result.macs_ratio == pytest.approx(0.174, abs=5e-4)
    assert (result.latency, result.intensity(), result.is_reference) == (None, None, False)


@pytest.mark.parametrize("name", BLOCKS)
def test_counting_finds_what_the_formula_on_the_page_gives(name: str) -> None:
    compared = 0
    for channels, stride, expansion in product(((24, 24), (24, 48)), (1, 2), (1, 3)):
        shape = BlockShape(*channels, 9, kernel=5, stride=stride, expansion=expansion, groups=3)
        try:
            result = cost_block(BlockSetting(name, shape))
        except SettingError:
            continue
        counted = profile_layers(BLOCKS[name].build(shape), torch.zeros(1, 24, 9, 9))
        assert (result.values[""], result.macs, result.params) == (counted.macs, counted.macs, counted.params)
        compared += 1
    assert compared


@given(st.sampled_from(sorted(BLOCKS)), SHAPES)
def test_the_formula_on_the_page_gives_the_macs(name: str, shape: BlockShape) -> None:
    setting = BlockSetting(name, shape)
    try:
        BLOCKS[name].macs(shape)
    except SettingError as refused:
        with pytest.raises(SettingError, match=f"^{re.escape(str(refused))}$"):
            cost_block(setting)
    else:
        result = cost_block(setting)
        assert result.values[""] == result.macs == sum(layer.macs for layer in result.picture.layers)


def test_the_formulas_come_first_and_the_latency_after_them() -> None:
    engine = BlockEngine(Stopwatch())
    first, last = engine.stream(SETTING)
    assert (first.macs, first.latency) == (20_000, None)
    assert last.latency is not None
    assert (last.latency.ratio, last.macs) == (0.5, first.macs)
    assert last.intensity() == (200.0, 1152.0)


def test_what_was_measured_is_remembered_by_the_shape_that_the_block_obeys() -> None:
    watch = Stopwatch()
    engine = BlockEngine(watch)
    engine.measured(SETTING)
    other_groups = BlockSetting("separable", BlockShape(8, 16, 10, groups=4, expansion=2))
    (only,) = engine.stream(other_groups)
    assert only.latency is not None
    assert watch.asked == [("separable", SETTING.shape, SETTING.shape)]
    engine.measured(BlockSetting("separable", BlockShape(8, 16, resolution=14)))
    assert len(watch.asked) == 2


def test_a_stream_that_was_cancelled_ends_and_is_not_remembered() -> None:
    watch = Stopwatch()
    engine = BlockEngine(watch)
    assert len(list(engine.stream(SETTING, lambda: True))) == 1
    assert watch.asked == []
    assert len(list(engine.stream(SETTING, lambda: bool(watch.asked)))) == 1
    assert len(watch.asked) == 1
    assert len(list(engine.stream(SETTING))) == 2


def test_the_standard_convolution_is_compared_with_itself_and_its_groups_with_it() -> None:
    assert cost_block(BlockSetting("standard", BlockShape(8, 16, 10))).is_reference
    grouped = cost_block(BlockSetting("standard", BlockShape(8, 16, 10, groups=4)))
    assert not grouped.is_reference
    assert grouped.macs_ratio == 0.25


def test_a_real_measurement_follows() -> None:
    result = BlockEngine().measured(SETTING)
    assert result.latency is not None
    assert result.latency.p50_ms > 0


def test_what_a_block_cannot_have_is_refused_in_one_sentence() -> None:
    engine = BlockEngine(Stopwatch())
    with pytest.raises(UnknownNameError, match="no block called 'conv'"):
        next(engine.stream(BlockSetting("conv", SETTING.shape)))
    with pytest.raises(SettingError) as caught:
        next(engine.stream(BlockSetting("standard", BlockShape(8, 16, 10, groups=3))))
    assert str(caught.value) == (
        "3 groups do not divide input channels 8, output channels 16; expected a number that divides all of "
        "them, such as 2."
    )
