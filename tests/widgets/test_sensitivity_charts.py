"""What the charts of week 6 draw is read back from their lines and words."""

import math

import numpy as np
import pytest

from course_lib.quantization.models.fisher import FisherScore
from course_lib.quantization.models.sensitivity import LayerSensitivity, SensitivityTable
from course_lib.training import EpochRecord
from course_lib.widgets.chart import TALL, WIDE, Chart
from course_lib.widgets.sensitivity_charts import (
    allocation_chart,
    bits_chart,
    fisher_chart,
    most_sensitive,
    sensitivity_chart,
    staircase_chart,
    training_chart,
)

DIVERGENCES = {("stem", 2): 0.5, ("stem", 4): 0.01, ("classifier", 2): 0.1, ("classifier", 4): 0.02}

each_size = pytest.mark.parametrize("size", [WIDE, TALL])


def table(**changed: float) -> SensitivityTable:
    rows = tuple(
        LayerSensitivity(path, bits, 1.0, 0.1, changed.get(f"{path}{bits}", value), 0.8, 20.0)
        for (path, bits), value in DIVERGENCES.items()
    )
    return SensitivityTable(0.9, 0.85, rows, 100)


def lines(chart: Chart, panel: int = 0) -> dict[str, list[float]]:
    """Return label → y values of the lines in a panel."""
    return {str(line.get_label()): list(line.get_ydata()) for line in chart.figure.axes[panel].lines}


@each_size
def test_bits_are_drawn_in_order_beside_the_float_accuracy(size) -> None:
    chart = bits_chart({"nearest": [(4, 0.8), (2, 0.1)], "AdaRound": [(2, 0.5), (4, 0.9)]}, 0.92, size)
    drawn = lines(chart)
    assert drawn["float"] == [0.92, 0.92]
    assert drawn["nearest"] == [0.1, 0.8]
    assert drawn["AdaRound"] == [0.5, 0.9]
    expected = "Accuracy by bits a weight: float 92.0%; nearest 10.0% at 2 bits, AdaRound 50.0% at 2 bits."
    assert str(chart) == expected
    assert chart.png().startswith(b"\x89PNG")


@each_size
def test_the_staircase_rounds_and_its_gradients_are_the_estimators(size) -> None:
    chart = staircase_chart(2, size)
    v = np.array(chart.figure.axes[0].lines[1].get_xdata())
    forwards, backwards = lines(chart), lines(chart, 1)
    assert np.array_equal(forwards["y, rounded and clipped"], np.clip(np.rint(v), -1, 1))
    inside = np.abs(v) <= 1
    assert np.array_equal(backwards["∂y/∂x, straight through"], inside)
    step = np.array(backwards["∂y/∂S, LSQ"])
    assert np.allclose(step[inside], (np.rint(v) - v)[inside], atol=1e-6)
    assert np.array_equal(step[~inside], np.sign(v)[~inside])
    assert "1 from -1 to 1 and 0 outside" in str(chart)


@each_size
def test_training_starts_with_what_calibration_gave(size) -> None:
    history = [EpochRecord(1, 0.5, 0.8), EpochRecord(2, 0.4, 0.9)]
    chart = training_chart({"LSQ": history, "other": history[:1]}, 0.3, 0.92, size)
    assert lines(chart)["LSQ"] == [0.3, 0.8, 0.9]
    assert str(chart) == "From 30.0% without training to LSQ 90.0%, other 80.0%; float 92.0%."


@each_size
def test_every_layer_has_a_row_and_every_width_a_mark(size) -> None:
    chart = sensitivity_chart(table(), size)
    (axes,) = chart.figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["stem", "classifier"]
    assert [list(line.get_xdata()) for line in axes.lines] == [[0.5, 0.1], [0.01, 0.02]]
    assert "with one of 2 layers at 2 to 4 bits: at 2 bits it is largest for stem, 0.500 nats" in str(chart)


def test_the_most_sensitive_layer_depends_on_the_width() -> None:
    assert most_sensitive(table(), 2).layer == "stem"
    assert most_sensitive(table(), 4).layer == "classifier"


@each_size
def test_fisher_scores_lie_against_what_was_measured(size) -> None:
    scores = [FisherScore(path, bits, 0.3, 2 * value, 0.0) for (path, bits), value in DIVERGENCES.items()]
    chart = fisher_chart(table(), scores, size)
    drawn = {str(line.get_label()): line for line in chart.figure.axes[0].lines}
    assert list(drawn["2 bits"].get_xdata()) == [1.0, 0.2]
    assert list(drawn["2 bits"].get_ydata()) == [0.5, 0.1]
    assert str(chart) == "Predicted and measured divergences of 4 cases: rank correlation 1.000."


def test_a_divergence_of_zero_does_not_break_the_logarithm() -> None:
    scores = [FisherScore(path, bits, 0.3, 2 * value, 0.0) for (path, bits), value in DIVERGENCES.items()]
    for chart in (fisher_chart(table(stem4=0.0), scores), sensitivity_chart(table(stem4=0.0))):
        assert chart.png().startswith(b"\x89PNG")
        assert all(math.isfinite(end) for end in chart.figure.axes[0].get_xlim())


@each_size
def test_choices_of_bits_are_drawn_with_their_accuracies(size) -> None:
    bits = {"uniform": {"stem": 4, "classifier": 4}, "programme": {"stem": 8, "classifier": 3}}
    chart = allocation_chart(bits, {"float": 0.92, "uniform": 0.8, "programme": 0.9}, size)
    layers, accuracy = chart.figure.axes
    assert [list(line.get_ydata()) for line in layers.lines] == [[4, 4], [8, 3]]
    assert [bar.get_width() for bar in accuracy.patches] == [0.92, 0.8, 0.9]
    # A choice has the same colour on both sides.
    assert accuracy.patches[2].get_facecolor()[:3] == pytest.approx(
        tuple(int(layers.lines[1].get_color()[i : i + 2], 16) / 255 for i in (1, 3, 5))
    )
    assert "float 92.00%, uniform 80.00%, programme 90.00%" in str(chart)


def test_no_line_is_left_out_however_many_there_are() -> None:
    names, widths = [f"way {index}" for index in range(9)], range(2, 11)
    assert set(names) <= set(lines(bits_chart({name: [(4, 0.8)] for name in names}, 0.9)))
    assert set(names) <= set(
        lines(training_chart({name: [EpochRecord(1, 0.5, 0.8)] for name in names}, 0.3, 0.9))
    )
    choices = allocation_chart({name: {"stem": 4} for name in names}, dict.fromkeys(names, 0.8))
    assert [len(choices.figure.axes[0].lines), len(choices.figure.axes[1].patches)] == [9, 9]
    rows = tuple(LayerSensitivity("stem", bits, 1.0, 0.1, 1 / bits, 0.8, 20.0) for bits in widths)
    many = SensitivityTable(0.9, 0.85, rows, 100)
    marks = {f"{bits} bits" for bits in widths}
    assert marks <= set(lines(sensitivity_chart(many)))
    assert marks <= set(lines(fisher_chart(many, [FisherScore("stem", b, 0.0, 1 / b, 0.0) for b in widths])))
