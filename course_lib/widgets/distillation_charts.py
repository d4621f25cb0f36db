"""The charts of what a teacher says: soft targets, their entropy, gradients, certainty, modes, and looks.

They need matplotlib, so they are imported by name, as those of ``course_lib.widgets.charts``. The charts of
trained students are in ``course_lib.widgets.student_charts``.
"""

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from course_lib.benchmarking.number_text import significant
from course_lib.distillation.guards import ONE_HOT, UNIFORM
from course_lib.explore.distillation_studies import CertaintyBin, GradientStudy
from course_lib.explore.soft_targets import soft_targets
from course_lib.widgets.chart import BLUE, GREEN, GREY, ORANGE, PALE, WIDE, Chart, Size, panels

SHADES = (PALE, "#8fb1ea", BLUE, "#12326b")
"""From the lowest temperature to the highest."""

LOOKS = ((BLUE, "o"), (ORANGE, "s"), (GREEN, "^"), (GREY, "D"))


def soft_targets_chart(
    scores: Sequence[float],
    class_names: Sequence[str],
    label: int,
    temperatures: Sequence[float] = (1, 4, 20),
    size: Size = WIDE,
) -> Chart:
    """Draw the soft targets of one picture at up to four temperatures; the true class is marked.

    Parameters
    ----------
    scores
        The teacher's, one a class.
    """
    figure, (axes,) = panels(1, size)
    row = np.array([scores], dtype=float)
    height = 0.8 / len(temperatures)
    places = np.arange(len(class_names))
    said = []
    for place, (temperature, shade) in enumerate(
        zip(temperatures, SHADES[-len(temperatures) :], strict=True)
    ):
        targets = soft_targets(row, temperature)[0]
        axes.barh(places + place * height - 0.4, targets, height, color=shade, label=f"T = {temperature:g}")
        said.append(f"{targets[label]:.1%} at T = {temperature:g}")
    names = [f"{name} ✓" if place == label else name for place, name in enumerate(class_names)]
    axes.set_yticks(places, names)
    axes.invert_yaxis()
    axes.set(xlabel="soft target")
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.legend(loc="best")
    return Chart(
        figure, f"Soft targets of one picture: the true class, {class_names[label]}, has {', '.join(said)}."
    )


def entropy_chart(curves: Mapping[str, Sequence[tuple[float, float]]], size: Size = WIDE) -> Chart:
    """Draw the entropy of soft targets against the temperature, and where the guards speak up.

    Parameters
    ----------
    curves
        Network → (T, mean entropy as a part of the largest possible one) by rising T.
    """
    figure, (axes,) = panels(1, size)
    for end, words in ((UNIFORM, "nearly uniform"), (ONE_HOT, "nearly one-hot")):
        axes.axhline(end, color=ORANGE, linestyle=":", label=words)
    for (name, curve), (colour, marker) in zip(curves.items(), LOOKS, strict=False):
        axes.plot(*zip(*curve, strict=True), color=colour, marker=marker, markersize=4, label=name)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set(xlabel="temperature", ylabel="entropy, as a part of the largest", ylim=(0, 1.03))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.legend(loc="best", fontsize="small")
    said = "; ".join(
        f"{name} from {curve[0][1]:.1%} at T = {curve[0][0]:g} to {curve[-1][1]:.1%} at T = {curve[-1][0]:g}"
        for name, curve in curves.items()
    )
    return Chart(figure, f"Entropy of the soft targets: {said}.")


def gradient_chart(study: GradientStudy, size: Size = WIDE) -> Chart:
    """Draw the length of the soft loss's gradient with and without the factor T², beside the hard loss's."""
    figure, (axes,) = panels(1, size)
    T = np.array(study.temperatures)
    axes.axhline(study.hard, color=GREY, label="cross-entropy with the labels")
    axes.plot(T, study.plain, "o-", color=ORANGE, label="KL")
    axes.plot(T, study.multiplied, "s-", color=BLUE, label="T² · KL")
    axes.plot(
        T, study.plain[-1] * (T[-1] / T) ** 2, "--", color=ORANGE, linewidth=1, label="falls like 1 / T²"
    )
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set(xlabel="temperature", ylabel="length of the gradient")
    axes.legend(loc="lower left", fontsize="small")
    first, last = study.temperatures[0], study.temperatures[-1]
    changes = study.multiplied[-1] / study.multiplied[0]
    shorter = significant(study.shrinks(first, last))
    return Chart(
        figure,
        f"From T = {first:g} to {last:g} the gradient of KL becomes {shorter} times "
        f"shorter, and that of T² · KL changes by a factor of {significant(changes)}.",
    )


def certainty_chart(bins: Sequence[CertaintyBin], size: Size = WIDE) -> Chart:
    """Draw what the response loss counts of the other classes, beside what there is, by certainty."""
    figure, (axes,) = panels(1, size)
    places = np.arange(len(bins))
    axes.bar(places - 0.2, [each.others for each in bins], 0.4, color=GREY, label="NCKD")
    counted = [each.counted for each in bins]
    axes.bar(places + 0.2, counted, 0.4, color=ORANGE, label="counted by the response loss")
    axes.set_xticks(places, [f"{each.certainty:.0%}" for each in bins])
    axes.set(xlabel="teacher's mean p at the label", ylabel="divergence in nats")
    axes.legend(loc="best")
    said = ", ".join(
        f"{each.counted / each.others if each.others else 0:.0%} at {each.certainty:.0%}" for each in bins
    )
    return Chart(
        figure,
        f"Part of the divergence on the other classes that the response loss counts, by the teacher's "
        f"certainty: {said}.",
    )


def careless_chart(accuracies: Mapping[str, float], size: Size = WIDE) -> Chart:
    """Draw a teacher's accuracy in training mode by the size of its batches; the last one is as it should be.

    Parameters
    ----------
    accuracies
        As `careless_accuracies` gives them.
    """
    figure, (axes,) = panels(1, size)
    *sizes, proper = accuracies
    names = [textwrap.fill(name, 11) for name in accuracies]
    bars = axes.bar(names, list(accuracies.values()), color=[ORANGE] * len(sizes) + [BLUE])
    axes.bar_label(bars, [f"{value:.1%}" for value in accuracies.values()], padding=4)
    axes.set(xlabel="pictures in a batch, in training mode", ylabel="the teacher's accuracy", ylim=(0, 1.1))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    said = ", ".join(f"{accuracies[each]:.1%} in batches of {each}" for each in sizes)
    return Chart(figure, f"A teacher in training mode: {said}; {accuracies[proper]:.1%} in {proper}.")


def looks_chart(
    picture: NDArray[np.uint8], looks: Mapping[str, Sequence[Sequence[float]]], size: Size = WIDE
) -> Chart:
    """Draw a picture and, beside it, where networks look in it.

    Parameters
    ----------
    picture
        Grey values, (H, W).
    looks
        Network → attention map with a largest value of 1; see `look_of`.
    """
    count = 1 + len(looks)
    shape = (1, count) if size[0] > size[1] else (-(-count // 2), 2)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(*shape, squeeze=False).ravel().tolist()
    axes[0].imshow(np.asarray(picture), cmap="gray_r")
    axes[0].set_title("the picture")
    said = []
    for each, (name, look) in zip(axes[1:], looks.items(), strict=False):
        values = np.array(look)
        each.imshow(values, cmap="magma", vmin=0, vmax=1)
        each.set_title(name)
        said.append(f"{name} {(values > 0.5).mean():.0%}")
    for each in axes:
        each.set_axis_off()
    return Chart(
        figure, f"Where networks look: more than half of the most on {', '.join(said)} of the places."
    )
