import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from course_lib.quantization import (
    PerTensor,
    choose_qparams,
    fake_quantize,
    ideal_sqnr_db,
    max_abs_error,
    sqnr_db,
)

values = arrays(np.float32, 12, elements=st.floats(-1000, 1000, width=32))


def test_sqnr_by_hand():
    # signal 9 + 16 = 25, noise 0.25: 10 * log10(100) = 20 dB
    assert sqnr_db(np.asarray([3.0, 4.0]), np.asarray([3.0, 4.5])) == pytest.approx(20)


def test_max_abs_error_by_hand():
    x, approximation = np.asarray([[1.0, -2.0], [0.0, 4.0]]), np.asarray([[1.5, -2.0], [0.0, 3.25]])
    assert max_abs_error(x, approximation) == 0.75
    assert max_abs_error(torch.from_numpy(x), torch.from_numpy(approximation)) == 0.75


def test_the_ends_of_the_scale():
    zeros, ones = np.zeros(3, np.float32), np.ones(3, np.float32)
    assert sqnr_db(ones, ones) == math.inf
    assert sqnr_db(zeros, zeros) == math.inf
    assert sqnr_db(zeros[:0], zeros[:0]) == math.inf
    assert sqnr_db(zeros, ones) == -math.inf
    assert sqnr_db(ones, zeros) == 0


def test_very_large_and_very_small_float32_values_neither_overflow_nor_vanish():
    assert sqnr_db(np.float32([1e30]), np.float32([1.1e30])) == pytest.approx(20, abs=1e-4)
    assert sqnr_db(np.float32([1e-30]), np.float32([1.1e-30])) == pytest.approx(20, abs=1e-4)


@given(values, values)
def test_sqnr_is_the_difference_of_two_powers_in_db(x, approximation):
    signal = np.linalg.norm(x.astype(np.float64))
    noise = np.linalg.norm(x.astype(np.float64) - approximation)
    if signal > 0 and noise > 0:
        assert sqnr_db(x, approximation) == pytest.approx(20 * np.log10(signal / noise), abs=1e-6)


@given(values, st.integers(2, 16), st.integers(-10, 10))
def test_sqnr_does_not_depend_on_the_unit(x, bits, power):
    approximation = fake_quantize(x, choose_qparams(x, bits, symmetric=True, granularity=PerTensor()))
    unit = np.float32(2.0**power)
    assert sqnr_db(x * unit, approximation * unit) == pytest.approx(sqnr_db(x, approximation), abs=1e-6)


def test_torch_and_numpy_agree():
    x = np.random.default_rng(0).normal(size=(30, 40)).astype(np.float32)
    approximation = np.round(x, 1)
    assert sqnr_db(torch.from_numpy(x), torch.from_numpy(approximation)) == pytest.approx(
        sqnr_db(x, approximation), abs=1e-9
    )


def test_the_textbook_line_by_hand():
    assert ideal_sqnr_db(8) == pytest.approx(6.0206 * 8 + 1.7609, abs=1e-3)
    assert ideal_sqnr_db(8, math.sqrt(3)) == pytest.approx(6.0206 * 8, abs=1e-3)
    assert ideal_sqnr_db(9, 4.0) - ideal_sqnr_db(8, 4.0) == pytest.approx(6.0206, abs=1e-4)


@pytest.mark.parametrize("bits", [8, 10, 12])
def test_a_quantized_sine_and_evenly_spread_values_reach_the_line(bits):
    uniform = np.random.default_rng(bits).uniform(-1, 1, 50_000)
    sine = np.sin(np.arange(50_000) * 0.618)
    for x, crest_factor in ((uniform, math.sqrt(3)), (sine, math.sqrt(2))):
        approximation = fake_quantize(x, choose_qparams(x, bits, symmetric=False, granularity=PerTensor()))
        # the line assumes errors spread evenly; a sine lingers at its two ends, hence the tolerance
        assert sqnr_db(x, approximation) == pytest.approx(ideal_sqnr_db(bits, crest_factor), abs=0.3)


def test_one_outlier_costs_what_the_crest_factor_says():
    x = np.random.default_rng(0).uniform(-0.1, 0.1, 50_000)
    x[0] = 1.0
    approximation = fake_quantize(x, choose_qparams(x, 8, symmetric=True, granularity=PerTensor()))
    crest_factor = 1.0 / np.sqrt(np.mean(x**2))
    assert sqnr_db(x, approximation) == pytest.approx(ideal_sqnr_db(8, crest_factor), abs=0.3)


def test_arrays_of_two_libraries_are_not_mixed():
    with pytest.raises(TypeError, match="Multiple namespaces"):
        sqnr_db(np.ones(2), torch.ones(2))
