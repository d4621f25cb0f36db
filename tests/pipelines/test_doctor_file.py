import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.errors import ModelError
from course_lib.pipelines.doctor_file import QuantizedWeight, read_weights, with_unsigned_weights
from course_lib.runtimes.onnx_runtime import OnnxRuntime
from tests.pipelines.qdq_files import CODES, float_model, images, qdq_model


def test_a_weight_with_its_types_and_largest_code():
    assert read_weights(qdq_model()) == (QuantizedWeight("conv", "uint8", "int8", 18, depthwise=False),)


@pytest.mark.parametrize(
    ("codes", "groups", "expected"),
    [
        (np.full((4, 1, 3, 3), 65, np.int8), 1, True),
        (np.full((4, 1, 3, 3), -128, np.int8), 1, True),
        (np.full((4, 1, 3, 3), 64, np.int8), 1, False),  # 2 · 255 · 64 = 32640 fits into 16 bits
        (np.full((4, 1, 3, 3), 255, np.uint8), 1, False),
        (np.full((4, 1, 3, 3), 127, np.int8), 4, False),  # depthwise kernels sum no pairs
    ],
)
def test_what_may_saturate(codes, groups, expected):
    (weight,) = read_weights(qdq_model(codes, groups=groups))
    assert weight.may_saturate is expected


def test_an_input_that_is_not_quantized_has_no_type():
    model = qdq_model()
    conv = next(node for node in model.graph.node if node.op_type == "Conv")
    conv.input[0] = "input"
    assert read_weights(model)[0].input_type is None


def test_a_float_file_is_refused():
    with pytest.raises(ModelError) as caught:
        read_weights(float_model())
    assert str(caught.value) == (
        "This file has no QuantizeLinear operator, so nothing in it is quantized for an integer kernel; "
        "pass the file that export_qdq wrote, and the unquantized one as float_model."
    )


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_unsigned_weights_have_the_same_values(seed):
    codes = np.random.default_rng(seed).integers(-128, 128, CODES.shape).astype(np.int8)
    model = qdq_model(codes)
    unsigned = with_unsigned_weights(model)
    assert [weight.weight_type for weight in read_weights(unsigned)] == ["uint8"]
    assert [weight.weight_type for weight in read_weights(model)] == ["int8"]  # the model itself is untouched
    results = [OnnxRuntime("off").load(each.SerializeToString()).run(images()) for each in (model, unsigned)]
    np.testing.assert_array_equal(*results)
