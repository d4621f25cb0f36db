"""What the charts draw is read back from their lines and words."""

import math

import numpy as np
import pytest

from course_lib.benchmarking import record_machine
from course_lib.pipelines.accuracy_comparison import AccuracyComparison, VersionAccuracy
from course_lib.pipelines.claims import Claim
from course_lib.quantization.models.advice import Advice
from course_lib.widgets.chart import GREEN, GREY, ORANGE, TALL, WIDE
from course_lib.widgets.quantization_charts import (
    accuracy_chart,
    channels_chart,
    claims_chart,
    ranges_chart,
    sqnr_chart,
)

each_size = pytest.mark.parametrize("size", [WIDE, TALL])


@each_size
def test_ratios_stand_beside_the_line_of_a_sine(size: tuple[float, float]) -> None:
    chart = sqnr_chart({"normal": [(2, 1.0), (4, 16.0)], "short": [(3, 9.0)]}, size, bits="stored bits")
    (axes,) = chart.figure.axes
    line, normal, short = axes.lines
    assert list(line.get_xdata()) == [2, 4]
    assert list(line.get_ydata()) == pytest.approx([6.02 * 2 + 1.76, 6.02 * 4 + 1.76], abs=0.01)
    assert list(normal.get_ydata()) == [1.0, 16.0]
    assert list(short.get_xdata()) == [3]
    assert axes.get_xlabel() == "stored bits"
    assert chart.summary == (
        "Signal-to-quantization-noise ratio against stored bits: normal 16.0 dB at 4, short 9.0 dB at 3."
    )


@each_size
def test_channels_show_range_and_ratio(size: tuple[float, float]) -> None:
    chart = channels_chart([0.5, 100.0], {"one scale": [0.0, 40.0], "own": [45.0, 41.0]}, "conv", size)
    ranges, ratios = chart.figure.axes
    assert [bar.get_height() for bar in ranges.patches] == [0.5, 100.0]
    assert [list(line.get_ydata()) for line in ratios.lines[:2]] == [[0.0, 40.0], [45.0, 41.0]]
    assert chart.summary == (
        "conv: the widest channel reaches 200 times as far as the narrowest. "
        "one scale: worst channel 0.0 dB; own: worst channel 41.0 dB."
    )


@each_size
def test_every_observer_has_its_range_above_the_histogram(size: tuple[float, float]) -> None:
    chosen = {"minmax": (0.0, 3.0), "mse": (0.0, 1.5)}
    chart = ranges_chart(np.array([5, 2, 0]), np.array([0.0, 1.0, 2.0, 3.0]), chosen, "the input", size)
    (axes,) = chart.figure.axes
    assert [tuple(line.get_xdata()) for line in axes.lines] == [(0.0, 3.0), (0.0, 1.5)]
    assert all(line.get_ydata()[0] > 5 for line in axes.lines)
    assert [text.get_text() for text in axes.texts] == ["minmax", "mse"]
    assert chart.summary == "Ranges chosen for the input: minmax 0.00 to 3.00, mse 0.00 to 1.50."


@each_size
def test_versions_stand_at_their_accuracy_with_the_interval_of_the_drop(size: tuple[float, float]) -> None:
    versions = {
        "float32": VersionAccuracy("float32", 0.9, Advice(False, 0.0, (-0.1, 0.1), 2.0), math.inf),
        "good": VersionAccuracy("good", 0.89, Advice(False, 1.0, (0.5, 1.5), 2.0), 30.0),
        "bad": VersionAccuracy("bad", 0.5, Advice(True, 40.0, None, 2.0), 3.0),
    }
    comparison = AccuracyComparison(
        machine=record_machine(), baseline="float32", images=1000, versions=versions
    )
    chart = accuracy_chart(comparison, size)
    (axes,) = chart.figure.axes
    _, float32, interval, good, point, bad = axes.lines
    assert [line.get_xdata()[0] for line in (float32, good, bad)] == [0.9, 0.89, 0.5]
    assert [line.get_color() for line in (float32, good, bad)] == [GREY, GREEN, ORANGE]
    assert list(interval.get_xdata()) == pytest.approx([0.885, 0.895])
    assert list(point.get_xdata()) == pytest.approx([0.5, 0.5])
    assert chart.summary == "Accuracy on 1,000 images: float32 90.0%, good 89.0%, bad 50.0%."


@each_size
def test_claims_are_coloured_by_their_verdict(size: tuple[float, float]) -> None:
    claims = {
        "holds": Claim("faster", 3.0, "times faster", 2.0, 4.0, (2.5, 3.5)),
        "fails": Claim("faster", 1.5, "times faster", 2.0, 4.0),
        "open": Claim("faster", 2.0, "times faster", 2.0, 4.0, (1.5, 2.5)),
    }
    chart = claims_chart(claims, size)
    (axes,) = chart.figure.axes
    assert [line.get_color() for line in axes.lines[1::2]] == [GREEN, ORANGE, GREY]
    assert [tuple(line.get_xdata()) for line in axes.lines[::2]] == [(2.5, 3.5), (1.5, 1.5), (1.5, 2.5)]
    assert [text.get_text() for text in axes.texts] == ["3.00", "1.50", "2.00"]
    band = axes.patches[0].get_bbox()
    assert (band.x0, band.x1) == (2.0, 4.0)
    assert axes.get_xlim()[0] == 0
    assert axes.get_xlabel() == "times faster"
    assert chart.figure.legends[0].get_texts()[0].get_text() == "claim: 2 to 4"
    assert chart.summary.startswith("Measured times faster, claimed 2 to 4: holds 3.00 (holds here)")


@pytest.mark.parametrize(("low", "high"), [(4.0, math.inf), (-math.inf, 1.0)])
def test_a_claim_with_one_end_is_drawn_to_the_edge(low: float, high: float) -> None:
    claims = {"a": Claim("size", 0.5, "times", low, high), "b": Claim("size", 5.0, "times", low, high)}
    (axes,) = claims_chart(claims).figure.axes
    band, edges = axes.patches[0].get_bbox(), axes.get_xlim()
    assert (band.x0, band.x1) == (max(low, edges[0]), min(high, edges[1]))
