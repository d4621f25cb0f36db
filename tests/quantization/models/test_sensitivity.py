"""Sensitivity against whole runs and numbers by hand, its stream, and its errors."""

import copy
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import entropy
from torch import nn
from torch.nn import functional as F

from course_lib.architectures import create_model
from course_lib.errors import DataError, MeasurementError, ModelError, SettingError, UnknownNameError
from course_lib.quantization import PerTensor, choose_qparams, fake_quantize, sqnr_db
from course_lib.quantization.models.layerwise import nearest_per_channel
from course_lib.quantization.models.sensitivity import (
    layer_sensitivity,
    stream_sensitivity,
)
from course_lib.reproducibility import seeded_torch
from course_lib.training.evaluate import Examples


@pytest.fixture(scope="module")
def tiny():
    with seeded_torch(3):
        return create_model("tiny").eval()


@pytest.fixture(scope="module")
def examples():
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(12, 1, 28, 28)).astype(np.float32)
    return Examples(inputs, generator.integers(0, 10, 12))


def linear_model(weight):
    model = nn.Sequential(nn.Linear(2, 2, bias=False))
    model[0].weight = nn.Parameter(torch.tensor(weight))
    return model


def test_by_hand():
    # 2 bits, symmetric: codes -1, 0, 1. Row [1, 0.4] has S = 1 and becomes [1, 0]; row [0, 1] stays.
    model = linear_model([[1.0, 0.4], [0.0, 1.0]])
    examples = Examples(np.array([[1.0, 1.0]], np.float32), np.array([0]))
    table = layer_sensitivity(model, examples, [2])
    # scores [1.4, 1] become [1, 1]; ln(1 + e^-0.4) = 0.513015 and ln 2 = 0.693147
    (row,) = table.rows
    assert (row.layer, row.bits, table.images) == ("0", 2, 1)
    assert table.float_loss == pytest.approx(0.513015, abs=1e-6)
    assert row.loss == pytest.approx(math.log(2))
    assert row.loss_increase == pytest.approx(0.180132, abs=1e-6)
    # float probabilities 1 / (1 + e^-0.4) = 0.598688 and 0.401312 against 1/2 and 1/2
    assert row.divergence == pytest.approx(
        0.598688 * math.log(1.197375) + 0.401312 * math.log(0.802625), abs=1e-6
    )
    assert row.sqnr_db == pytest.approx(10 * math.log10((1.4**2 + 1) / 0.4**2), rel=1e-5)
    assert (table.float_accuracy, row.accuracy) == (1.0, 1.0)


@pytest.mark.parametrize("batch_size", [5, 12, 100])
def test_against_whole_runs(tiny, examples, batch_size):
    table = layer_sensitivity(tiny, examples, (2, 4), batch_size=batch_size)
    inputs, labels = map(torch.from_numpy, examples)

    def scores(model):
        with torch.inference_mode():
            return torch.cat([model(batch) for batch in inputs.split(batch_size)]).double()

    reference = scores(tiny)
    assert table.float_loss == pytest.approx(float(F.cross_entropy(reference, labels)), rel=1e-12)
    assert len(table.rows) == 2 * len(table.losses())
    for row in table.rows:
        changed = copy.deepcopy(tiny)
        layer = changed.get_submodule(row.layer)
        layer.weight = nn.Parameter(nearest_per_channel(layer.weight, row.bits))
        expected = scores(changed)
        assert row.loss == pytest.approx(float(F.cross_entropy(expected, labels)), rel=1e-12)
        before, after = reference.softmax(1).numpy(), expected.softmax(1).numpy()
        assert row.divergence == pytest.approx(entropy(before, after, axis=1).mean(), rel=1e-6)
        assert row.accuracy == float((expected.argmax(1) == labels).double().mean())
        assert row.sqnr_db == pytest.approx(sqnr_db(reference, expected), rel=1e-9)
        assert row.loss_increase == row.loss - table.float_loss


@settings(max_examples=20)
@given(st.integers(0, 2**16), st.integers(2, 8))
def test_a_weight_on_its_grid_costs_nothing(seed, bits):
    generator = torch.Generator().manual_seed(seed)
    model = linear_model(torch.randn(2, 2, generator=generator).tolist())
    model[0].weight = nn.Parameter(nearest_per_channel(model[0].weight, bits))
    examples = Examples(torch.randn(6, 2, generator=generator).numpy(), np.arange(6) % 2)
    (row,) = layer_sensitivity(model, examples, [bits]).rows
    assert row.loss_increase == pytest.approx(0, abs=1e-6)
    assert 0 <= row.divergence < 1e-9
    assert row.sqnr_db > 100


def test_more_bits_come_closer(tiny, examples):
    table = layer_sensitivity(tiny, examples, (2, 5, 8))
    for path in table.losses():
        sqnr = [row.sqnr_db for row in table.rows if row.layer == path]
        assert sqnr == sorted(sqnr)


def test_chosen_layers_and_scheme(tiny, examples):
    def per_tensor(weight, bits):
        return fake_quantize(weight, choose_qparams(weight, bits, symmetric=True, granularity=PerTensor()))

    table = layer_sensitivity(tiny, examples, (3,), layers=["classifier"], scheme=per_tensor)
    assert [(row.layer, row.bits) for row in table.rows] == [("classifier", 3)]
    assert table.rows[0] != layer_sensitivity(tiny, examples, (3,), layers=["classifier"]).rows[0]


def test_the_float_weight_changes_nothing(tiny, examples):
    for row in layer_sensitivity(tiny, examples, (8,), scheme=lambda weight, bits: weight).rows:
        assert (row.loss_increase, row.divergence, row.sqnr_db) == (0.0, 0.0, math.inf)


def test_scores_of_zero_have_no_signal():
    model = linear_model([[0.0, 0.0], [0.0, 0.0]])
    examples = Examples(np.ones((1, 2), np.float32), np.array([0]))
    (row,) = layer_sensitivity(model, examples, [2], scheme=lambda weight, bits: weight + 1).rows
    assert row.sqnr_db == -math.inf


def test_the_model_stays_as_it_is(tiny, examples):
    model = copy.deepcopy(tiny).train()
    before = copy.deepcopy(model.state_dict())
    layer_sensitivity(model, examples, (2,))
    assert model.training
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


# Stream, progress, cancelling


def test_the_stream_covers_more_and_more_images(tiny, examples):
    tables = list(stream_sensitivity(tiny, examples, (3,), batch_size=5))
    assert [table.images for table in tables] == [5, 10, 12]
    first = layer_sensitivity(tiny, Examples(examples.inputs[:5], examples.labels[:5]), (3,), batch_size=5)
    assert tables[0] == first


def test_progress_rises_to_one(tiny, examples):
    shares = []
    layer_sensitivity(tiny, examples, (2, 3), batch_size=6, on_progress=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert len(shares) == 2 * (1 + 2 * len(layer_sensitivity(tiny, examples, (2,)).rows))


def test_cancelling_keeps_what_is_done(tiny, examples):
    shares = []
    table = layer_sensitivity(
        tiny, examples, (2,), batch_size=4, on_progress=shares.append, cancelled=lambda: shares[-1] > 0.5
    )
    assert table.images == 4
    assert shares[-1] < 0.6


def test_cancelling_at_once(tiny, examples):
    with pytest.raises(
        MeasurementError, match="cancelled before its first batch was done; let it run longer"
    ):
        layer_sensitivity(tiny, examples, (2,), cancelled=lambda: True)


# Errors


def test_no_images(tiny, examples):
    nothing = Examples(examples.inputs[:0], examples.labels[:0])
    with pytest.raises(DataError, match="hold 0 inputs and 0 labels; expected at least one input, and one"):
        layer_sensitivity(tiny, nothing, (2,))


def test_too_few_labels(tiny, examples):
    with pytest.raises(DataError, match="hold 12 inputs and 3 labels"):
        layer_sensitivity(tiny, Examples(examples.inputs, examples.labels[:3]), (2,))


def test_inputs_that_are_nan(tiny, examples):
    with pytest.raises(ModelError, match="float model gives scores that are NaN or infinite"):
        layer_sensitivity(tiny, Examples(examples.inputs * np.float32("nan"), examples.labels), (2,))


def test_bits_that_do_not_exist(tiny, examples):
    with pytest.raises(SettingError, match="bits is 1, but quantization takes a whole number from 2 to 16"):
        layer_sensitivity(tiny, examples, (1,))


def test_batches_of_nothing(tiny, examples):
    with pytest.raises(SettingError, match="batch_size=0 is not possible here"):
        layer_sensitivity(tiny, examples, (2,), batch_size=0)


def test_unknown_layer(tiny, examples):
    with pytest.raises(
        UnknownNameError, match=r"There is no layer called 'clasifier'.*Did you mean 'classifier'"
    ):
        layer_sensitivity(tiny, examples, (2,), layers=["clasifier"])


@pytest.mark.parametrize(
    ("model", "came"),
    [(nn.Conv2d(1, 3, 3), r"has shape \(12, 3, 26, 26\)"), (nn.Sequential(), "has shape")],
)
def test_what_is_no_classifier(model, came, examples):
    with pytest.raises(ModelError, match=f"output for 12 images {came}.*expected one score a class"):
        layer_sensitivity(model, examples, (2,))
