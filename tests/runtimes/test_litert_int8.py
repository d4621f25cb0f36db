import numpy as np
import pytest

from course_lib.runtimes.litert import LiteRt, convert
from course_lib.runtimes.litert_facts import operators
from course_lib.runtimes.litert_int8 import half_weights, quantize_static
from course_lib.runtimes.quiet import quiet_conversion
from tests.runtimes.optional import needs
from tests.runtimes.small_models import convolutions, images, scores

needs("litert_torch")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def content():
    with quiet_conversion():
        return convert(convolutions(), images(3))


def test_every_layer_becomes_integer(content):
    with quiet_conversion():
        quantized = quantize_static(content, images(32, seed=1))  # batches of 3: the last one is filled up
    layers = [
        each
        for each in operators(LiteRt().load(quantized))
        if each.operator in ("CONV_2D", "FULLY_CONNECTED")
    ]
    assert layers
    assert {each.output_dtype for each in layers} == {"int8"}
    found = LiteRt().load(quantized).run(images(3, seed=2))
    np.testing.assert_allclose(found, scores(convolutions(), images(3, seed=2)), atol=0.1)


def test_one_large_calibration_input_counts_as_much_as_the_others(content):
    calibration = images(33, seed=1)
    calibration[4] *= 20
    with quiet_conversion():
        quantized = quantize_static(content, calibration)
    expected = scores(convolutions(), calibration[3:6])
    found = LiteRt().load(quantized).run(calibration[3:6])
    np.testing.assert_allclose(found[1], expected[1], atol=0.05 * np.abs(expected[1]).max())


def test_half_weights_change_nothing_else(content):
    with quiet_conversion():
        halved = half_weights(content)
    assert {
        each.output_dtype for each in operators(LiteRt().load(halved)) if each.operator != "DEQUANTIZE"
    } == {"float32"}
    assert len(halved) < len(content)
