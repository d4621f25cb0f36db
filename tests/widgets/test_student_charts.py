"""What the charts of trained students draw is read back from their lines and words."""

import math

import pytest

from course_lib.benchmarking import Interval, LatencyComparison, LatencyResult, Ratio, record_machine
from course_lib.distillation.trainer import DistillationRecord
from course_lib.explore.distillation_studies import ASKED, CACHED
from course_lib.explore.networks_beside import NetworkFacts, NetworksBeside
from course_lib.pipelines.distillation_result import StudyResult
from course_lib.widgets.chart import BLUE, GREEN, GREY, ORANGE, TALL, WIDE, Chart
from course_lib.widgets.student_charts import (
    cache_chart,
    forest_chart,
    learning_chart,
    networks_chart,
    seeds_chart,
)
from tests.pipelines.study_records import make_record

each_size = pytest.mark.parametrize("size", [WIDE, TALL])

CORRECT = {
    "alone": (800, 810, 790),
    "response": (830, 841, 819),
    "self": (805, 800, 796),
    "mutual": (790, 800, 780),
}


def study() -> StudyResult:
    records = tuple(
        make_record(method, seed, correct)
        for method, found in CORRECT.items()
        for seed, correct in enumerate(found)
    )
    return StudyResult(machine=record_machine(), records=records)


def lines(chart: Chart, panel: int = 0) -> dict[str, list[float]]:
    """Return label → y values of the lines in a panel."""
    return {str(line.get_label()): list(line.get_ydata()) for line in chart.figure.axes[panel].lines}


def epochs(soft: float) -> list[DistillationRecord]:
    return [DistillationRecord(number, 1.0, soft, 0.9 / number, 0.5 + number / 10) for number in (1, 2)]


@each_size
def test_both_losses_and_the_accuracy_are_drawn(size) -> None:
    chart = learning_chart({"alone": epochs(0.0), "taught": epochs(1.5)[:1]}, size, epochs=4)
    assert lines(chart) == {"alone, hard": [0.9, 0.45], "taught, hard": [0.9], "taught, soft": [1.5]}
    assert lines(chart, 1) == {"alone": [0.6, 0.7], "taught": [0.6]}
    assert chart.figure.axes[1].get_xlim() == pytest.approx((0.7, 4.3))
    assert str(chart) == "Validation accuracy by epoch: alone 70.0% after 2, taught 60.0% after 1."
    assert chart.png().startswith(b"\x89PNG")


@each_size
def test_the_forest_shows_seeds_means_and_intervals(size) -> None:
    chart = forest_chart(study(), size)
    axes = chart.figure.axes[0]
    zero, *rows = axes.lines
    assert list(zero.get_xdata()) == [0, 0]
    seeds, band, mean = rows[:3]
    assert list(seeds.get_xdata()) == pytest.approx([3.0, 3.1, 2.9])
    assert list(mean.get_xdata()) == pytest.approx([3.0])
    reach = 4.302653 * 0.1 / math.sqrt(3)  # Student's t for two degrees of freedom
    assert list(band.get_xdata()) == pytest.approx([3 - reach, 3 + reach])
    assert [row.get_color() for row in rows[2::3]] == [GREEN, GREY, ORANGE]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["response", "self", "mutual"]
    assert "response +3.00 (+2.75 to +3.25), self +0.03" in str(chart)


@each_size
def test_seeds_are_drawn_beside_the_student_alone(size) -> None:
    chart = seeds_chart(study(), ("response",), size)
    assert lines(chart) == {"alone": [0.8, 0.81, 0.79], "response": [0.83, 0.841, 0.819]}
    assert chart.figure.axes[0].lines[0].get_color() == GREY
    assert str(chart) == "Accuracy over 3 seeds: alone 79.0% to 81.0%, response 81.9% to 84.1%."


def race(baseline: str, **ratios: float) -> LatencyComparison:
    machine = record_machine()
    names = [baseline, *ratios]
    return LatencyComparison(
        machine=machine,
        baseline=baseline,
        results={
            name: LatencyResult(machine=machine, samples_ms=(2 * ratios.get(name, 1.0),), name=name)
            for name in names
        },
        ratios={
            name: Ratio(ratios.get(name, 1.0), Interval(0.8 * ratios.get(name, 1.0), 1.25, 0.95))
            for name in names
        },
    )


@each_size
def test_the_cache_is_drawn_as_times_faster(size) -> None:
    chart = cache_chart({"large → small": race(ASKED, **{CACHED: 0.25})}, size)
    axes = chart.figure.axes[0]
    assert axes.patches[0].get_width() == pytest.approx(4)
    assert list(axes.lines[1].get_xdata()) == pytest.approx([0.8, 5])
    assert str(chart) == "An epoch with cached scores is faster: large → small 4.00 times."


@each_size
def test_networks_stand_by_parameters_and_accuracy(size) -> None:
    beside = NetworksBeside(
        machine=record_machine(),
        teacher="large",
        facts={
            "large": NetworkFacts(100_000, 5_000_000, 950, 1_000, 400_000),
            "small": NetworkFacts(10_000, 1_000_000, 900, 1_000, 50_000),
        },
        race=race("large", small=0.25),
    )
    chart = networks_chart(beside, size)
    points = {
        (line.get_xdata()[0], line.get_ydata()[0]): line.get_color()
        for line in chart.figure.axes[0].lines
        if line.get_marker() == "o"
    }
    assert points == {(10_000, 0.9): ORANGE, (100_000, 0.95): BLUE}
    assert [text.get_text() for text in chart.figure.axes[0].texts] == ["small\n0.500 ms", "large\n2.00 ms"]
    assert str(chart) == (
        "Networks beside their teacher, large: small 90.0% with 10,000 parameters, large 95.0% with 100,000 "
        "parameters."
    )
