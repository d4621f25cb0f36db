import ml_dtypes
import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from onnx import TensorProto, helper

from course_lib.errors import UnknownNameError
from course_lib.quantization.casting import FORMATS, bits_of, cast

TORCH = {
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "float8_e4m3": torch.float8_e4m3fn,
    "float8_e5m2": torch.float8_e5m2,
}
ML_DTYPES = {
    "float16": np.float16,
    "bfloat16": ml_dtypes.bfloat16,
    "float8_e4m3": ml_dtypes.float8_e4m3fn,
    "float8_e5m2": ml_dtypes.float8_e5m2,
}
ONNX = {
    "float16": TensorProto.FLOAT16,
    "bfloat16": TensorProto.BFLOAT16,
    "float8_e4m3": TensorProto.FLOAT8E4M3FN,
    "float8_e5m2": TensorProto.FLOAT8E5M2,
}

formats = st.sampled_from(sorted(FORMATS))
floats = arrays(np.float32, st.integers(1, 20), elements=st.floats(width=32, allow_nan=False))


def patterns():
    """Return every value of the upper 16 bits of a float32, each with lower bits at and around a tie.

    That is every number of the four formats (float16's smallest apart), every number halfway between two of
    bfloat16 or FP8, and the neighbours of both.
    """
    upper = np.arange(2**16, dtype=np.uint32) << 16
    lower = np.asarray([0, 1, 0x0FFF, 0x1000, 0x1001, 0x3000, 0x7FFF, 0x8000, 0x8001, 0xFFFF], np.uint32)
    return (upper[:, None] | lower).reshape(-1).view(np.float32)


def same(a, b):
    """Return whether two arrays hold the same floats, the sign of zero included, NaN equal to NaN."""
    return np.array_equal(a, b, equal_nan=True) and np.array_equal(
        np.signbit(a[~np.isnan(a)]), np.signbit(b[~np.isnan(b)])
    )


# Worked by hand


@pytest.mark.parametrize(
    ("format", "x", "expected"),
    [
        ("float8_e4m3", 0.3, 0.3125),
        ("float8_e5m2", 0.3, 0.3125),
        ("float16", 0.3, 0.300048828125),
        ("bfloat16", 0.3, 0.30078125),
        ("float8_e4m3", 17, 16),  # the step is 2: a tie, 8 steps are even
        ("float8_e4m3", 19, 20),  # a tie as well, 10 steps are even
        ("float8_e4m3", 2**-9, 2**-9),  # the smallest number
        ("float8_e4m3", 2**-10, 0),
        ("float8_e4m3", 1.01 * 2**-10, 2**-9),
        ("float8_e4m3", 500, 448),
        ("float8_e4m3", -np.inf, -448),
        ("float8_e5m2", 1e6, 57344),
        ("float8_e5m2", np.inf, 57344),
        ("float16", 65519, 65504),
        ("float16", 65520, np.inf),
        ("bfloat16", -3.4e38, -np.inf),
        ("bfloat16", 3.39e38, (2 - 2**-7) * 2.0**127),
    ],
)
def test_values_by_hand(format, x, expected):
    assert cast(np.asarray([x], np.float32), format).tolist() == [expected]


def test_bits_by_hand():
    assert {name: bits_of(name) for name in FORMATS} == {
        "float16": 16,
        "bfloat16": 16,
        "float8_e4m3": 8,
        "float8_e5m2": 8,
    }


def test_nan_and_the_sign_of_zero_stay():
    for name in FORMATS:
        result = cast(np.asarray([np.nan, -0.0, 0.0, -1e-30], np.float32), name)
        assert np.isnan(result[0])
        assert np.signbit(result[1:]).tolist() == [True, False, True]


# Properties


@given(floats, formats)
def test_casting_twice_changes_nothing(x, format):
    once = cast(x, format)
    assert once.dtype == np.float32
    assert same(cast(once, format), once)


@given(floats, formats)
def test_the_error_is_at_most_half_a_step(x, format):
    target = FORMATS[format]
    x = np.clip(x, -target.largest, target.largest)
    error = np.abs(cast(x, format).astype(np.float64) - x.astype(np.float64))
    relative, absolute = (
        2.0 ** -(target.mantissa_bits + 1),
        2.0 ** (target.min_exponent - target.mantissa_bits - 1),
    )
    assert (error <= np.maximum(relative * np.abs(x.astype(np.float64)), absolute)).all()


@given(floats, formats)
def test_order_is_kept(x, format):
    assert (np.diff(cast(np.sort(x), format).clip(-1e38, 1e38)) >= 0).all()


# Independent oracles


@pytest.mark.parametrize("format", FORMATS)
def test_torch_rounds_every_pattern_alike(format):
    x = patterns()
    if format == "float8_e5m2":
        x = x[np.abs(x) < 61440]  # from there on, torch gives infinity
    expected = torch.from_numpy(x).to(TORCH[format]).float().numpy()
    with np.errstate(invalid="ignore"):  # widening a signalling NaN
        assert same(cast(x, format), expected)
    assert same(cast(torch.from_numpy(x), format).numpy(), expected)


@pytest.mark.parametrize("format", FORMATS)
def test_onnx_runtime_casts_every_pattern_alike(format):
    x = patterns()
    x = x[~np.isnan(x)]
    nodes = [
        helper.make_node("Cast", ["x"], ["narrow"], to=ONNX[format]),
        helper.make_node("Cast", ["narrow"], ["y"], to=TensorProto.FLOAT),
    ]
    x_info, y_info = (helper.make_tensor_value_info(name, TensorProto.FLOAT, x.shape) for name in "xy")
    graph = helper.make_graph(nodes, "cast", [x_info], [y_info])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    assert same(cast(x, format), session.run(None, {"x": x})[0])


@pytest.mark.parametrize("format", FORMATS)
def test_every_code_of_the_format_is_its_own_rounding(format):
    integer = np.uint16 if bits_of(format) == 16 else np.uint8
    values = np.arange(2 ** bits_of(format)).astype(integer).view(ML_DTYPES[format]).astype(np.float32)
    values = values[np.isfinite(values)]
    assert same(cast(values, format), values)
    assert values.max() == FORMATS[format].largest


# Errors


def test_an_unknown_format_is_refused():
    message = (
        "There is no format called 'fp8'; the known ones are bfloat16, float16, float8_e4m3, float8_e5m2."
    )
    for call in (lambda: cast(np.ones(1, np.float32), "fp8"), lambda: bits_of("fp8")):
        with pytest.raises(UnknownNameError) as error:
            call()
        assert str(error.value) == message
