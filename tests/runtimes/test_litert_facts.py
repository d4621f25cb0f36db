import pytest

from course_lib.runtimes.litert import LiteRt
from course_lib.runtimes.litert_facts import operators
from tests.runtimes.optional import needs
from tests.runtimes.small_models import convolutions, images, to_compile

needs("litert_torch")
pytestmark = pytest.mark.slow


def test_operators_and_what_xnnpack_takes(tmp_path):
    path = LiteRt().compile(to_compile(convolutions(), images(1)), tmp_path / "model.tflite")
    found = operators(LiteRt().load(path))
    kinds = [each.operator for each in found]
    assert {"CONV_2D", "DEPTHWISE_CONV_2D", "MAX_POOL_2D", "FULLY_CONNECTED"} <= set(kinds)
    assert "DELEGATE" not in kinds
    assert found[-1].output_shape == (1, 10)
    assert found[-1].output_dtype == "float32"
    assert all(each.delegated for each in found if each.operator in ("CONV_2D", "FULLY_CONNECTED"))
    without = operators(LiteRt(xnnpack=False).load(path))
    assert [each.operator for each in without] == kinds
    assert not any(each.delegated for each in without)
