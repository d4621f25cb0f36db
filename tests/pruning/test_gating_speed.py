"""The measurement's shape, its MACs against counted ones, and its errors; no timing decides."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from course_lib.benchmarking import Interval, Ratio, record_machine
from course_lib.errors import SettingError
from course_lib.pruning.gating import GatedConv, SkippingConv
from course_lib.pruning.gating_speed import (
    GatingPoint,
    GatingSpeed,
    _dense,
    _skip,
    macs_ratio,
    measure_gating_speed,
)


def point(keep_ratio: float, low: float, high: float, channels: int = 8) -> GatingPoint:
    ratio = Ratio((low + high) / 2, Interval(low, high, 0.95))
    return GatingPoint(channels, 4, keep_ratio, keep_ratio**2, 1.0, ratio)


def test_the_worked_example() -> None:
    assert macs_ratio(4, 1, 2) == pytest.approx(140 / 288)
    assert macs_ratio(64, 1000, 32) == pytest.approx(0.375, abs=1e-4)


@pytest.mark.parametrize("keep_ratio", [0.25, 0.5, 1.0])
def test_the_ratio_is_that_of_counted_work(keep_ratio: float) -> None:
    convs = [nn.Conv2d(8, 8, 3, padding=1) for _ in range(2)]
    x = torch.rand(1, 8, 5, 5)
    pair = [SkippingConv(GatedConv(conv, None, keep_ratio)) for conv in convs]
    with FlopCounterMode(display=False) as dense:
        _dense(convs, x)
    with FlopCounterMode(display=False) as gated:
        _skip(pair, x)
    expected = gated.get_total_flops() / dense.get_total_flops()
    # Convolutions pad, and their products with padding count here as in the formula.
    assert macs_ratio(8, 5, round(8 * keep_ratio)) == pytest.approx(expected)


def test_what_pays_is_surely_faster() -> None:
    points = (point(0.25, 0.5, 0.7), point(0.5, 0.8, 0.9), point(1.0, 0.95, 1.2), point(0.5, 1.1, 1.3, 2))
    speed = GatingSpeed(machine=record_machine(), points=points)
    assert speed.pays() == {(8, 4): 0.5, (2, 4): None}
    assert "Skipping is faster with 8 channels, 4×4: up to 50.0% kept; 2 channels, 4×4: never." in str(speed)
    assert speed.table_rows()[0]["latency, of dense"] == "60%"


def test_a_small_measurement() -> None:
    threads = torch.get_num_threads()
    speed = measure_gating_speed(((4, 5), (8, 5)), (0.5, 1.0), runs=6)
    assert torch.get_num_threads() == threads
    assert [(each.channels, each.keep_ratio) for each in speed.points] == [
        (4, 0.5),
        (4, 1.0),
        (8, 0.5),
        (8, 1.0),
    ]
    assert all(each.ratio.interval.low > 0 and each.dense_ms > 0 for each in speed.points)
    assert set(speed.pays()) == {(4, 5), (8, 5)}


def test_fractions_that_do_not_rise() -> None:
    with pytest.raises(SettingError) as error:
        measure_gating_speed(((4, 5),), (0.5, 0.25))
    assert str(error.value) == "keep_ratios are (0.5, 0.25); pass them rising, such as (0.25, 0.5, 1.0)."
    with pytest.raises(SettingError, match="keep_ratio is 2"):
        measure_gating_speed(((4, 5),), (2,))
