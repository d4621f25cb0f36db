"""What the chart of a timeline draws is read back from its bars and words."""

import pytest

from course_lib.benchmarking.machine import record_machine
from course_lib.runtimes.timeline import OperatorSum, Timeline, TimelineEvent
from course_lib.widgets.chart import TALL, WIDE
from course_lib.widgets.timeline_chart import timeline_chart


def made(kinds: int = 2, threads: int = 2) -> Timeline:
    events = tuple(
        TimelineEvent(f"n{index}", f"Op{index}", 10 * index, 10, index % threads, None)
        for index in range(kinds)
    )
    sums = tuple(OperatorSum(f"Op{index}", 1, (40 - index,)) for index in range(kinds))
    return Timeline(
        machine=record_machine(), name="tiny", events=events, sums=sums, whole_us=10 * kinds + 5, runs=1
    )


@pytest.mark.parametrize("size", [WIDE, TALL])
def test_bars_lie_where_kernels_ran(size: tuple[float, float]) -> None:
    chart = timeline_chart(made(), size)
    in_order, sums = chart.figure.axes
    assert [
        (bar.get_x(), bar.get_width(), bar.get_y() + bar.get_height() / 2) for bar in in_order.patches
    ] == [
        (0, 10, 0),
        (10, 10, 1),
    ]
    assert in_order.patches[0].get_facecolor() != in_order.patches[1].get_facecolor()
    assert [bar.get_width() for bar in sums.patches] == [40, 39]
    assert [label.get_text() for label in sums.get_yticklabels()] == ["Op0", "Op1"]
    assert chart.summary == (
        "Timeline of tiny: 2 kernels in 25 µs, of which 5 µs in no kernel; "
        "of the kernels' time, Op0 51%, Op1 49%."
    )


def test_many_types_share_the_last_row() -> None:
    in_order, sums = timeline_chart(made(kinds=10, threads=1)).figure.axes
    assert [label.get_text() for label in sums.get_yticklabels()][-1] == "3 others"
    assert sums.patches[-1].get_width() == 33 + 32 + 31
    assert in_order.get_legend() is None
