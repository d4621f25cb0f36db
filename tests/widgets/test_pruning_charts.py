"""What the charts of week 4 draw is read back from their lines and words."""

import pytest

from course_lib.benchmarking import Interval, LatencyComparison, LatencyResult, Ratio, record_machine
from course_lib.explore.pruning_studies import RemovalRace
from course_lib.lowrank.ranks import Choice
from course_lib.pruning.gating_speed import GatingPoint, GatingSpeed
from course_lib.pruning.iterative_state import RoundRecord
from course_lib.pruning.lottery_result import LotteryResult, TicketRecord
from course_lib.pruning.sensitivity import LayerResult
from course_lib.widgets.chart import TALL, WIDE, Chart
from course_lib.widgets.pruning_charts import (
    gating_chart,
    layers_chart,
    pruned_chart,
    rank_chart,
    removal_chart,
    rounds_chart,
    stored_chart,
    tickets_chart,
)

each_size = pytest.mark.parametrize("size", [WIDE, TALL])


def lines(chart: Chart) -> dict[str, list[tuple[float, float]]]:
    """Return label → points of the lines."""
    drawn = chart.figure.axes[0].lines
    return {
        str(line.get_label()): list(zip(line.get_xdata(), line.get_ydata(), strict=True)) for line in drawn
    }


@each_size
def test_accuracies_are_drawn_and_random_rankings_named_once(size) -> None:
    curves = {"L1": [(0.1, 0.9), (0.5, 0.4)], "random 0": [(0.1, 0.3), (0.5, 0.2)], "random 1": [(0.1, 0.2)]}
    chart = pruned_chart(curves, 0.92, size, pruned="channels removed")
    drawn = lines(chart)
    assert drawn["L1"] == curves["L1"]
    assert drawn["random"] == curves["random 0"]
    assert [text.get_text() for text in chart.figure.axes[0].get_legend().get_texts()] == [
        *("dense", "L1", "random")
    ]
    assert str(chart) == (
        "Accuracy, 92.0% before pruning, with 50% channels removed: L1 40.0%, random 0 20.0%, random 1 20.0%."
    )
    assert chart.png().startswith(b"\x89PNG")


@each_size
def test_stored_sizes_are_parts_of_the_first_way(size) -> None:
    sizes = {0.0: {"as they are": 400, "bitmap": 413}, 0.8: {"as they are": 400, "bitmap": 93}}
    chart = stored_chart(sizes, size)
    assert lines(chart) == {
        "as they are": [(0.0, 1.0), (0.8, 1.0)],
        "bitmap": [(0.0, 413 / 400), (0.8, 93 / 400)],
    }
    assert str(chart) == "Stored size with 80% zeros, as a part of all floats: as they are 100%, bitmap 23%."


def removal() -> RemovalRace:
    machine = record_machine()
    ratios = {
        "dense": Ratio(1.0, Interval(1.0, 1.0, 0.95)),
        "50%": Ratio(0.5, Interval(0.4, 0.625, 0.95)),
    }
    results = {name: LatencyResult(machine=machine, samples_ms=(1.0, 2.0), name=name) for name in ratios}
    race = LatencyComparison(machine=machine, baseline="dense", results=results, ratios=ratios)
    return RemovalRace(machine=machine, race=race, macs={"dense": 400, "50%": 100})


@each_size
def test_speed_is_drawn_against_macs_with_its_interval(size) -> None:
    chart = removal_chart({"net": removal()}, size)
    points, segments = chart.figure.axes[0].containers[0], chart.figure.axes[0].collections[0]
    assert list(points.lines[0].get_ydata()) == [1.0, 2.0]
    assert list(points.lines[0].get_xdata()) == [1.0, 4.0]
    ends = [sorted(y for _, y in segment) for segment in segments.get_segments()]
    assert ends[1] == pytest.approx([1.6, 2.5])
    assert str(chart) == "net: 50% of the channels removed, 4.00 times fewer MACs, 2.00 times faster."


@each_size
def test_rounds_start_at_the_dense_model(size) -> None:
    records = [RoundRecord(1, 0.2, 0.91, True), RoundRecord(2, 0.4, 0.85, False)]
    chart = rounds_chart({"channels": records}, 0.92, 0.874, size, pruned="MACs gone")
    drawn = lines(chart)
    assert drawn["channels"] == [(0.0, 0.92), (0.2, 0.91), (0.4, 0.85)]
    assert [y for _, y in drawn["floor, 87.4%"]] == [0.874, 0.874]
    assert str(chart) == "Validation accuracy, 92.0% at first, after channels: 85.0% with 40% MACs gone."


def test_without_a_floor_there_is_no_line() -> None:
    chart = rounds_chart({"weights": [RoundRecord(1, 0.2, 0.91, True)]}, 0.92)
    assert list(lines(chart)) == ["dense", "weights"]


@each_size
def test_each_layer_has_a_row(size) -> None:
    results = [
        LayerResult(layer, ratio, 0.9 - drop / 100, drop)
        for layer, ratio, drop in (("a", 0.25, 1.0), ("a", 0.5, 30.0), ("b", 0.25, 0.5), ("b", 0.5, 2.0))
    ]
    chart = layers_chart(results, size)
    assert lines(chart) == {"25% gone": [(1.0, 0), (0.5, 1)], "50% gone": [(30.0, 0), (2.0, 1)]}
    assert [label.get_text() for label in chart.figure.axes[0].get_yticklabels()] == ["a", "b"]
    assert str(chart) == "Points lost with one of 2 layers pruned: most with 50% of a gone, 30.0."


@each_size
def test_tickets_are_means_over_seeds(size) -> None:
    found = {"dense": 0.9, "ticket": 0.88, "new weights": 0.85, "shuffled mask": 0.86}
    records = tuple(
        TicketRecord(seed, arm, 0.0 if arm == "dense" else 0.8, value + seed / 100)
        for arm, value in found.items()
        for seed in (0, 1)
    )
    result = LotteryResult(machine=record_machine(), records=records, images=10)
    chart = tickets_chart(result, size)
    drawn = lines(chart)
    assert drawn["ticket"] == [(0.8, pytest.approx(0.885))]
    assert drawn["new weights"] == [(0.8, pytest.approx(0.855))]
    assert str(chart) == (
        "With 80% zeros tickets gain so many points, with 95 % intervals: +3.00 on new weights (+3.00 to "
        "+3.00); +2.00 on shuffled mask (+2.00 to +2.00)."
    )


@each_size
def test_energy_is_drawn_against_the_macs_of_the_layer(size) -> None:
    choices = [Choice("svd", (2,), 80, 0.9), Choice("svd", (1,), 40, 0.6)]
    chart = rank_chart({"SVD": choices}, 100, size)
    assert lines(chart)["SVD"] == [(0.4, 0.6), (0.8, 0.9)]
    assert str(chart) == "Energy kept with at most half of the layer's MACs: SVD 60%."


@each_size
def test_gating_is_drawn_by_size(size) -> None:
    points = tuple(
        GatingPoint(channels, 28, keep, keep, 1.0, Ratio(ratio, Interval(ratio - 0.1, ratio + 0.1, 0.95)))
        for channels, keep, ratio in ((16, 0.25, 1.5), (16, 0.5, 1.8), (64, 0.25, 0.4), (64, 0.5, 0.95))
    )
    chart = gating_chart(GatingSpeed(machine=record_machine(), points=points), size)
    drawn = lines(chart)
    assert drawn["16 channels, 28×28"] == [(0.25, 1.5), (0.5, 1.8)]
    assert drawn["64 channels, 28×28"] == [(0.25, 0.4), (0.5, 0.95)]
    expected = "Skipping is faster with 16 channels, 28×28: never; 64 channels, 28×28: up to 25.0% kept."
    assert str(chart) == expected
    assert chart.figure.axes[0].get_ylim() == pytest.approx((0, 1.3 * 1.8))
