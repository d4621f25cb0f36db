"""What the charts draw is read back from their lines and words."""

import math

import pytest

from course_lib.benchmarking import (
    Interval,
    LatencyComparison,
    LatencyResult,
    LayerProfile,
    ModelProfile,
    Ratio,
    ThroughputResult,
    record_machine,
)
from course_lib.edge import Candidate, EdgeLimits, EdgeWeights, choose
from course_lib.explore import CompressionResult, CompressionSetting
from course_lib.explore.compress import Histogram
from course_lib.explore.estimate import AccuracyEstimate
from course_lib.explore.result import MeasuredLatency
from course_lib.widgets.chart import TALL, WIDE
from course_lib.widgets.charts import (
    blocks_chart,
    choice_chart,
    comparison_chart,
    latency_chart,
    layer_chart,
    sparsity_chart,
    throughput_chart,
)

MACHINE = record_machine()


def latency(*samples_ms: float, name: str = "net", items: int = 1) -> LatencyResult:
    return LatencyResult(machine=MACHINE, samples_ms=samples_ms, name=name, items_per_call=items)


def pruned(sparsity: float, accuracy: float, size_bytes: int, measured: bool = True) -> CompressionResult:
    ratio = MeasuredLatency(
        1.0, Interval(0.9, 1.1, 0.95), 1.0, 1.0 - sparsity / 100, Interval(0.9, 1.2, 0.95), 12, None
    )
    return CompressionResult(
        model="net",
        setting=CompressionSetting(sparsity=sparsity),
        accuracy=AccuracyEstimate(accuracy, accuracy, accuracy, 10, 10),
        baseline_accuracy=0.9,
        class_accuracy=None,
        sparsity=sparsity,
        size_bytes=size_bytes,
        dense_size_bytes=1000,
        sqnr_db=math.inf,
        histogram=Histogram("w", (0.0, 1.0), (1,), 0, (), ""),
        latency=ratio if measured else None,
    )


@pytest.mark.parametrize("size", [WIDE, TALL])
def test_latency_shows_every_sample_and_all_statistics(size: tuple[float, float]) -> None:
    result = latency(1.0, 3.0, 2.0, 2.0, 2.0)
    chart = latency_chart(result, size)
    in_order, done = chart.figure.axes
    assert tuple(in_order.lines[0].get_ydata()) == result.samples_ms
    assert list(done.lines[0].get_xdata()) == [1, 2, 2, 2, 3]
    assert [text.get_text() for text in done.get_legend().get_texts()] == [
        "p50 2.00 ms",
        "mean 2.00 ms",
        "p95 2.80 ms",
        "p99 2.96 ms",
    ]
    assert in_order.get_yscale() == "linear"
    assert chart.summary.startswith("Latency of net over 5 runs: p50 2.00 ms")


def test_a_long_tail_gets_a_logarithmic_axis() -> None:
    in_order, done = latency_chart(latency(1.0, 1.0, 50.0)).figure.axes
    assert (in_order.get_yscale(), done.get_xscale()) == ("log", "log")


def test_blocks_show_medians_with_their_intervals() -> None:
    chart = blocks_chart([latency(1.0, 2.0, 3.0), latency(3.0, 4.0, 5.0)])
    (axes,) = chart.figure.axes
    assert list(axes.lines[0].get_ydata()) == [2, 4]
    ends = [segment[:, 1].tolist() for segment in axes.collections[0].get_segments()]
    assert ends == [[1, 3], [3, 5]]
    assert chart.summary == (
        "2 measurements of net, one after the other: the largest median is 2.00 times the smallest."
    )


def test_a_comparison_shows_ratios_with_intervals() -> None:
    ratios = {
        "a": Ratio(1.0, Interval(1.0, 1.0, 0.95)),
        "a very long name that wraps": Ratio(0.25, Interval(0.2, 0.3, 0.95)),
    }
    results = {name: latency(2.0, name=name) for name in ratios}
    chart = comparison_chart(LatencyComparison(machine=MACHINE, baseline="a", results=results, ratios=ratios))
    (axes,) = chart.figure.axes
    assert list(axes.lines[2].get_xdata()) == [0.2, 0.3]
    assert list(axes.lines[3].get_xdata()) == [0.25]
    assert [text.get_text() for text in axes.texts] == ["1.00×, 2.00 ms", "0.250×, 2.00 ms"]
    assert axes.get_yticklabels()[1].get_text() == "a very long name\nthat wraps"
    assert chart.summary == "Latency as a multiple of a: a 1.00, a very long name that wraps 0.250."


def test_layers_show_both_shares_and_everything_else_in_one_row() -> None:
    layers = (
        LayerProfile("conv", "Conv2d", (1, 4), 300, 9, (2.0, 2.0)),
        LayerProfile("relu", "ReLU", (1, 4), 0, 0, (5.0, 5.0)),
        LayerProfile("linear", "Linear", (1, 2), 100, 8, (1.0, 1.0)),
        LayerProfile("norm", "BatchNorm2d", (1, 4), 0, 8, (2.0, 2.0)),
    )
    chart = layer_chart(ModelProfile(machine=MACHINE, name="net", layers=layers))
    (axes,) = chart.figure.axes
    macs, time = axes.containers
    assert [bar.get_width() for bar in macs] == pytest.approx([0.75, 0.25, 0.0])
    assert [bar.get_width() for bar in time] == pytest.approx([0.2, 0.1, 0.7])
    assert "conv has the most MACs with 75%, everything without MACs takes the most time" in chart.summary


def test_throughput_shows_rate_and_wait() -> None:
    results = (latency(1.0, 1.0, items=1), latency(2.0, 2.0, items=8))
    chart = throughput_chart(ThroughputResult(machine=MACHINE, by_batch=results))
    rate, wait = chart.figure.axes
    assert list(rate.lines[0].get_ydata()) == [1000, 4000]
    assert list(wait.lines[0].get_ydata()) == [1, 2]
    assert chart.summary.endswith("best at 8.")


def test_sparsity_shows_what_was_paid_and_what_was_bought() -> None:
    chart = sparsity_chart(
        [pruned(0.0, 0.9, 1000), pruned(0.5, 0.8, 600, measured=False), pruned(0.9, 0.1, 200)]
    )
    accuracy, stored, latency_axes = chart.figure.axes
    assert list(accuracy.lines[0].get_ydata()) == [0.9, 0.8, 0.1]
    assert list(stored.lines[0].get_ydata()) == [1.0, 0.6, 0.2]
    assert list(latency_axes.lines[1].get_xdata()) == [0.0, 0.9]
    assert chart.summary == (
        "net with 90% zeros: accuracy 10.0% instead of 90.0%, size 20% of the dense one, "
        "latency 0.991 of the dense one."
    )


def test_a_choice_shows_who_is_best_and_who_is_out() -> None:
    base = {"energy_mj": 1.0, "bandwidth_bytes": 1.0, "cost": 1.0, "memory_bytes": 1.0, "macs": 1}
    candidates = [
        Candidate(name="good", latency_ms=1.0, accuracy=0.9, **base),
        Candidate(name="slow", latency_ms=2.0, accuracy=0.9, **base),
        Candidate(name="wrong", latency_ms=0.5, accuracy=0.1, **base),
    ]
    chart = choice_chart(choose(candidates, EdgeWeights(per_ms=1.0), EdgeLimits(accuracy=0.5)))
    (axes,) = chart.figure.axes
    assert [text.get_text() for text in axes.texts] == ["wrong", "good", "slow"]
    assert [line.get_marker() for line in axes.lines] == ["X", "o", "o"]
    assert axes.lines[1].get_color() != axes.lines[2].get_color()
    assert chart.summary == "3 models by latency and accuracy; good is the best within the limits."
    none = choice_chart(choose(candidates, EdgeWeights(), EdgeLimits(accuracy=0.99)))
    assert none.summary.endswith("none keeps the limits.")
