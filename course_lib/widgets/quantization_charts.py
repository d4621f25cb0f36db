"""The charts of the weeks on quantization: each takes measured results as they are and draws them.

They need matplotlib, so they are imported by name, as those of ``course_lib.widgets.charts``.
"""

import textwrap
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any, TypeAlias

import numpy as np
from matplotlib.ticker import MaxNLocator, PercentFormatter

from course_lib.benchmarking.number_text import significant
from course_lib.pipelines.accuracy_comparison import AccuracyComparison
from course_lib.pipelines.claims import Claim
from course_lib.quantization import ideal_sqnr_db
from course_lib.widgets.chart import BLUE, GREEN, GREY, ORANGE, PALE, WIDE, Chart, Size, panels

Curve: TypeAlias = Sequence[tuple[float, float]]
"""(bits, dB) in order of bits."""

COLOURS = (BLUE, ORANGE, GREEN, "#7c3aed", "#0e7490", "#a16207")


def sqnr_chart(curves: Mapping[str, Curve], size: Size = WIDE, *, bits: str = "bits") -> Chart:
    """Draw the signal-to-noise ratio of quantizers against their bits, beside the line of 6.02 dB a bit.

    Parameters
    ----------
    curves
        Name → points.
    bits
        What the bits count, for the axis.
    """
    figure, (axes,) = panels(1, size)
    most = max(x for curve in curves.values() for x, _ in curve)
    line = [min(x for curve in curves.values() for x, _ in curve), most]
    axes.plot(
        line, [ideal_sqnr_db(1) + 6.0206 * (x - 1) for x in line], "--", color=GREY, label="6.02 · b + 1.76"
    )
    for colour, (name, curve) in zip(_colours(len(curves)), curves.items(), strict=True):
        axes.plot([x for x, _ in curve], [y for _, y in curve], "o-", color=colour, label=name, markersize=5)
    axes.set(xlabel=bits, ylabel="SQNR in dB")
    axes.legend(loc="upper left", fontsize="small")
    ends = ", ".join(f"{name} {curve[-1][1]:.1f} dB at {curve[-1][0]:g}" for name, curve in curves.items())
    return Chart(figure, f"Signal-to-quantization-noise ratio against {bits}: {ends}.")


def channels_chart(
    largest: Sequence[float], ratios_db: Mapping[str, Sequence[float]], name: str, size: Size = WIDE
) -> Chart:
    """Draw each channel's largest |weight|, and its signal-to-noise ratio for several ways of sharing scales.

    Parameters
    ----------
    largest
        Of each channel.
    ratios_db
        Way → ratio of each channel.
    name
        Of the layer.
    """
    figure, (ranges, ratios) = panels(2, size)
    channels = np.arange(len(largest))
    for axes in (ranges, ratios):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    ranges.bar(channels, largest, color=BLUE)
    ranges.set(xlabel="channel", ylabel="largest |weight|", title=name)
    ranges.set_yscale("log")
    for colour, (way, values) in zip(_colours(len(ratios_db)), ratios_db.items(), strict=True):
        ratios.plot(channels, values, "o", color=colour, label=way)
    ratios.axhline(0, color=PALE)
    ratios.set(xlabel="channel", ylabel="SQNR of the channel in dB")
    ratios.legend(loc="best", fontsize="small")
    worst = "; ".join(f"{way}: worst channel {min(values):.1f} dB" for way, values in ratios_db.items())
    spread = significant(max(largest) / min(largest))
    return Chart(
        figure, f"{name}: the widest channel reaches {spread} times as far as the narrowest. {worst}."
    )


def ranges_chart(
    counts: Sequence[float],
    edges: Sequence[float],
    chosen: Mapping[str, tuple[float, float]],
    name: str,
    size: Size = WIDE,
) -> Chart:
    """Draw a histogram on a logarithmic axis, with the range that each observer chose below it.

    Parameters
    ----------
    counts, edges
        Of the values.
    chosen
        Observer → (low, high).
    name
        What the values are.
    """
    figure, (axes,) = panels(1, size)
    axes.stairs(np.maximum(counts, 0.5), edges, fill=True, color=PALE, baseline=0.5)
    axes.set_yscale("log")
    top = max(counts)
    for row, (colour, (observer, (low, high))) in enumerate(
        zip(_colours(len(chosen)), chosen.items(), strict=True)
    ):
        height = top * 2.2 ** (row + 1)
        axes.plot((low, high), (height, height), "|-", color=colour, markersize=12)
        axes.annotate(observer, (high, height), (8, 0), textcoords="offset points", va="center", color=colour)
    axes.set(xlabel=name, ylabel="values")
    axes.margins(x=0.15)
    ranges = ", ".join(f"{observer} {low:.2f} to {high:.2f}" for observer, (low, high) in chosen.items())
    return Chart(figure, f"Ranges chosen for {name}: {ranges}.")


def accuracy_chart(comparison: AccuracyComparison, size: Size = WIDE) -> Chart:
    """Draw the accuracy of each version with the interval of its drop, and a line at the baseline's."""
    figure, (axes,) = panels(1, size)
    baseline = comparison[comparison.baseline]
    axes.axvline(baseline.accuracy, color=GREY, linewidth=1)
    names = list(comparison.versions)
    for row, version in enumerate(comparison.versions.values()):
        low, high = version.advice.interval_pt or (version.drop_pt, version.drop_pt)
        ends = (baseline.accuracy - high / 100, baseline.accuracy - low / 100)
        colour = GREY if version is baseline else ORANGE if version.advice.train else GREEN
        if version is not baseline:
            axes.plot(ends, (row, row), color=colour, linewidth=7, solid_capstyle="butt", alpha=0.4)
        axes.plot(version.accuracy, row, "o", color=colour, markersize=9)
        axes.annotate(
            f"{version.accuracy:.1%}",
            (version.accuracy, row),
            (0, 9),
            textcoords="offset points",
            ha="center",
        )
    axes.set_yticks(range(len(names)), [textwrap.fill(name, 22) for name in names])
    axes.set(xlabel="accuracy", ylim=(len(names) - 0.5, -0.7))
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.margins(x=0.1)
    said = ", ".join(f"{name} {comparison[name].accuracy:.1%}" for name in names)
    return Chart(figure, f"Accuracy on {comparison.images:,} images: {said}.")


def claims_chart(claims: Mapping[str, Claim], size: Size = WIDE) -> Chart:
    """Draw measured numbers with their intervals, in a band for what is claimed about all of them.

    Parameters
    ----------
    claims
        What was measured, for example a model → the claim about it; one unit and the same ends for all.
    """
    figure, (axes,) = panels(1, size)
    first = next(iter(claims.values()))
    for row, claim in enumerate(claims.values()):
        colour = {"holds here": GREEN, "does not hold here": ORANGE}.get(claim.verdict, GREY)
        ends = claim.interval or (claim.measured, claim.measured)
        axes.plot(tuple(ends), (row, row), color=colour, linewidth=7, solid_capstyle="butt", alpha=0.4)
        axes.plot(claim.measured, row, "o", color=colour, markersize=9)
        place = (claim.measured, row)
        axes.annotate(significant(claim.measured), place, (0, 9), textcoords="offset points", ha="center")
    low, high = axes.get_xlim()
    low, high = min(low, 0.0), max(high, 1.1 * first.low, 1.1 * first.high if isfinite(first.high) else high)
    band = (max(first.low, low), min(first.high, high))
    axes.axvspan(*band, color=PALE, alpha=0.5, zorder=0, label=f"claim: {first.range_text}")
    figure.legend(loc="outside upper right", fontsize="small")
    axes.set_yticks(range(len(claims)), [textwrap.fill(name, 22) for name in claims])
    axes.set(xlabel=first.unit, ylim=(len(claims) - 0.5, -0.7), xlim=(low, high))
    said = ", ".join(
        f"{name} {significant(claim.measured)} ({claim.verdict})" for name, claim in claims.items()
    )
    return Chart(figure, f"Measured {first.unit}, claimed {first.range_text}: {said}.")


def _colours(count: int) -> list[Any]:
    return [COLOURS[index % len(COLOURS)] for index in range(count)]
