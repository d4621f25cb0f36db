"""The charts of the week on pruning: each takes measured results as they are and draws them.

They need matplotlib, so they are imported by name, as those of ``course_lib.widgets.charts``. The chart of
where sparsity pays has a file of its own.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from course_lib.benchmarking.number_text import significant
from course_lib.explore.pruning_studies import DENSE, RemovalRace
from course_lib.lowrank.ranks import Choice
from course_lib.pruning.gating_speed import GatingSpeed
from course_lib.pruning.iterative_state import RoundRecord
from course_lib.pruning.lottery_result import LotteryResult
from course_lib.pruning.sensitivity import LayerResult
from course_lib.widgets.chart import BLUE, GREEN, GREY, ORANGE, PALE, WIDE, Chart, Size, panels

LOOKS = tuple(zip((BLUE, ORANGE, GREEN, "#7c3aed", "#0e7490", "#a16207"), "os^DvX", strict=True))
"""Colour and marker of the first line, the second …"""

Curve = Sequence[tuple[float, float]]


def pruned_chart(
    curves: Mapping[str, Curve], dense: float, size: Size = WIDE, *, pruned: str = "weights that are zero"
) -> Chart:
    """Draw the accuracy against the fraction pruned, one line for each way of choosing; random ones grey.

    Parameters
    ----------
    curves
        Way → (fraction, accuracy) by rising fraction.
    dense
        Accuracy of the network as it was.
    """
    figure, (axes,) = panels(1, size)
    axes.axhline(dense, color=PALE, linestyle="--", label=DENSE)
    chosen = [name for name in curves if not name.startswith("random")]
    looks = {name: LOOKS[place % len(LOOKS)] for place, name in enumerate(chosen)}
    at_random = [name for name in curves if name not in looks]
    for name, curve in curves.items():
        colour, marker = looks.get(name, (GREY, "x"))
        label = name if name in looks else "random" if name == at_random[0] else None
        axes.plot(*zip(*curve, strict=True), color=colour, marker=marker, label=label)
    axes.set(xlabel=pruned, ylabel="accuracy", ylim=(0, 1))
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.legend(loc="best", fontsize="small")
    ends = ", ".join(f"{name} {curve[-1][1]:.1%}" for name, curve in curves.items())
    last = next(iter(curves.values()))[-1][0]
    return Chart(figure, f"Accuracy, {dense:.1%} before pruning, with {last:.0%} {pruned}: {ends}.")


def stored_chart(sizes: Mapping[float, Mapping[str, int]], size: Size = WIDE) -> Chart:
    """Draw what the weights take in several ways of storing, as a part of 32-bit floats, against the zeros.

    Parameters
    ----------
    sizes
        Sparsity → way of storing → bytes; the first way is what the others are compared with.
    """
    figure, (axes,) = panels(1, size)
    ways = list(next(iter(sizes.values())))
    for way, (colour, marker) in zip(ways, LOOKS, strict=False):
        parts = [found[way] / found[ways[0]] for found in sizes.values()]
        axes.plot(list(sizes), parts, color=colour, marker=marker, label=way)
    axes.set(xlabel="weights that are zero", ylabel="stored, as a part of all floats", ylim=(0, None))
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.legend(loc="lower left")
    sparsity, last = list(sizes.items())[-1]
    said = ", ".join(f"{way} {last[way] / last[ways[0]]:.0%}" for way in ways)
    return Chart(figure, f"Stored size with {sparsity:.0%} zeros, as a part of all floats: {said}.")


def removal_chart(races: Mapping[str, RemovalRace], size: Size = WIDE) -> Chart:
    """Draw how many times faster each smaller file is, with its interval, against how many times fewer MACs.

    Parameters
    ----------
    races
        Network → what was measured. The line is where both are equal.
    """
    figure, (axes,) = panels(1, size)
    for (name, race), (colour, marker) in zip(races.items(), LOOKS, strict=False):
        gains = list(race.gains().values())
        intervals = [ratio.interval for ratio in race.race.ratios.values()]
        low = [max(0.0, y - 1 / ends.high) for (_, y), ends in zip(gains, intervals, strict=True)]
        high = [max(0.0, 1 / ends.low - y) for (_, y), ends in zip(gains, intervals, strict=True)]
        fewer, faster = zip(*gains, strict=True)
        axes.errorbar(fewer, faster, (low, high), color=colour, fmt=f"{marker}-", label=name)
    most = max(x for race in races.values() for x, _ in race.gains().values())
    axes.plot((1, most), (1, most), "--", color=GREY, label="as the MACs")
    axes.axhline(1, color=PALE)
    axes.set(xlabel="times fewer MACs", ylabel="times faster")
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.legend(loc="upper left")
    said = "; ".join(
        f"{name}: {removed} of the channels removed, {significant(x)} times fewer MACs, {significant(y)} "
        "times faster"
        for name, race in races.items()
        for removed, (x, y) in list(race.gains().items())[-1:]
    )
    return Chart(figure, f"{said}.")


def rounds_chart(
    runs: Mapping[str, Sequence[RoundRecord]],
    dense: float,
    floor: float | None = None,
    size: Size = WIDE,
    *,
    pruned: str = "weights that are zero",
) -> Chart:
    """Draw the validation accuracy after each round of pruning and fine-tuning against what is gone.

    Parameters
    ----------
    floor
        Accuracy below which the rounds stop; None for no line.
    """
    figure, (axes,) = panels(1, size)
    axes.axhline(dense, color=PALE, linestyle="--", label=DENSE)
    if floor is not None:
        axes.axhline(floor, color=ORANGE, linestyle=":", label=f"floor, {floor:.1%}")
    for (name, records), (colour, marker) in zip(runs.items(), LOOKS, strict=False):
        points = [(0.0, dense), *((each.amount, each.validation_accuracy) for each in records)]
        axes.plot(*zip(*points, strict=True), color=colour, marker=marker, label=name)
    axes.set(xlabel=pruned, ylabel="accuracy on validation images")
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=1))
    axes.legend(loc="best")
    ends = "; ".join(
        f"{name}: {records[-1].validation_accuracy:.1%} with {records[-1].amount:.0%} {pruned}"
        for name, records in runs.items()
    )
    return Chart(figure, f"Validation accuracy, {dense:.1%} at first, after {ends}.")


def layers_chart(results: Sequence[LayerResult], size: Size = WIDE) -> Chart:
    """Draw the points lost with one layer pruned: a row a layer, a mark a ratio."""
    figure, (axes,) = panels(1, size)
    layers = list(dict.fromkeys(each.layer for each in results))
    for ratio, (colour, marker) in zip(sorted({each.ratio for each in results}), LOOKS, strict=False):
        drops = {each.layer: each.drop_pt for each in results if each.ratio == ratio}
        rows = [layers.index(layer) for layer in drops]
        axes.plot(list(drops.values()), rows, marker, color=colour, label=f"{ratio:.0%} gone")
    axes.set_yticks(range(len(layers)), layers)
    axes.invert_yaxis()
    axes.grid(axis="y", color=PALE)
    axes.set(xlabel="points of accuracy lost")
    figure.legend(loc="outside upper right", ncols=3)
    worst = max(results, key=lambda each: each.drop_pt)
    return Chart(
        figure,
        f"Points lost with one of {len(layers)} layers pruned: most with {worst.ratio:.0%} of {worst.layer} "
        f"gone, {worst.drop_pt:.1f}.",
    )


def tickets_chart(result: LotteryResult, size: Size = WIDE) -> Chart:
    """Draw the accuracy of tickets and their controls against the sparsity: each seed, and the means."""
    figure, (axes,) = panels(1, size)
    dense = result.accuracies(DENSE)
    axes.axhline(sum(dense) / len(dense), color=PALE, linestyle="--", label=DENSE)
    arms = list(dict.fromkeys(each.arm for each in result.records if each.arm != DENSE))
    for place, (arm, (colour, marker)) in enumerate(zip(arms, LOOKS, strict=False)):
        means = []
        for sparsity in result.sparsities:
            found = result.accuracies(arm, sparsity)
            means.append(sum(found) / len(found))
            shift = 0.006 * (place - 1)
            axes.plot([sparsity + shift] * len(found), found, marker, color=colour, alpha=0.5, markersize=5)
        axes.plot(result.sparsities, means, color=colour, marker=marker, label=arm)
    axes.set(xlabel="weights that are zero", ylabel="accuracy on test images")
    axes.set_xticks(result.sparsities)
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=1))
    axes.legend(loc="lower left")
    last = result.sparsities[-1]
    said = []
    for control in (each for each in arms if each != "ticket"):
        mean, (low, high) = result.gain(control, last)
        said.append(f"{100 * mean:+.2f} on {control} ({100 * low:+.2f} to {100 * high:+.2f})")
    told = f"With {last:.0%} zeros tickets gain so many points, with 95 % intervals: {'; '.join(said)}."
    return Chart(figure, told)


def rank_chart(choices: Mapping[str, Sequence[Choice]], dense_macs: int, size: Size = WIDE) -> Chart:
    """Draw the energy that a layer's factors keep against their MACs, one line for each method.

    Parameters
    ----------
    choices
        Method → its choices for one layer.
    dense_macs
        MACs of the layer as it is.
    """
    figure, (axes,) = panels(1, size)
    axes.axvline(1, color=GREY, linewidth=1)
    said = []
    for (method, offered), (colour, marker) in zip(choices.items(), LOOKS, strict=False):
        curve = sorted((each.macs / dense_macs, each.energy_kept) for each in offered)
        axes.plot(*zip(*curve, strict=True), color=colour, marker=marker, markevery=0.1, label=method)
        best = max((kept for macs, kept in curve if macs <= 0.5), default=0.0)
        said.append(f"{method} {best:.0%}")
    axes.set(xlabel="MACs, as a part of the layer's", ylabel="energy kept", xlim=(0, 1.5), ylim=(0, 1.03))
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.legend(loc="lower right")
    return Chart(figure, f"Energy kept with at most half of the layer's MACs: {', '.join(said)}.")


def gating_chart(speed: GatingSpeed, size: Size = WIDE) -> Chart:
    """Draw the latency of gated convolutions against the fraction of channels kept, one line a size."""
    figure, (axes,) = panels(1, size)
    shapes = list(dict.fromkeys((each.channels, each.side) for each in speed.points))
    for shape, (colour, marker) in zip(shapes, LOOKS, strict=False):
        points = [each for each in speed.points if (each.channels, each.side) == shape]
        kept, ratios = [each.keep_ratio for each in points], [each.ratio.value for each in points]
        _band(axes, kept, [each.ratio.interval for each in points], colour)
        label = f"{shape[0]} channels, {shape[1]}×{shape[1]}"
        axes.plot(kept, ratios, color=colour, marker=marker, label=label)
    axes.axhline(1, color=GREY, linewidth=1)
    axes.set(xlabel="channels computed for an image", ylabel="latency, as a multiple of dense")
    # Not by the intervals: a disturbed one may reach far beyond everything else.
    values = [each.ratio.value for each in speed.points]
    axes.set(ylim=(0, 1.3 * max(values)))
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.legend(loc="upper left", fontsize="small")
    return Chart(figure, speed.notes()[0])


def _band(axes: Axes, x: Sequence[float], intervals: Sequence[Any], colour: str) -> None:
    low, high = zip(*intervals, strict=True)
    axes.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)
