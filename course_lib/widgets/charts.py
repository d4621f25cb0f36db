"""The charts of the notebooks and slides: each takes measured results as they are and draws them.

They need matplotlib, so they are imported by name: ``from course_lib.widgets.charts import latency_chart``.
"""

import textwrap
from collections.abc import Sequence
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullLocator, PercentFormatter, StrMethodFormatter

from course_lib.benchmarking import LatencyComparison, LatencyResult, ModelProfile, ThroughputResult
from course_lib.benchmarking.number_text import significant
from course_lib.edge import Choice
from course_lib.explore import CompressionResult
from course_lib.widgets.chart import BLUE, GREEN, GREY, ORANGE, PALE, WIDE, Chart, Size, panels

LONG_TAIL = 5.0
"""From a largest sample of this many medians on, latencies are drawn on a logarithmic axis."""

NEAR_ONE = 0.9
"""When all ratios lie above this, the axis begins here rather than at 0, so that small differences show."""


def latency_chart(result: LatencyResult, size: Size = WIDE) -> Chart:
    """Draw the samples in the order taken, and the share of calls that were done within each time."""
    figure, (in_order, done) = panels(2, size)
    runs = len(result.samples_ms)
    in_order.plot(range(1, runs + 1), result.samples_ms, ".", color=GREY, markersize=4)
    in_order.axhline(result.p50_ms, color=BLUE, linewidth=2)
    in_order.set(xlabel="run", ylabel="latency in ms", title="in the order taken")
    done.step(np.sort(result.samples_ms), np.arange(1, runs + 1) / runs, color=GREY, where="post")
    marks = {"p50": result.p50_ms, "mean": result.mean_ms, "p95": result.p95_ms, "p99": result.p99_ms}
    looks = (("-", BLUE), ("-", ORANGE), ("--", BLUE), (":", BLUE))
    for (name, value), (style, colour) in zip(marks.items(), looks, strict=True):
        label = f"{name} {significant(value)} ms"
        done.axvline(value, linestyle=style, color=colour, linewidth=2, label=label)
    done.set(xlabel="latency in ms", ylabel="calls done", title="sorted", ylim=(0, 1.02))
    done.yaxis.set_major_formatter(PercentFormatter(1))
    done.legend(loc="lower right")
    if max(result.samples_ms) > LONG_TAIL * result.p50_ms:
        _logarithmic(in_order, "y")
        _logarithmic(done, "x")
    numbers = ", ".join(f"{name} {significant(value)} ms" for name, value in marks.items())
    return Chart(figure, f"Latency of {result.name} over {runs} runs: {numbers}.")


def blocks_chart(results: Sequence[LatencyResult], size: Size = WIDE) -> Chart:
    """Draw the medians of measurements taken one after the other, each with its 95 % interval."""
    figure, (axes,) = panels(1, size)
    places, medians = range(1, len(results) + 1), [result.p50_ms for result in results]
    low = [result.p50_ms - result.p50_interval_ms.low for result in results]
    high = [result.p50_interval_ms.high - result.p50_ms for result in results]
    axes.errorbar(places, medians, (low, high), fmt="o", color=BLUE, capsize=6, linewidth=2, markersize=8)
    axes.set(xlabel="measurement", ylabel="median latency in ms", ylim=(0, None), xticks=places)
    spread = max(medians) / min(medians)
    return Chart(
        figure,
        f"{len(results)} measurements of {results[0].name}, one after the other: "
        f"the largest median is {significant(spread)} times the smallest.",
    )


def comparison_chart(comparison: LatencyComparison, size: Size = WIDE) -> Chart:
    """Draw each candidate's ratio to the baseline with its interval; left of 1 is faster."""
    figure, (axes,) = panels(1, size)
    names, largest = list(comparison.ratios), max(ratio.value for ratio in comparison.ratios.values())
    for row, name in enumerate(names):
        ratio = comparison.ratios[name]
        colour = {"faster": GREEN, "slower": ORANGE}.get(ratio.verdict, GREY)
        axes.plot(
            tuple(ratio.interval), (row, row), color=colour, linewidth=7, solid_capstyle="butt", alpha=0.4
        )
        axes.plot(ratio.value, row, "o", color=colour, markersize=9)
        text = f"{significant(ratio.value)}×, {significant(comparison.results[name].p50_ms)} ms"
        side = "left" if ratio.value < largest / 2 else "right"
        axes.annotate(text, (ratio.value, row), (0, 9), textcoords="offset points", ha=side)
    axes.axvline(1, color=GREY, linewidth=1)
    axes.set(xlabel=f"latency as a multiple of {comparison.baseline}", ylim=(len(names) - 0.5, -0.6))
    axes.set_yticks(range(len(names)), [textwrap.fill(name, 18) for name in names])
    axes.margins(x=0.15)
    if largest > LONG_TAIL:
        _logarithmic(axes, "x")
    elif min(ratio.interval.low for ratio in comparison.ratios.values()) < NEAR_ONE:
        axes.set_xlim(left=0)
    else:
        low, high = axes.get_xlim()
        axes.set_xlim(min(low, NEAR_ONE), max(high, 2 - NEAR_ONE))
    ratios = ", ".join(f"{name} {significant(comparison.ratios[name].value)}" for name in names)
    return Chart(figure, f"Latency as a multiple of {comparison.baseline}: {ratios}.")


def layer_chart(profile: ModelProfile, size: Size = WIDE) -> Chart:
    """Draw each layer's share of the MACs beside its share of the time; layers without MACs in one row."""
    figure, (axes,) = panels(1, size)
    time_ms = sum(layer.p50_ms or 0.0 for layer in profile.layers)
    counted = [layer for layer in profile.layers if layer.macs]
    names = [layer.name for layer in counted]
    macs = [layer.macs / profile.macs for layer in counted]
    time = [(layer.p50_ms or 0.0) / time_ms for layer in counted]
    names, macs, time = [*names, "everything without MACs"], [*macs, 0.0], [*time, 1 - sum(time)]
    rows = np.arange(len(names))
    axes.barh(rows - 0.2, macs, 0.4, color=BLUE, label="share of the MACs")
    axes.barh(rows + 0.2, time, 0.4, color=ORANGE, label="share of the time")
    axes.set_yticks(rows, names)
    axes.invert_yaxis()
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set_xlabel("share of the model")
    figure.legend(loc="outside upper right", ncols=2)
    return Chart(
        figure,
        f"{profile.name} by layer: {names[int(np.argmax(macs))]} has the most MACs with {max(macs):.0%}, "
        f"{names[int(np.argmax(time))]} takes the most time with {max(time):.0%}.",
    )


def throughput_chart(result: ThroughputResult, size: Size = WIDE) -> Chart:
    """Draw items a second, and the time that one call takes, against the batch size."""
    figure, (rate, latency) = panels(2, size)
    batches = [each.items_per_call for each in result.by_batch]
    rate.plot(batches, [each.throughput_per_s for each in result.by_batch], "o-", color=BLUE, linewidth=2)
    rate.set(xlabel="batch size", ylabel="images a second", title="throughput", ylim=(0, None))
    latency.plot(batches, [each.p50_ms for each in result.by_batch], "o-", color=ORANGE, label="p50")
    latency.plot(batches, [each.p95_ms for each in result.by_batch], "o--", color=ORANGE, label="p95")
    latency.set(xlabel="batch size", ylabel="latency of a call in ms", title="wait for the answer")
    latency.legend(loc="upper left")
    _logarithmic(latency, "y")
    for axes in (rate, latency):
        axes.set_xscale("log", base=2)
        axes.set_xticks(batches, [str(batch) for batch in batches])
    return Chart(
        figure,
        f"Throughput from {significant(result.by_batch[0].throughput_per_s)} images a second in batches of "
        f"{batches[0]} to {significant(result.by_batch[-1].throughput_per_s)} in batches of {batches[-1]}, "
        f"best at {result.best_batch_size}.",
    )


def sparsity_chart(results: Sequence[CompressionResult], size: Size = WIDE) -> Chart:
    """Draw what pruned weights do to the accuracy, to the stored size and to the measured latency."""
    figure, (accuracy, stored, latency) = panels(3, size)
    zeros = [result.setting.sparsity for result in results]
    accuracy.plot(zeros, [result.accuracy.value for result in results], "o-", color=BLUE)
    accuracy.set(title="accuracy", ylim=(0, 1))
    accuracy.yaxis.set_major_formatter(PercentFormatter(1))
    stored.plot(zeros, [result.size_bytes / 1000 for result in results], "o-", color=BLUE)
    stored.set(title="size when stored, in kB", ylim=(0, None))
    timed = [(result.setting.sparsity, result.latency) for result in results if result.latency]
    ratios = [measured.ratio for _, measured in timed]
    low = [measured.ratio - measured.ratio_interval.low for _, measured in timed]
    high = [measured.ratio_interval.high - measured.ratio for _, measured in timed]
    latency.axhline(1, color=PALE)
    latency.errorbar([x for x, _ in timed], ratios, (low, high), fmt="o-", color=ORANGE, capsize=5)
    latency.set(title="latency, as a multiple of dense", ylim=(0, max(1.5, *ratios) * 1.1))
    for axes in (accuracy, stored, latency):
        axes.xaxis.set_major_formatter(PercentFormatter(1))
        if size[0] > size[1] or axes is latency:  # stacked panels share the label of the last
            axes.set(xlabel="weights that are zero")
    last = results[-1]
    return Chart(
        figure,
        f"{last.model} with {zeros[-1]:.0%} zeros: accuracy {last.accuracy.value:.1%} instead of "
        f"{last.baseline_accuracy:.1%}, size {last.size_bytes / last.dense_size_bytes:.0%} of the dense one, "
        f"latency {significant(ratios[-1])} of the dense one.",
    )


def choice_chart(choice: Choice, size: Size = WIDE) -> Chart:
    """Draw accuracy against latency of the candidates: the best filled, those that break a limit crossed."""
    figure, (axes,) = panels(1, size)
    by_latency = sorted(
        zip(choice.candidates, choice.broken, strict=True), key=lambda pair: pair[0].latency_ms
    )
    for index, (candidate, broken) in enumerate(by_latency):
        marker, colour = ("X", GREY) if broken else ("o", GREEN if candidate is choice.best else BLUE)
        axes.plot(candidate.latency_ms, candidate.accuracy, marker, color=colour, markersize=13)
        place = (candidate.latency_ms, candidate.accuracy)
        # Neighbours have their names on different sides, so that these stay apart.
        side, end = ((4, 10), "right") if index % 2 else ((-4, -24), "left")
        axes.annotate(candidate.name, place, side, textcoords="offset points", ha=end, color=colour)
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=1))
    axes.set(xlabel="latency in ms (p50, batch of 1, one thread)", ylabel="test accuracy")
    axes.margins(0.2)
    _logarithmic(axes, "x")
    best = choice.best
    return Chart(
        figure,
        f"{len(choice.candidates)} models by latency and accuracy; "
        + (f"{best.name} is the best within the limits." if best else "none keeps the limits."),
    )


def _logarithmic(axes: Axes, which: Literal["x", "y"]) -> None:
    """Use a logarithmic axis with plain numbers at 1, 2 and 5."""
    if which == "x":
        axes.set_xscale("log")
    else:
        axes.set_yscale("log")
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_locator(NullLocator())
