"""The charts of trained students: epochs as they come, the study's gains, its seeds, the cache, networks.

They need matplotlib, so they are imported by name, as those of ``course_lib.widgets.charts``.
"""

from collections.abc import Mapping, Sequence
from math import log
from typing import Protocol

from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator, PercentFormatter

from course_lib.benchmarking import LatencyComparison
from course_lib.benchmarking.number_text import significant
from course_lib.explore.distillation_studies import CACHED
from course_lib.explore.networks_beside import NetworksBeside
from course_lib.pipelines.distillation_arms import BASELINE
from course_lib.pipelines.distillation_result import StudyResult
from course_lib.widgets.chart import BLUE, GREEN, GREY, ORANGE, PALE, WIDE, Chart, Size, panels

COLOURS = (GREY, BLUE, ORANGE, GREEN, "#7c3aed", "#0e7490", "#a16207")
MARKERS = "osD^vPX"


class Epoch(Protocol):
    """What an epoch of training reports, as a `DistillationRecord` does."""

    @property
    def soft_loss(self) -> float: ...
    @property
    def hard_loss(self) -> float: ...
    @property
    def validation_accuracy(self) -> float: ...


def learning_chart(
    runs: Mapping[str, Sequence[Epoch]], size: Size = WIDE, *, epochs: int | None = None
) -> Chart:
    """Draw both losses and the validation accuracy by epoch, one colour a run; a run without a teacher has
    no soft loss.

    Parameters
    ----------
    epochs
        Length of the axis, for runs that are under way.
    """
    figure, (losses, accuracies) = panels(2, size)
    said = []
    for (name, records), colour, marker in zip(runs.items(), COLOURS, MARKERS, strict=False):
        numbers = range(1, len(records) + 1)
        hard, soft = [each.hard_loss for each in records], [each.soft_loss for each in records]
        right = [each.validation_accuracy for each in records]
        losses.plot(numbers, hard, color=colour, marker=marker, label=f"{name}, hard")
        if any(soft):
            losses.plot(numbers, soft, "--", color=colour, marker=marker, label=f"{name}, soft")
        accuracies.plot(numbers, right, color=colour, marker=marker, label=name)
        said.append(f"{name} {right[-1]:.1%} after {len(right)}")
    last = epochs or max(len(records) for records in runs.values())
    losses.set(title="losses on training images", yscale="log")
    accuracies.set(title="accuracy on validation images")
    accuracies.yaxis.set_major_formatter(PercentFormatter(1))
    losses.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    losses.yaxis.set_major_formatter("{x:g}")
    losses.yaxis.set_minor_locator(NullLocator())
    for axes in (losses, accuracies):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set(xlim=(0.7, last + 0.3))
        axes.legend(loc="best", fontsize="small")
        if size[0] > size[1] or axes is accuracies:  # stacked panels share the label of the last
            axes.set(xlabel="epoch")
    return Chart(figure, f"Validation accuracy by epoch: {', '.join(said)}.")


def forest_chart(study: StudyResult, size: Size = WIDE) -> Chart:
    """Draw the gain of each method on the student alone: every seed, the mean, and its 95 % interval."""
    figure, (axes,) = panels(1, size)
    axes.axvline(0, color=GREY, linewidth=1)
    methods = [name for name in study.methods if name != BASELINE]
    alone = study.accuracies(BASELINE)
    said = []
    for row, name in enumerate(methods):
        mean, (low, high) = study.gain(name)
        colour = GREEN if low > 0 else ORANGE if high < 0 else GREY
        seeds = [100 * (own - alone[seed]) for seed, own in study.accuracies(name).items() if seed in alone]
        axes.plot(seeds, [row] * len(seeds), "|", color=colour, markersize=13, alpha=0.6)
        axes.plot((100 * low, 100 * high), (row, row), color=colour, linewidth=7, alpha=0.35)
        axes.plot(100 * mean, row, "o", color=colour, markersize=9)
        said.append(f"{name} {100 * mean:+.2f} ({100 * low:+.2f} to {100 * high:+.2f})")
    axes.set_yticks(range(len(methods)), methods)
    axes.set(xlabel="points gained on the same student alone", ylim=(len(methods) - 0.4, -0.6))
    return Chart(figure, f"Gain on the student alone in points, with 95 % intervals: {', '.join(said)}.")


def seeds_chart(study: StudyResult, methods: Sequence[str], size: Size = WIDE) -> Chart:
    """Draw the accuracy of each seed, one line a method; the student alone is grey.

    Parameters
    ----------
    methods
        Beside the student alone; up to six.
    """
    figure, (axes,) = panels(1, size)
    said = []
    for name, colour, marker in zip((BASELINE, *methods), COLOURS, MARKERS, strict=False):
        found = study.accuracies(name)
        axes.plot(list(found), list(found.values()), color=colour, marker=marker, label=name)
        low, high = min(found.values()), max(found.values())
        said.append(f"{name} {low:.1%} to {high:.1%}")
    axes.set(xlabel="seed", ylabel="accuracy on test images")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=1))
    axes.legend(loc="best", fontsize="small")
    return Chart(figure, f"Accuracy over {len(study.accuracies(BASELINE))} seeds: {', '.join(said)}.")


def cache_chart(races: Mapping[str, LatencyComparison], size: Size = WIDE) -> Chart:
    """Draw how many times faster an epoch is with the teacher's scores from the disk, with its interval.

    Parameters
    ----------
    races
        Pair of networks → what `race_cache` measured.
    """
    figure, (axes,) = panels(1, size)
    axes.axvline(1, color=GREY, linewidth=1)
    said = []
    for row, (pair, race) in enumerate(races.items()):
        ratio = race.ratios[CACHED]
        value, ends = 1 / ratio.value, (1 / ratio.interval.high, 1 / ratio.interval.low)
        axes.barh(row, value, 0.5, color=BLUE)
        axes.plot(ends, (row, row), "|-", color=GREY, markersize=12)
        axes.annotate(
            f"{value:.1f}", (max(value, *ends), row), (8, 0), textcoords="offset points", va="center"
        )
        said.append(f"{pair} {significant(value)} times")
    axes.set_yticks(range(len(races)), list(races))
    most = max(1 / race.ratios[CACHED].interval.low for race in races.values())
    axes.set(xlabel="times faster with cached scores", xlim=(0, 1.2 * most), ylim=(len(races) - 0.5, -0.5))
    return Chart(figure, f"An epoch with cached scores is faster: {', '.join(said)}.")


def networks_chart(beside: NetworksBeside, size: Size = WIDE) -> Chart:
    """Draw the accuracy of networks against their parameters, the teacher in blue, with their latencies."""
    figure, (axes,) = panels(1, size)
    ordered = sorted(beside.facts.items(), key=lambda item: item[1].params)
    for name, facts in ordered:
        colour = BLUE if name == beside.teacher else ORANGE
        axes.plot(facts.params, facts.accuracy, "o", color=colour, markersize=11)
        # The higher one of two neighbours has its name above it, the other below, so that these stay apart.
        others = [each for _, each in ordered if each is not facts]
        neighbour = min(others, key=lambda each: abs(log(each.params / facts.params)), default=facts)
        lower = facts.accuracy < neighbour.accuracy
        side, above = ((0, -12), "top") if lower else ((0, 12), "bottom")
        words = f"{name}\n{significant(beside.race.results[name].p50_ms)} ms"
        axes.annotate(
            words, (facts.params, facts.accuracy), side,
            textcoords="offset points", ha="center", va=above, color=colour, fontsize="small",
        )  # fmt: skip
    axes.axhline(beside.facts[beside.teacher].accuracy, color=PALE, linestyle="--", zorder=0)
    axes.set(xlabel="parameters", ylabel="accuracy on test images", xscale="log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.margins(0.2)
    said = ", ".join(
        f"{name} {facts.accuracy:.1%} with {facts.params:,} parameters" for name, facts in ordered
    )
    return Chart(figure, f"Networks beside their teacher, {beside.teacher}: {said}.")
