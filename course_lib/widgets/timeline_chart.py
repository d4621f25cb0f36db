"""The chart of a timeline: when each operator of one run in ONNX Runtime ran, and each type's sum."""

from course_lib.benchmarking.number_text import significant
from course_lib.runtimes.timeline import Timeline
from course_lib.widgets.chart import BLUE, GREEN, GREY, ORANGE, WIDE, Chart, Size, panels

THREAD_COLOURS = (BLUE, ORANGE, GREEN, "#7c3aed", "#0e7490", "#a16207")

ROWS = 8
"""So many types of operators have a row of their own; the others share the last one."""


def timeline_chart(timeline: Timeline, size: Size = WIDE) -> Chart:
    """Draw the run of median length, a row a type of operator, and beside it each type's time over all runs.

    The colour of a kernel is its thread's.
    """
    figure, (in_order, sums) = panels(2, size)
    kinds = [each.operator for each in timeline.sums]
    own = kinds if len(kinds) <= ROWS else kinds[: ROWS - 1]
    names = [*own, f"{len(kinds) - len(own)} others"] if len(own) < len(kinds) else own
    threads = sorted({event.thread for event in timeline.events})
    for thread in threads:
        events = [event for event in timeline.events if event.thread == thread]
        in_order.barh(
            [_row(own, event.operator) for event in events],
            [event.duration_us for event in events],
            left=[event.start_us for event in events],
            color=THREAD_COLOURS[thread % len(THREAD_COLOURS)],
            edgecolor="white",
            linewidth=0.4,
            label=f"thread {thread}",
        )
    in_order.set(
        xlabel="µs from the beginning of the call", title="one run", xlim=(0, max(1, timeline.whole_us))
    )
    if len(threads) > 1:
        in_order.legend(loc="lower right", fontsize="small")
    times = [0.0] * len(names)
    for each in timeline.sums:
        times[_row(own, each.operator)] += each.p50_us
    bars = sums.barh(range(len(names)), times, color=GREY)
    sums.bar_label(bars, [significant(time) for time in times], padding=3)
    sums.set(xlabel="µs in all, median of the runs", title=f"by type, {timeline.runs} runs")
    sums.margins(x=0.15)
    for axes in (in_order, sums):
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(len(names) - 0.5, -0.5)
    return Chart(figure, summary_of(timeline))


def summary_of(timeline: Timeline) -> str:
    """Return in one sentence what the chart shows."""
    shares = ", ".join(f"{each.operator} {timeline.share(each):.0%}" for each in timeline.sums[:3])
    return (
        f"Timeline of {timeline.name}: {len(timeline.events)} kernels in {timeline.whole_us:,} µs, of which "
        f"{timeline.between_us:,} µs in no kernel; of the kernels' time, {shares}."
    )


def _row(own: list[str], operator: str) -> int:
    return own.index(operator) if operator in own else len(own)
