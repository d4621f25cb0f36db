"""The charts of week 6: few bits, training with rounding, sensitive layers, and bits for each of them.

They need matplotlib, so they are imported by name, like those in ``course_lib.widgets.charts``.
"""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter
from scipy.stats import spearmanr

from course_lib.benchmarking.number_text import significant
from course_lib.quantization import QParams, integer_range
from course_lib.quantization.models.fake_quant import straight_through
from course_lib.quantization.models.fisher import FisherScore
from course_lib.quantization.models.sensitivity import LayerSensitivity, SensitivityTable
from course_lib.training import EpochRecord
from course_lib.widgets.chart import BLUE, GREEN, GREY, ORANGE, PALE, WIDE, Chart, Size, panels

LOOKS = tuple(zip((GREY, ORANGE, BLUE, GREEN, "#7c3aed", "#0e7490", "#a16207"), "os^DvPX", strict=True))
"""Colour and marker of the first line, the second …; the eighth looks like the first again."""

Accuracies = Sequence[tuple[int, float]]
"""Pairs of a bit width and the accuracy with it, in [0, 1]."""


def bits_chart(accuracies: Mapping[str, Accuracies], float_accuracy: float, size: Size = WIDE) -> Chart:
    """Draw the accuracy against the bits a weight, one line for each way of rounding."""
    figure, (axes,) = panels(1, size)
    _level(axes, float_accuracy, "float")
    for (name, points), (colour, marker) in zip(accuracies.items(), _looks(accuracies), strict=True):
        bits, values = zip(*sorted(points), strict=True)
        axes.plot(bits, values, color=colour, marker=marker, label=name)
    widths = sorted({bits for points in accuracies.values() for bits, _ in points})
    axes.set(xlabel="bits a weight", ylabel="accuracy", xticks=widths, ylim=(0, 1))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.legend(loc="lower right")
    lowest = {name: min(points) for name, points in accuracies.items()}
    told = ", ".join(f"{name} {accuracy:.1%} at {bits} bits" for name, (bits, accuracy) in lowest.items())
    return Chart(figure, f"Accuracy by bits a weight: float {float_accuracy:.1%}; {told}.")


def staircase_chart(bits: int = 3, size: Size = WIDE) -> Chart:
    """Draw a symmetric grid's staircase, and the two gradients that training uses instead of its own."""
    quant_min, quant_max = integer_range(bits, signed=True, narrow_range=True)
    x = torch.linspace(1.6 * quant_min, 1.6 * quant_max, 801, requires_grad=True)
    scale = torch.ones(801, requires_grad=True)
    y = straight_through(x, QParams(scale, torch.zeros(801, dtype=torch.int32), quant_min, quant_max))
    of_x, of_scale = torch.autograd.grad(y.sum(), (x, scale))
    figure, (value, gradient) = panels(2, size)
    v = x.detach()
    value.plot(v, v, color=PALE, label="x")
    value.plot(v, y.detach(), color=GREY, label="y, rounded and clipped")
    value.set(title="forwards", ylabel="in steps")
    gradient.plot(v, of_x, color=BLUE, label="∂y/∂x, straight through")
    gradient.plot(v, of_scale, color=ORANGE, label="∂y/∂S, LSQ")
    gradient.set(title="backwards")
    for axes in (value, gradient):
        axes.legend(loc="upper left")
        if size[0] > size[1] or axes is gradient:  # stacked panels share the label of the last
            axes.set(xlabel="x / S")
    return Chart(
        figure,
        f"Forwards {quant_max - quant_min + 1} stairs; backwards the gradient for x is 1 from "
        f"{quant_min} to {quant_max} and 0 outside; that for the step is a saw between ±½ inside, and "
        f"{quant_min} or {quant_max} outside.",
    )


def training_chart(
    runs: Mapping[str, Sequence[EpochRecord]], before: float, float_accuracy: float, size: Size = WIDE
) -> Chart:
    """Draw the accuracy on validation images after each epoch; epoch 0 is quantization without training."""
    figure, (axes,) = panels(1, size)
    _level(axes, float_accuracy, "float")
    for (name, history), (colour, marker) in zip(runs.items(), _looks(runs), strict=True):
        accuracies = [before, *(record.validation_accuracy for record in history)]
        axes.plot(range(len(accuracies)), accuracies, color=colour, marker=marker, label=name)
    axes.set(xlabel="epochs of training", ylabel="accuracy on validation images")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.legend(loc="lower right")
    ends = ", ".join(f"{name} {history[-1].validation_accuracy:.1%}" for name, history in runs.items())
    return Chart(figure, f"From {before:.1%} without training to {ends}; float {float_accuracy:.1%}.")


def sensitivity_chart(table: SensitivityTable, size: Size = WIDE) -> Chart:
    """Draw how far the answers move when one layer's weight is quantized: a row a layer, a mark a width."""
    figure, (axes,) = panels(1, size)
    divergences = table.divergences()
    paths, widths = list(divergences), sorted({row.bits for row in table.rows})
    for bits, (_, marker) in zip(widths, _looks(widths), strict=True):
        shade = 0.35 + 0.65 * (widths.index(bits) + 1) / len(widths)
        moved = [divergences[path].get(bits, np.nan) for path in paths]
        axes.plot(moved, range(len(paths)), marker, color=BLUE, alpha=shade, label=f"{bits} bits")
    axes.set(xscale="log", xlabel="divergence in nats")
    axes.set_yticks(range(len(paths)), paths)
    axes.invert_yaxis()
    axes.grid(axis="y", color=PALE)
    figure.legend(loc="outside upper right", ncols=min(len(widths), 3 if size[0] < size[1] else 7))
    worst = most_sensitive(table, widths[0])
    return Chart(
        figure,
        f"Divergence of the answers with one of {len(paths)} layers at {widths[0]} to {widths[-1]} bits: at "
        f"{widths[0]} bits it is largest for {worst.layer}, {significant(worst.divergence)} nats.",
    )


def most_sensitive(table: SensitivityTable, bits: int) -> LayerSensitivity:
    """Return the row of the layer whose answers move most at this width."""
    return max((row for row in table.rows if row.bits == bits), key=lambda row: row.divergence)


def fisher_chart(table: SensitivityTable, scores: Sequence[FisherScore], size: Size = WIDE) -> Chart:
    """Draw the predicted against the measured divergence of every layer and width, both logarithmic."""
    figure, (axes,) = panels(1, size)
    measured = {(row.layer, row.bits): row.divergence for row in table.rows}
    pairs = {
        bits: [(s.quadratic, measured[s.layer, s.bits]) for s in scores if s.bits == bits]
        for bits in sorted({score.bits for score in scores})
    }
    for (bits, points), (colour, marker) in zip(pairs.items(), _looks(pairs), strict=True):
        axes.plot(*zip(*points, strict=True), marker, color=colour, alpha=0.8, label=f"{bits} bits")
    every = np.array([point for points in pairs.values() for point in points])
    ends = every[every > 0].min(), every.max()
    axes.plot(ends, ends, color=PALE, zorder=0)
    axes.set(xscale="log", yscale="log", xlabel="predicted by Fisher scores", ylabel="measured divergence")
    axes.legend(loc="upper left")
    rank = float(spearmanr(*every.T).statistic)
    return Chart(
        figure, f"Predicted and measured divergences of {len(every)} cases: rank correlation {rank:.3f}."
    )


def allocation_chart(
    bits: Mapping[str, Mapping[str, int]], accuracies: Mapping[str, float], size: Size = WIDE
) -> Chart:
    """Draw the bits of each layer in several choices, and the accuracy that each choice has.

    Parameters
    ----------
    bits
        Name of the choice → path of a layer → bits.
    accuracies
        Name of the choice → accuracy, in [0, 1]; further names, such as the float model's, get bars too.
    """
    figure, (layers, accuracy) = panels(2, size)
    paths = list(next(iter(bits.values())))
    looks = dict(zip(bits, _looks(bits), strict=True))
    for name, chosen in bits.items():
        colour, marker = looks[name]
        layers.plot(range(len(paths)), [chosen[path] for path in paths], color=colour, marker=marker)
    layers.set(title="bits of each layer", ylim=(0, None))
    layers.yaxis.set_major_locator(MaxNLocator(integer=True))
    layers.set_xticks(range(len(paths)), paths, rotation=60, ha="right", fontsize="x-small")
    names = list(accuracies)
    bars = accuracy.barh(
        names, list(accuracies.values()), color=[looks.get(name, (PALE, ""))[0] for name in names]
    )
    accuracy.bar_label(bars, [f"{value:.1%}" for value in accuracies.values()], padding=4)
    accuracy.set(title="accuracy", xlim=(0, 1.25), xticks=(0, 0.5, 1))
    accuracy.xaxis.set_major_formatter(PercentFormatter(1))
    accuracy.invert_yaxis()
    told = ", ".join(f"{name} {value:.2%}" for name, value in accuracies.items())
    return Chart(figure, f"Accuracy with the bits that each way chooses: {told}.")


def _looks(lines: Collection[object]) -> list[tuple[str, str]]:
    """Return a colour and a marker for each line; none is left out, however many there are."""
    return [LOOKS[index % len(LOOKS)] for index in range(len(lines))]


def _level(axes: Axes, accuracy: float, name: str) -> None:
    axes.axhline(accuracy, color=PALE, linestyle="--", label=name)
