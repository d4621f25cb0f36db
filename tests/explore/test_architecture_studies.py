"""What the lesson on architectures measures: costs are exact, latencies only exist."""

import pytest

from course_lib.architectures import create_model
from course_lib.architectures.blocks.catalogue import BLOCKS, BlockShape
from course_lib.architectures.blocks.separable import separable_ratio
from course_lib.benchmarking import Interval, LatencyComparison, LatencyResult, Ratio, record_machine
from course_lib.errors import SettingError
from course_lib.explore.architecture_studies import (
    CostRace,
    Gain,
    kernel_times_us,
    moved_numbers,
    pointwise,
    race_blocks,
    race_scaled,
    separable_gains,
    settings_for,
)
from course_lib.explore.block_result import BlockSetting
from course_lib.explore.blocks import BlockEngine

SHAPE = BlockShape(48, 48, resolution=7, groups=3)


def race_of(**p50_ms: float) -> LatencyComparison:
    """Return a race with these medians, the first as the baseline; intervals are 10 % to either side."""
    machine, base = record_machine(), next(iter(p50_ms.values()))
    return LatencyComparison(
        machine=machine,
        baseline=next(iter(p50_ms)),
        results={
            name: LatencyResult(machine=machine, samples_ms=(p50,) * 8, name=name)
            for name, p50 in p50_ms.items()
        },
        ratios={
            name: Ratio(p50 / base, Interval(0.9 * p50 / base, 1.1 * p50 / base, 0.95))
            for name, p50 in p50_ms.items()
        },
    )


def known_race() -> CostRace:
    race = race_of(standard=0.008, separable=0.004)
    macs, params = {"standard": 800, "separable": 100}, {"standard": 90, "separable": 30}
    return CostRace(machine=race.machine, race=race, macs=macs, params=params)


def test_gains_of_the_worked_example() -> None:
    gain = known_race().gains()["separable"]
    assert (gain.fewer_macs, gain.faster) == (8.0, pytest.approx(2.0))
    low, high = gain.faster_interval
    assert (low, high) == (pytest.approx(1 / 0.55), pytest.approx(1 / 0.45))
    assert gain.faster_interval.confidence == 0.95


def test_parts_are_multiples_of_the_baseline() -> None:
    assert known_race().parts() == {
        "standard": {"MACs": 1, "parameters": 1, "latency": 1},
        "separable": {"MACs": 0.125, "parameters": pytest.approx(1 / 3), "latency": pytest.approx(0.5)},
    }


def test_the_table_tells_both_ratios() -> None:
    text = str(known_race())
    assert "8.00 times" in text
    assert "2.00 times" in text
    assert "1.82 to 2.22" in text


def test_settings_are_those_that_each_block_can_have() -> None:
    settings = settings_for(SHAPE)
    assert next(iter(settings)) == "standard"
    assert set(settings) == set(BLOCKS) - {"squeeze_excitation"}
    assert settings["standard"].shape.groups == 1
    assert settings["shuffle_v1"].shape.groups == 3


def test_a_shape_that_a_block_refuses_is_refused() -> None:
    with pytest.raises(SettingError, match="5 groups do not divide"):
        settings_for(BlockShape(48, 48, resolution=7, groups=5))


def test_blocks_are_timed_and_counted() -> None:
    settings = {name: settings_for(SHAPE)[name] for name in ("standard", "separable", "ghost")}
    race = race_blocks(settings, runs=6)
    assert race.race.baseline == "standard"
    assert race.macs["standard"] == 49 * 9 * 48 * 48
    assert race.macs["separable"] == 49 * (9 * 48 + 48 * 48)
    assert race.params == {name: BLOCKS[name].params(each.shape) for name, each in settings.items()}
    assert all(len(result.samples_ms) == 6 for result in race.race.results.values())


def test_the_gain_of_a_separable_block_is_promised_by_its_ratio() -> None:
    shapes = {"8 → 16": BlockShape(8, 16, resolution=7), "5×5": BlockShape(8, 8, resolution=7, kernel=5)}
    gains = separable_gains(shapes, runs=6)
    assert [gain.name for gain in gains] == list(shapes)
    assert [gain.fewer_macs for gain in gains] == [
        pytest.approx(separable_ratio(3, 16)),
        pytest.approx(separable_ratio(5, 8)),
    ]
    assert all(gain.faster > 0 for gain in gains)


def test_three_1x1_convolutions_of_equal_macs_move_different_numbers() -> None:
    cases = {
        "equal": pointwise(128, 128, 28),
        "wide": pointwise(32, 512, 28),
        "4": pointwise(128, 512, 28, 4),
    }
    assert len({BLOCKS[each.block].macs(each.shape) for each in cases.values()}) == 1
    assert moved_numbers(cases) == {"equal": 217_088, "wide": 442_880, "4": 518_144}


def test_the_time_of_a_block_is_told_by_kind() -> None:
    result = BlockEngine().measured(BlockSetting("separable", BlockShape(8, 16, resolution=10)))
    times = kernel_times_us(result)
    assert set(times) == {"depthwise", "pointwise", "outside"}
    assert times["depthwise"] >= 1
    assert times["outside"] >= 0


@pytest.mark.slow
def test_networks_are_scaled_counted_and_timed() -> None:
    race = race_scaled("depthwise", [(1, 1), (0.5, 1)], runs=6)
    assert list(race.macs) == ["width 1, depth 1", "width 0.5, depth 1"]
    assert race.race.baseline == "width 1, depth 1"
    half = sum(each.numel() for each in create_model("depthwise", width=0.5).parameters())
    assert race.params["width 0.5, depth 1"] == half
    assert race.macs["width 0.5, depth 1"] < race.macs["width 1, depth 1"]


def test_a_gain_knows_its_own_inverse() -> None:
    gain = Gain("a", 2.0, Ratio(0.25, Interval(0.2, 0.5, 0.9)))
    assert gain.faster == 4
    assert tuple(gain.faster_interval) == (2, 5)
    assert gain.faster_interval.confidence == 0.9
