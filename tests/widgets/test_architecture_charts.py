"""What the charts of week 2 draw is read back from their marks and words."""

import pytest

from course_lib.benchmarking import Interval, LatencyComparison, LatencyResult, Ratio, record_machine
from course_lib.edge import MeasuredNetwork
from course_lib.edge.memory_plan import MemoryPlan, MemoryStep
from course_lib.edge.zoo_study import ZooStudy
from course_lib.explore.architecture_studies import Gain
from course_lib.widgets.architecture_charts import (
    families_chart,
    gains_chart,
    kernels_chart,
    memory_chart,
    pace_chart,
    parts_chart,
)
from course_lib.widgets.chart import TALL, WIDE, Chart

each_size = pytest.mark.parametrize("size", [WIDE, TALL])


def lines(chart: Chart) -> dict[str, list[tuple[float, float]]]:
    """Return label → points of the lines."""
    drawn = chart.figure.axes[0].lines
    return {
        str(line.get_label()): list(zip(line.get_xdata(), line.get_ydata(), strict=True)) for line in drawn
    }


def texts(chart: Chart) -> list[str]:
    """Return what is written at the points."""
    return [text.get_text() for text in chart.figure.axes[0].texts]


def known_study() -> ZooStudy:
    """Return three networks: one million MACs in 50 µs, two in 40, four in 80."""
    machine = record_machine()
    costs = {"depthwise": (1, 0.05, 0.90), "ghost_net": (2, 0.04, 0.89), "residual": (4, 0.08, 0.93)}
    return ZooStudy(
        machine=machine,
        networks=tuple(
            MeasuredNetwork(
                name=name,
                accuracy=accuracy,
                accuracy_low=accuracy - 0.005,
                accuracy_high=accuracy + 0.005,
                macs=macs * 1_000_000,
                params=30_000 * macs,
                size_bytes=1000,
                p50_ms=p50,
                peak_activation_bytes=5000 * macs,
            )
            for name, (macs, p50, accuracy) in costs.items()
        ),
        race=LatencyComparison(
            machine=machine,
            baseline="depthwise",
            results={
                name: LatencyResult(machine=machine, samples_ms=(p50,) * 8, name=name)
                for name, (_, p50, _) in costs.items()
            },
            ratios={name: Ratio(p50 / 0.05, Interval(0.9, 1.1, 0.95)) for name, (_, p50, _) in costs.items()},
        ),
    )


@each_size
def test_parts_are_bars_for_each_cost(size) -> None:
    parts = {"standard": {"MACs": 1.0, "latency": 1.0}, "shuffle_v1": {"MACs": 0.25, "latency": 0.8}}
    chart = parts_chart(parts, "standard", size)
    bars = [[bar.get_width() for bar in group] for group in chart.figure.axes[0].containers]
    assert bars == [[1.0, 0.25], [1.0, 0.8]]
    assert str(chart) == "Latency as a multiple of standard: standard 1.00, shuffle_v1 0.800."
    assert chart.png().startswith(b"\x89PNG")


@each_size
def test_gains_are_points_beside_the_line_of_equal_gain(size) -> None:
    gains = [Gain("16", 4.0, Ratio(0.5, Interval(0.4, 0.625, 0.95))), Gain("64", 8.0, _ratio(0.25))]
    chart = gains_chart({"28×28": gains}, size)
    drawn = lines(chart)
    assert drawn["as the MACs"] == [(1.0, 1.0), (8.0, 8.0)]
    assert [(4.0, 2.0), (8.0, 4.0)] in drawn.values()
    assert texts(chart) == ["16", "64"]
    assert str(chart) == "28×28: 64 has 8.00 times fewer MACs and is 4.00 times faster."


@each_size
def test_the_time_of_blocks_is_stacked_by_kind(size) -> None:
    times = {"separable": {"depthwise": 4.0, "pointwise": 6.0, "outside": 10.0}, "standard": {"conv": 50.0}}
    chart = kernels_chart(times, size)
    groups = {
        group.get_label(): [(bar.get_x(), bar.get_width()) for bar in group]
        for group in chart.figure.axes[0].containers
    }
    assert groups["convolution"] == [(0, 0), (0, 50)]
    assert groups["depthwise convolution"][0] == (6, 4)
    assert groups["outside of convolutions"][0] == (10, 10)
    assert "grouped convolution" not in groups
    assert str(chart).endswith("separable spends the largest part outside of convolutions, 50%.")


@pytest.mark.parametrize(
    ("cost", "said"), [("p50_ms", "latency of one picture in µs"), ("macs", "MACs in millions")]
)
@each_size
def test_families_have_names_intervals_and_a_front(cost, said, size) -> None:
    chart = families_chart(known_study(), cost, size)
    assert sorted(texts(chart)) == ["depthwise", "ghost net", "residual"]
    assert chart.figure.axes[0].get_xlabel() == said
    front = {"p50_ms": [40, 50, 80], "macs": [1, 4]}[cost]
    assert [x for x, _ in lines(chart)["best so far"]] == pytest.approx(front)
    assert str(chart).startswith(f"Accuracy against {said}; not beaten on both: ")
    assert "residual 93.00% at " in str(chart)


@each_size
def test_the_pace_is_that_of_the_baseline(size) -> None:
    chart = pace_chart(known_study(), size)
    ends = lines(chart)["depthwise's time for each MAC"]
    assert ends == [(1, pytest.approx(50)), (4, pytest.approx(200))]
    assert str(chart) == (
        "Latency against MACs of 3 networks: in 67% of the pairs the one with fewer MACs is the faster one."
    )


def test_a_part_without_the_baseline_takes_its_first_network() -> None:
    chart = pace_chart(known_study().of_size(50_000, 130_000))
    assert "ghost_net's time for each MAC" in lines(chart)


@each_size
def test_memory_is_drawn_step_by_step_with_limits(size) -> None:
    steps = tuple(MemoryStep(f"s{i}", "Conv2d", None, live, ()) for i, live in enumerate((1000, 3000, 2000)))
    plan = MemoryPlan("Net", steps, 1, True)
    chart = memory_chart({"mine": plan}, {"SRAM": 2500}, size)
    drawn = lines(chart)
    assert drawn["mine"] == [(0, 1), (0.5, 3), (1, 2)]
    assert [y for _, y in drawn["SRAM"]] == [2.5, 2.5]
    assert str(chart) == "Peak of the live activations: mine 3.00 kB at s1."


def _ratio(value: float) -> Ratio:
    return Ratio(value, Interval(0.9 * value, 1.1 * value, 0.95))
