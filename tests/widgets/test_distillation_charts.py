"""What the charts of a teacher's answers draw is read back from their bars, lines and words."""

import numpy as np
import pytest

from course_lib.explore.distillation_studies import CertaintyBin, GradientStudy
from course_lib.widgets.chart import TALL, WIDE, Chart
from course_lib.widgets.distillation_charts import (
    careless_chart,
    certainty_chart,
    entropy_chart,
    gradient_chart,
    looks_chart,
    soft_targets_chart,
)

each_size = pytest.mark.parametrize("size", [WIDE, TALL])


def lines(chart: Chart) -> dict[str, list[float]]:
    """Return label → y values of the lines."""
    return {str(line.get_label()): list(line.get_ydata()) for line in chart.figure.axes[0].lines}


@each_size
def test_soft_targets_are_those_of_the_scores(size) -> None:
    chart = soft_targets_chart((2.0, 0.0), ("coat", "bag"), 0, (1, 2), size)
    bars = [[bar.get_width() for bar in group] for group in chart.figure.axes[0].containers]
    assert bars == [pytest.approx([0.8808, 0.1192], abs=1e-4), pytest.approx([0.7311, 0.2689], abs=1e-4)]
    assert [text.get_text() for text in chart.figure.axes[0].get_yticklabels()] == ["coat ✓", "bag"]
    assert str(chart) == (
        "Soft targets of one picture: the true class, coat, has 88.1% at T = 1, 73.1% at T = 2."
    )
    assert chart.png().startswith(b"\x89PNG")


@each_size
def test_entropies_are_drawn_between_the_guards_limits(size) -> None:
    chart = entropy_chart({"teacher": [(1, 0.1), (4, 0.5)]}, size)
    drawn = lines(chart)
    assert drawn["teacher"] == [0.1, 0.5]
    assert drawn["nearly uniform"] == [0.98, 0.98]
    assert drawn["nearly one-hot"] == [0.02, 0.02]
    assert str(chart) == "Entropy of the soft targets: teacher from 10.0% at T = 1 to 50.0% at T = 4."


@each_size
def test_both_gradients_and_the_limit_are_drawn(size) -> None:
    study = GradientStudy((1.0, 10.0), (0.5, 0.01), (0.5, 1.0), 0.7)
    chart = gradient_chart(study, size)
    drawn = lines(chart)
    assert drawn["KL"] == [0.5, 0.01]
    assert drawn["T² · KL"] == [0.5, 1.0]
    assert drawn["falls like 1 / T²"] == pytest.approx([1.0, 0.01])
    assert drawn["cross-entropy with the labels"] == [0.7, 0.7]
    assert str(chart) == (
        "From T = 1 to 10 the gradient of KL becomes 50.0 times shorter, and that of T² · KL changes by a "
        "factor of 2.00."
    )


@each_size
def test_certainty_draws_both_bars_of_each_bin(size) -> None:
    chart = certainty_chart([CertaintyBin(0.5, 0.2, 0.1), CertaintyBin(0.9, 0.4, 0.04)], size)
    heights = [[bar.get_height() for bar in group] for group in chart.figure.axes[0].containers]
    assert heights == [[0.2, 0.4], [0.1, 0.04]]
    assert str(chart).endswith("by the teacher's certainty: 50% at 50%, 10% at 90%.")


@each_size
def test_the_careless_teacher_stands_beside_the_proper_one(size) -> None:
    chart = careless_chart({"2": 0.6, "64": 0.9, "evaluation mode": 0.95}, size)
    assert [bar.get_height() for bar in chart.figure.axes[0].patches] == [0.6, 0.9, 0.95]
    assert str(chart) == (
        "A teacher in training mode: 60.0% in batches of 2, 90.0% in batches of 64; 95.0% in evaluation mode."
    )


@each_size
def test_looks_are_drawn_beside_the_picture(size) -> None:
    picture = np.arange(16, dtype=np.uint8).reshape(4, 4)
    chart = looks_chart(
        picture, {"teacher": [[1.0, 0.0], [0.2, 0.6]], "alone": [[1.0, 0.1], [0.1, 0.1]]}, size
    )
    shown = [axes.images[0].get_array() for axes in chart.figure.axes if axes.images]
    assert [each.tolist() for each in shown] == [
        picture.tolist(),
        [[1.0, 0.0], [0.2, 0.6]],
        [[1.0, 0.1], [0.1, 0.1]],
    ]
    assert [axes.axison for axes in chart.figure.axes] == [False] * len(chart.figure.axes)
    assert str(chart) == (
        "Where networks look: more than half of the most on teacher 50%, alone 25% of the places."
    )
