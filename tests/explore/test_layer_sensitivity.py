"""Sensitivities: against PyTorch's exact analysis, by hand, interrupted and gone on with."""

import math
from itertools import count

import numpy as np
import pytest
from torch import nn

from course_lib.data import Dataset
from course_lib.explore import SensitivityEngine, SensitivityMeasurement
from course_lib.explore.assignment import WIDTHS
from course_lib.explore.layer_sensitivity import SensitivityMap, _loss
from course_lib.quantization.models.sensitivity import layer_sensitivity
from course_lib.training.evaluate import Examples


@pytest.fixture(scope="module")
def sensitivities(sensitivity_engine: SensitivityEngine, small_data: Dataset) -> SensitivityMap:
    return SensitivityMeasurement(sensitivity_engine, small_data.take(slice(200))).finish()


def test_the_analysis_in_pytorch_says_the_same(
    sensitivities: SensitivityMap, small_net: nn.Module, small_data: Dataset
):
    examples = Examples(small_data.inputs(slice(200)), small_data.labels[:200])
    table = layer_sensitivity(small_net, examples, WIDTHS)
    for row in table.rows:
        found = sensitivities.losses[f"{row.layer}.weight"][row.bits]
        assert found.loss_increase == pytest.approx(row.loss_increase, abs=1e-5)
        assert found.divergence == pytest.approx(row.divergence, rel=1e-3, abs=1e-6)


def test_it_is_complete_and_falls_with_every_bit(sensitivities: SensitivityMap):
    assert sensitivities.complete
    assert sensitivities.images == 200
    assert dict(sensitivities.params) == {"conv.weight": 54, "classifier.weight": 648}
    for row in sensitivities.losses.values():
        assert tuple(row) == WIDTHS
        assert row[2].divergence > row[4].divergence > row[8].divergence >= 0


def test_two_classes_worked_by_hand():
    # From 1/2 : 1/2 to 1/4 : 3/4, the label being the first class.
    before, after = np.log([[0.5, 0.5]]), np.log([[0.25, 0.75]])
    loss = _loss(before, after, np.array([0]))
    assert loss.loss_increase == pytest.approx(math.log(2))
    assert loss.divergence == pytest.approx(0.5 * math.log(2) + 0.5 * math.log(2 / 3))


def test_an_interrupted_measurement_goes_on_where_it_ended(
    sensitivity_engine: SensitivityEngine, small_data: Dataset, sensitivities: SensitivityMap
):
    measurement = SensitivityMeasurement(sensitivity_engine, small_data.take(slice(200)))
    calls = count()
    shares = [known.share for known in measurement.stream(lambda: next(calls) > 30)]
    assert 0 < len(shares) < 14
    assert shares == sorted(shares)
    assert not measurement.known.complete
    rest = list(measurement.stream())
    assert len(shares) + len(rest) == 14
    assert measurement.finish() == rest[-1] == sensitivities


def test_a_measurement_cancelled_at_once_knows_nothing(
    sensitivity_engine: SensitivityEngine, small_data: Dataset
):
    measurement = SensitivityMeasurement(sensitivity_engine, small_data)
    assert list(measurement.stream(lambda: True)) == []
    assert measurement.known.share == 0


def test_what_is_yielded_does_not_change_later(sensitivity_engine: SensitivityEngine, small_data: Dataset):
    stream = SensitivityMeasurement(sensitivity_engine, small_data.take(slice(50))).stream()
    first = next(stream)
    next(stream)
    assert first.share == 1 / 14
