"""The charts of the week on architectures: each takes measured results as they are and draws them.

They need matplotlib, so they are imported by name, as those of ``course_lib.widgets.charts``.
"""

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator, PercentFormatter

from course_lib.benchmarking import format_bytes
from course_lib.benchmarking.number_text import significant
from course_lib.edge.measured import MeasuredNetwork
from course_lib.edge.memory_plan import MemoryPlan
from course_lib.edge.zoo_study import ZooStudy
from course_lib.explore.architecture_studies import Gain
from course_lib.explore.pareto import pareto_frontier
from course_lib.widgets.chart import BLUE, GREEN, GREY, ORANGE, PALE, WIDE, Chart, Size, panels

LOOKS = tuple(zip((BLUE, ORANGE, GREEN, "#7c3aed", "#0e7490", "#a16207"), "os^DvX", strict=True))
"""Colour and marker of the first line, the second …"""

KINDS = {
    "conv": ("convolution", BLUE),
    "grouped": ("grouped convolution", "#7c3aed"),
    "pointwise": ("1×1 convolution", GREEN),
    "depthwise": ("depthwise convolution", ORANGE),
    "outside": ("outside of convolutions", GREY),
}
"""Kind of work → its name and colour."""

ROOM_FOR_NAMES = 0.5
"""Above and below the intervals, as a part of what they span."""

NAME_HEIGHT = 0.075
"""Of a name in a column beside a chart, as a part of the chart's height."""

COSTS = {
    "p50_ms": ("latency of one picture in µs", 1e3),
    "macs": ("MACs in millions", 1e-6),
    "params": ("parameters in thousands", 1e-3),
    "peak_activation_bytes": ("peak of the activations in kB", 1e-3),
}
"""Field of `MeasuredNetwork` → what the axis says, and what its numbers are multiplied by."""


def parts_chart(parts: Mapping[str, Mapping[str, float]], baseline: str, size: Size = WIDE) -> Chart:
    """Draw several costs of each thing as multiples of the baseline's, a bar each.

    Parameters
    ----------
    parts
        Name → cost → multiple; all have the same costs. The last cost is what the words tell.
    baseline
        What the multiples are of, for the axis.
    """
    figure, (axes,) = panels(1, size)
    names, costs = list(parts), list(next(iter(parts.values())))
    rows, height = np.arange(len(names)), 0.8 / len(costs)
    for place, (cost, (colour, _)) in enumerate(zip(costs, (LOOKS[0], LOOKS[2], LOOKS[1]), strict=False)):
        shift = (place - (len(costs) - 1) / 2) * height
        axes.barh(rows + shift, [parts[name][cost] for name in names], height, color=colour, label=cost)
    axes.axvline(1, color=GREY, linewidth=1)
    axes.set_yticks(rows, [textwrap.fill(name.replace("_", " "), 18) for name in names])
    axes.invert_yaxis()
    axes.set(xlabel=f"as a multiple of {baseline}")
    figure.legend(loc="outside upper right", ncols=len(costs))
    said = ", ".join(f"{name} {significant(parts[name][costs[-1]])}" for name in names)
    return Chart(figure, f"{costs[-1].capitalize()} as a multiple of {baseline}: {said}.")


def gains_chart(lines: Mapping[str, Sequence[Gain]], size: Size = WIDE) -> Chart:
    """Draw how many times faster things are than their baselines against how many times fewer MACs.

    Each point has its interval and its name; the dashed line is where time follows the MACs.

    Parameters
    ----------
    lines
        Label → gains, drawn in their order.
    """
    figure, (axes,) = panels(1, size)
    for (label, gains), (colour, marker) in zip(lines.items(), LOOKS, strict=False):
        fewer, faster = [gain.fewer_macs for gain in gains], [gain.faster for gain in gains]
        low = [max(0.0, gain.faster - gain.faster_interval.low) for gain in gains]
        high = [max(0.0, gain.faster_interval.high - gain.faster) for gain in gains]
        axes.errorbar(fewer, faster, (low, high), color=colour, fmt=f"{marker}-", label=label)
        for gain in gains:
            axes.annotate(
                gain.name, (gain.fewer_macs, gain.faster), (6, -12), textcoords="offset points", color=colour,
                fontsize="x-small",
            )  # fmt: skip
    every = [gain.fewer_macs for gains in lines.values() for gain in gains]
    ends = min(1.0, *every), max(1.0, *every)
    axes.plot(ends, ends, "--", color=GREY, label="as the MACs")
    axes.axhline(1, color=PALE)
    axes.set(xlabel="times fewer MACs", ylabel="times faster")
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    # Not by the intervals: a disturbed one may reach far beyond everything else.
    values = [*ends, *(gain.faster for gains in lines.values() for gain in gains)]
    axes.set_ylim(min(values) / 1.3, 1.3 * max(values))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.legend(loc="upper left", fontsize="small")
    said = "; ".join(
        f"{label}: {gains[-1].name} has {significant(gains[-1].fewer_macs)} times fewer MACs and is "
        f"{significant(gains[-1].faster)} times faster"
        for label, gains in lines.items()
    )
    return Chart(figure, f"{said}.")


def kernels_chart(times_us: Mapping[str, Mapping[str, float]], size: Size = WIDE) -> Chart:
    """Draw where the time of each block goes: its convolutions by kind, and what is no convolution.

    Parameters
    ----------
    times_us
        Block → kind of work (a key of `KINDS`) → microseconds.
    """
    figure, (axes,) = panels(1, size)
    names = list(times_us)
    start = np.zeros(len(names))
    for kind, (label, colour) in KINDS.items():
        widths = np.array([times_us[name].get(kind, 0.0) for name in names])
        if widths.any():
            axes.barh(range(len(names)), widths, left=start, color=colour, label=label)
        start += widths
    axes.set_yticks(range(len(names)), [textwrap.fill(name.replace("_", " "), 18) for name in names])
    axes.invert_yaxis()
    axes.set(xlabel="time in µs")
    figure.legend(loc="outside upper right", ncols=2 if size[0] < size[1] else 5, fontsize="small")
    outside = {name: each.get("outside", 0.0) / sum(each.values()) for name, each in times_us.items()}
    most = max(outside, key=lambda name: outside[name])
    return Chart(
        figure,
        f"Time of {len(names)} blocks by kind of work: {most.replace('_', ' ')} spends the largest part "
        f"outside of convolutions, {outside[most]:.0%}.",
    )


def families_chart(study: ZooStudy, cost: str = "p50_ms", size: Size = WIDE) -> Chart:
    """Draw accuracy with its 95 % interval against a cost; no network beats those on the line on both.

    Parameters
    ----------
    cost
        A key of `COSTS`.
    """
    figure, (axes,) = panels(1, size)
    label, factor = COSTS[cost]
    networks = study.networks
    costs = [factor * getattr(network, cost) for network in networks]
    values = [network.accuracy for network in networks]
    best = pareto_frontier(costs, values)
    axes.step(
        [costs[i] for i in best], [values[i] for i in best], where="post", color=PALE, label="best so far"
    )
    _points(axes, networks, costs)
    axes.set(xlabel=label, ylabel="accuracy on the test set")
    axes.set_xscale("log")
    _plain_numbers(axes.xaxis)
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=1))
    axes.margins(x=0.12)
    said = ", ".join(f"{networks[i].name} {values[i]:.2%} at {significant(costs[i])}" for i in best)
    return Chart(figure, f"Accuracy against {label}; not beaten on both: {said}.")


def _plain_numbers(axis: Axis) -> None:
    """Write plain numbers at 1, 2, 3 and 5 of a logarithmic axis."""
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 3.0, 5.0)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_locator(NullLocator())


def _points(axes: Axes, networks: Sequence[MeasuredNetwork], costs: Sequence[float]) -> None:
    """Draw each network with its interval and its name, by turns above and below so that all can be read."""
    order = sorted(range(len(costs)), key=lambda i: costs[i])
    for i, network in enumerate(networks):
        colour, marker = LOOKS[i % len(LOOKS)]
        ends = ([network.accuracy - network.accuracy_low], [network.accuracy_high - network.accuracy])
        axes.errorbar([costs[i]], [network.accuracy], ends, fmt=marker, color=colour, capsize=4)
        above = order.index(i) % 2 == 0
        axes.annotate(
            network.name.replace("_", " "),
            (costs[i], network.accuracy_high if above else network.accuracy_low),
            (0, 5 if above else -5),
            textcoords="offset points",
            rotation=90,
            ha="center",
            va="bottom" if above else "top",
            color=colour,
            fontsize="small",
        )
    low, high = min(each.accuracy_low for each in networks), max(each.accuracy_high for each in networks)
    axes.set_ylim(low - ROOM_FOR_NAMES * (high - low), high + ROOM_FOR_NAMES * (high - low))


def _write_names(
    axes: Axes, networks: Sequence[MeasuredNetwork], points: Sequence[tuple[float, float]]
) -> None:
    """Write the names in a column right of the chart, ordered by height, each with a line to its point."""
    heights = [(axes.transScale + axes.transLimits).transform(point)[1] for point in points]
    order = sorted(range(len(points)), key=lambda i: heights[i])
    places: list[float] = []
    for i in order:
        places.append(max(heights[i], places[-1] + NAME_HEIGHT if places else 0.0))
    for rank, i in enumerate(order):
        highest = 1 - NAME_HEIGHT * (len(order) - 1 - rank)
        axes.annotate(
            networks[i].name.replace("_", " "),
            points[i],
            (1.03, min(places[rank], highest)),
            textcoords="axes fraction",
            va="center",
            color=LOOKS[i % len(LOOKS)][0],
            fontsize="small",
            arrowprops={"arrowstyle": "-", "color": PALE, "linewidth": 1},
        )


def pace_chart(study: ZooStudy, size: Size = WIDE) -> Chart:
    """Draw latency against MACs; on the dashed line every MAC takes as long as in the baseline.

    Where a part of a study has lost its baseline, the first network stands for it.
    """
    figure, (axes,) = panels(1, size)
    named = {network.name: network for network in study.networks}
    base = named.get(study.race.baseline, study.networks[0])
    points = [(network.macs / 1e6, 1e3 * network.p50_ms) for network in study.networks]
    for place, point in enumerate(points):
        colour, marker = LOOKS[place % len(LOOKS)]
        axes.plot(*point, marker, color=colour)
    macs = [network.macs / 1e6 for network in study.networks]
    ends = np.array([min(macs), max(macs)])
    pace = 1e3 * base.p50_ms / (base.macs / 1e6)
    axes.plot(ends, pace * ends, "--", color=GREY, label=f"{base.name}'s time for each MAC")
    axes.set(xlabel="MACs in millions", ylabel="latency of one picture in µs")
    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis in (axes.xaxis, axes.yaxis):
        _plain_numbers(axis)
    axes.margins(x=0.12)
    axes.autoscale_view()
    _write_names(axes, study.networks, points)
    axes.legend(loc="lower right", fontsize="small")
    return Chart(
        figure,
        f"Latency against MACs of {len(study.networks)} networks: in {study.ordered_alike():.0%} of the "
        "pairs the one with fewer MACs is the faster one.",
    )


def memory_chart(
    plans: Mapping[str, MemoryPlan], limits: Mapping[str, float] | None = None, size: Size = WIDE
) -> Chart:
    """Draw the bytes of the live activations step by step, a line for each network.

    Parameters
    ----------
    limits
        Name → bytes, such as a device's SRAM; each a dotted line.
    """
    figure, (axes,) = panels(1, size)
    for (name, plan), (colour, _) in zip(plans.items(), LOOKS, strict=False):
        done = np.linspace(0, 1, len(plan.steps))
        alive = [step.live_bytes / 1e3 for step in plan.steps]
        axes.step(done, alive, where="mid", color=colour, label=name)
        highest = int(np.argmax(alive))
        axes.plot(done[highest], alive[highest], "o", color=colour)
    for (name, limit), style in zip(
        (limits or {}).items(), (":", "--", "-.") * len(limits or {}), strict=False
    ):
        axes.axhline(limit / 1e3, color=GREY, linestyle=style, label=name)
    axes.set(xlabel="steps done", ylabel="live activations in kB", ylim=(0, None))
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.yaxis.set_major_locator(MaxNLocator(6))
    figure.legend(loc="outside upper right", ncols=2 if size[0] < size[1] else 4, fontsize="small")
    said = ", ".join(
        f"{name} {format_bytes(plan.peak_bytes)} at {plan.peak_step.name}" for name, plan in plans.items()
    )
    return Chart(figure, f"Peak of the live activations: {said}.")
