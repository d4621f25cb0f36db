import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from course_lib.errors import ModelError, SettingError
from course_lib.quantization import (
    PerChannel,
    PerTensor,
    QParams,
    choose_qparams,
    choose_qparams_from_range,
    dequantize,
    fake_quantize,
    integer_range,
    quantize,
)

SMALLEST_NORMAL = np.finfo(np.float32).smallest_normal

bit_widths = st.integers(2, 16)
finite_floats = st.floats(-1e6, 1e6, width=32) | st.floats(-(2.0**-120), 2.0**-120, width=32)
tensors = arrays(np.float32, array_shapes(min_dims=1, max_dims=4, max_side=5), elements=finite_floats)
granularities = st.sampled_from([PerTensor(), PerChannel(0), PerChannel(-1)])


def fit(values, bits=8, symmetric=False, granularity=None):
    x = np.asarray(values, np.float32)
    return x, choose_qparams(x, bits, symmetric=symmetric, granularity=granularity or PerTensor())


# Worked by hand


def test_the_worked_example_of_the_course():
    x, qparams = fit([-2.5, -1.0, 0.0, 1.5, 3.0])
    assert qparams.scale.item() == pytest.approx(5.5 / 255, rel=1e-6)
    assert qparams.zero_point.tolist() == [116]
    assert (qparams.quant_min, qparams.quant_max) == (0, 255)
    assert quantize(x, qparams).tolist() == [0, 70, 116, 186, 255]
    steps = [-116, -46, 0, 70, 139]
    assert dequantize(quantize(x, qparams), qparams) == pytest.approx(np.multiply(steps, 5.5 / 255), rel=1e-6)


def test_cutting_off_the_fraction_gives_the_other_code_of_the_worked_example():
    x, qparams = fit([-2.5, -1.0, 0.0, 1.5, 3.0])
    assert np.floor(x / qparams.scale + qparams.zero_point)[3] == 185


def test_the_second_worked_example():
    # S = 1.3 / 255 = 0.0050980, Z = -round(-98.08) = 98; x / S = [19.6, -98.1, 156.9, -39.2]
    x, qparams = fit([0.1, -0.5, 0.8, -0.2])
    assert qparams.scale.item() == pytest.approx(1.3 / 255, rel=1e-6)
    assert qparams.zero_point.tolist() == [98]
    assert quantize(x, qparams).tolist() == [118, 0, 255, 59]


def test_symmetric_by_hand():
    # 4 bits: codes -7 to 7, S = 3.5 / 7 = 0.5; the ties 0.25 / S = 0.5 and 0.75 / S = 1.5 go to even
    x, qparams = fit([-3.5, 0.25, 0.75, 3.0, 0.0], bits=4, symmetric=True)
    assert (qparams.quant_min, qparams.quant_max) == (-7, 7)
    assert qparams.scale.tolist() == [0.5]
    assert quantize(x, qparams).tolist() == [-7, 0, 2, 6, 0]
    assert fake_quantize(x, qparams).tolist() == [-3.5, 0.0, 1.0, 3.0, 0.0]


def test_a_range_on_one_side_of_zero_is_widened_to_zero():
    assert fit([2.0, 5.1])[1].scale.item() == pytest.approx(0.02)
    assert fit([2.0, 5.1])[1].zero_point.item() == 0
    assert fit([-5.1, -2.0])[1].scale.item() == pytest.approx(0.02)
    assert fit([-5.1, -2.0])[1].zero_point.item() == 255


def test_per_channel_fits_each_channel_alone():
    x, qparams = fit([[1.0, -0.5], [100.0, 50.0]], symmetric=True, granularity=PerChannel(0))
    assert qparams.scale.shape == qparams.zero_point.shape == (2, 1)
    assert qparams.scale[:, 0] == pytest.approx([1 / 127, 100 / 127])
    assert quantize(x, qparams).tolist() == [[127, -64], [127, 64]]


def test_parameters_keep_one_dimension_for_each_of_the_tensor():
    x = np.ones((4, 3, 2, 2), np.float32)
    assert fit(x)[1].scale.shape == (1, 1, 1, 1)
    assert fit(x, granularity=PerChannel(0))[1].scale.shape == (4, 1, 1, 1)
    assert fit(x, granularity=PerChannel(1))[1].zero_point.shape == (1, 3, 1, 1)
    assert fit(np.float32(3))[1].scale.shape == ()


@pytest.mark.parametrize(
    ("bits", "signed", "narrow_range", "expected"),
    [
        (8, False, False, (0, 255)),
        (8, True, False, (-128, 127)),
        (8, True, True, (-127, 127)),
        (8, False, True, (1, 255)),
        (2, True, True, (-1, 1)),
        (16, False, False, (0, 65535)),
    ],
)
def test_integer_ranges(bits, signed, narrow_range, expected):
    assert integer_range(bits, signed=signed, narrow_range=narrow_range) == expected


@given(bit_widths, st.booleans())
def test_codes_of_b_bits_take_b_bits(bits, symmetric):
    assert fit([-1.0, 1.0], bits, symmetric)[1].bits == bits


# Given ranges, narrow ranges, and the sign of the codes


@pytest.mark.parametrize(
    ("symmetric", "narrow_range", "signed", "quant_min", "quant_max", "scale", "zero_point"),
    [
        (True, None, None, -127, 127, 2.54 / 127, 0),
        (True, False, None, -128, 127, 2.54 / 127, 0),
        (True, None, False, 1, 255, 2.54 / 127, 128),
        (True, False, False, 0, 255, 2.54 / 127, 128),
        (False, None, None, 0, 255, 3.81 / 255, 85),
        (False, True, None, 1, 255, 3.81 / 254, 86),
        (False, None, True, -128, 127, 3.81 / 255, -43),
        (False, True, True, -127, 127, 3.81 / 254, -42),
    ],
)
def test_grids_of_a_given_range_by_hand(
    symmetric, narrow_range, signed, quant_min, quant_max, scale, zero_point
):
    # asymmetric: 3.81 / 255 = 0.014941 and 1.27 / 0.014941 = 85; 3.81 / 254 = 0.015 and 1.27 / 0.015 = 84.7
    qparams = choose_qparams_from_range(
        -1.27, 2.54, 8, symmetric=symmetric, narrow_range=narrow_range, signed=signed
    )
    assert (qparams.quant_min, qparams.quant_max) == (quant_min, quant_max)
    assert qparams.scale == pytest.approx(scale, rel=1e-6)
    assert qparams.zero_point == zero_point
    assert qparams.scale.dtype == np.float32
    assert qparams.zero_point.dtype == np.int32
    assert qparams.scale.shape == qparams.zero_point.shape == ()


def test_numbers_arrays_and_tensors_give_the_same_grids():
    low, high = np.asarray([[-1.0], [0.5], [0.0]]), np.asarray([[2.0], [3.0], [0.0]])
    ours = choose_qparams_from_range(low, high, 4, symmetric=False)
    theirs = choose_qparams_from_range(torch.from_numpy(low), torch.from_numpy(high), 4, symmetric=False)
    assert ours.scale.shape == (3, 1)
    assert (theirs.scale.numpy() == ours.scale).all()
    assert (theirs.zero_point.numpy() == ours.zero_point).all()
    for i in range(3):
        alone = choose_qparams_from_range(low[i, 0], high[i, 0], 4, symmetric=False)
        assert (alone.scale, alone.zero_point) == (ours.scale[i], ours.zero_point[i])
    assert choose_qparams_from_range(-1.0, high, 4, symmetric=True).scale.shape == (3, 1)


@given(tensors, bit_widths, st.booleans(), granularities, st.sampled_from([None, True, False]))
def test_the_range_of_a_tensor_gives_the_grid_of_the_tensor(x, bits, symmetric, granularity, narrow_range):
    axes = granularity.shared_axes(x.ndim)
    low, high = x.min(axis=axes, keepdims=True), x.max(axis=axes, keepdims=True)
    ours = choose_qparams_from_range(low, high, bits, symmetric=symmetric, narrow_range=narrow_range)
    theirs = choose_qparams(x, bits, symmetric=symmetric, granularity=granularity, narrow_range=narrow_range)
    assert (ours.scale == theirs.scale).all()
    assert (ours.zero_point == theirs.zero_point).all()


@given(tensors, bit_widths, st.booleans(), st.booleans(), st.booleans())
def test_every_kind_of_grid_keeps_zero_and_half_a_step(x, bits, symmetric, narrow_range, signed):
    qparams = choose_qparams(
        x, bits, symmetric=symmetric, granularity=PerTensor(), narrow_range=narrow_range, signed=signed
    )
    assert (fake_quantize(np.zeros_like(x), qparams) == 0).all()
    assert qparams.quant_min <= qparams.zero_point.item() <= qparams.quant_max
    error = np.abs(x.astype(np.float64) - fake_quantize(x, qparams))
    assert (error <= (0.5 + 2.0**bits * 2**-23) * qparams.scale).all()


def test_the_sign_of_the_codes_moves_them_and_nothing_else():
    x = np.random.default_rng(0).normal(size=1000).astype(np.float32)
    for symmetric in (True, False):
        signed, unsigned = (
            choose_qparams(x, 8, symmetric=symmetric, granularity=PerTensor(), signed=signed)
            for signed in (True, False)
        )
        assert (quantize(x, unsigned) - quantize(x, signed) == 128).all()
        assert (fake_quantize(x, unsigned) == fake_quantize(x, signed)).all()


@pytest.mark.parametrize(
    ("low", "high"),
    [
        (1.0, -1.0),
        (np.nan, 1.0),
        (0.0, np.inf),
        (-2e38, 0.0),
        (np.asarray([0.0, 2.0]), np.asarray([1.0, 1.0])),
    ],
)
@pytest.mark.filterwarnings("error")
def test_a_range_that_is_none_is_refused(low, high):
    with pytest.raises(SettingError) as error:
        choose_qparams_from_range(low, high, 8, symmetric=False)
    assert str(error.value) == (
        f"A range from {float(np.min(low))} to {float(np.max(high))} has no grid; give finite numbers within "
        "±1e+38, with low not above high."
    )


# Degenerate ranges


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("granularity", [PerTensor(), PerChannel(0)])
def test_all_zeros_get_scale_one(symmetric, granularity):
    x, qparams = fit(np.zeros((2, 3)), symmetric=symmetric, granularity=granularity)
    assert (qparams.scale == 1).all()
    assert (qparams.zero_point == 0).all()
    assert (fake_quantize(x, qparams) == 0).all()


def test_a_channel_of_zeros_leaves_the_others_alone():
    _, qparams = fit([[0.0, 0.0], [-1.0, 2.0]], symmetric=True, granularity=PerChannel(0))
    assert qparams.scale[:, 0] == pytest.approx([1, 2 / 127])


@given(bit_widths, st.booleans(), st.floats(-1e6, 1e6, width=32))
def test_a_constant_tensor_comes_back(bits, symmetric, value):
    x, qparams = fit([value] * 3, bits, symmetric)
    tolerance = max(1e-6 * abs(value), float(SMALLEST_NORMAL) / 2)
    assert fake_quantize(x, qparams) == pytest.approx(x, rel=0, abs=tolerance)


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("value", [1e-45, 1e-39, 1.2e-38, 1e-36])
def test_a_range_too_narrow_for_its_steps_gets_the_smallest_normal_scale(symmetric, value):
    x, qparams = fit([-value, value], symmetric=symmetric)
    assert qparams.scale.item() == SMALLEST_NORMAL
    assert np.abs(fake_quantize(x, qparams) - x).max() <= SMALLEST_NORMAL / 2


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("bits", [2, 8, 16])
@pytest.mark.filterwarnings("error")
def test_the_widest_range_does_not_overflow(symmetric, bits):
    x, qparams = fit([-1e38, 1e38, 1.0, 1e-45], bits, symmetric)
    assert np.isfinite(fake_quantize(x, qparams)).all()


# Properties


@given(tensors, bit_widths, st.booleans(), granularities)
def test_no_value_moves_by_more_than_half_a_step(x, bits, symmetric, granularity):
    qparams = choose_qparams(x, bits, symmetric=symmetric, granularity=granularity)
    error = np.abs(x.astype(np.float64) - fake_quantize(x, qparams))
    rounding_of_float32 = 2.0**bits * 2**-23
    assert (error <= (0.5 + rounding_of_float32) * qparams.scale).all()


@given(tensors, bit_widths, st.booleans(), granularities)
def test_zero_is_exact_and_on_the_grid(x, bits, symmetric, granularity):
    qparams = choose_qparams(x, bits, symmetric=symmetric, granularity=granularity)
    zeros = np.zeros_like(x)
    assert (quantize(zeros, qparams) == qparams.zero_point).all()
    assert (fake_quantize(zeros, qparams) == 0).all()
    assert (qparams.quant_min <= qparams.zero_point).all()
    assert (qparams.zero_point <= qparams.quant_max).all()


@given(arrays(np.float32, 20, elements=finite_floats), bit_widths, st.booleans())
@pytest.mark.filterwarnings("ignore:overflow encountered in divide")  # far outside the range
def test_a_larger_value_never_gets_a_smaller_code(x, bits, symmetric):
    qparams = choose_qparams(x[:5], bits, symmetric=symmetric, granularity=PerTensor())
    codes = quantize(np.sort(x), qparams)
    assert (np.diff(codes) >= 0).all()
    assert qparams.quant_min <= codes[0] <= codes[-1] <= qparams.quant_max


@given(tensors, bit_widths, st.booleans(), granularities)
def test_quantizing_twice_changes_nothing(x, bits, symmetric, granularity):
    qparams = choose_qparams(x, bits, symmetric=symmetric, granularity=granularity)
    codes = quantize(x, qparams)
    assert (quantize(dequantize(codes, qparams), qparams) == codes).all()


@given(tensors, bit_widths, st.booleans(), granularities)
def test_numpy_and_torch_agree_to_the_last_bit(x, bits, symmetric, granularity):
    ours = choose_qparams(x, bits, symmetric=symmetric, granularity=granularity)
    theirs = choose_qparams(torch.from_numpy(x), bits, symmetric=symmetric, granularity=granularity)
    assert isinstance(theirs.scale, torch.Tensor)
    assert (theirs.scale.numpy() == ours.scale).all()
    assert (theirs.zero_point.numpy() == ours.zero_point).all()
    assert (theirs.quant_min, theirs.quant_max) == (ours.quant_min, ours.quant_max)
    assert (quantize(torch.from_numpy(x), theirs).numpy() == quantize(x, ours)).all()
    assert (fake_quantize(torch.from_numpy(x), theirs).numpy() == fake_quantize(x, ours)).all()


@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.int64])
def test_every_input_type_is_computed_in_float32(dtype):
    x = np.asarray([-3, 0, 1, 4], dtype)
    qparams = choose_qparams(x, 8, symmetric=False, granularity=PerTensor())
    assert qparams.scale.dtype == np.float32
    assert qparams.zero_point.dtype == quantize(x, qparams).dtype == np.int32
    assert fake_quantize(x, qparams).dtype == np.float32


def test_values_outside_the_range_get_its_ends():
    _, qparams = fit([-1.0, 1.0])
    x = np.asarray([-9.0, 9.0, -np.inf, np.inf], np.float32)
    assert quantize(x, qparams).tolist() == [0, 255, 0, 255]


def test_the_grid_of_a_torch_parameter_is_a_constant():
    weight = torch.nn.Parameter(torch.tensor([-1.0, 2.0]))
    qparams = choose_qparams(weight, 8, symmetric=True, granularity=PerTensor())
    assert not qparams.scale.requires_grad
    assert not fake_quantize(weight, qparams).requires_grad


# Independent oracles


def values_with_ties(scale):
    normal = np.random.default_rng(0).normal(size=20_000) * 40 * scale
    return np.concatenate([normal, np.arange(-600, 600) * scale / 2]).astype(np.float32)


def onnx_model(x, qparams, onnx_type, axis):
    scale, zero_point = qparams.scale.reshape(-1), qparams.zero_point.reshape(-1)
    if axis is None:
        scale, zero_point = scale.reshape(()), zero_point.reshape(())
    attributes = {} if axis is None else {"axis": axis}
    inputs = [
        helper.make_tensor("scale", TensorProto.FLOAT, scale.shape, scale.reshape(-1)),
        helper.make_tensor("zero_point", onnx_type, zero_point.shape, zero_point.reshape(-1)),
    ]
    graph = helper.make_graph(
        [
            helper.make_node("QuantizeLinear", ["x", "scale", "zero_point"], ["q"], **attributes),
            helper.make_node("DequantizeLinear", ["q", "scale", "zero_point"], ["y"], **attributes),
        ],
        "quantize",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
        [
            helper.make_tensor_value_info("q", onnx_type, x.shape),
            helper.make_tensor_value_info("y", TensorProto.FLOAT, x.shape),
        ],
        inputs,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.checker.check_model(model)
    return model


ONNX_TYPES = {
    (8, False): TensorProto.UINT8,
    (8, True): TensorProto.INT8,
    (16, False): TensorProto.UINT16,
    (16, True): TensorProto.INT16,
}


@pytest.mark.parametrize(("bits", "symmetric"), ONNX_TYPES)
@pytest.mark.parametrize("axis", [None, 0, 1])
def test_onnx_runtime_and_the_onnx_reference_give_the_same_codes_and_values(bits, symmetric, axis):
    x = np.random.default_rng(bits).normal(size=(64, 96)).astype(np.float32)
    granularity = PerTensor() if axis is None else PerChannel(axis)
    qparams = choose_qparams(x, bits, symmetric=symmetric, granularity=granularity)
    model = onnx_model(x, qparams, ONNX_TYPES[bits, symmetric], axis)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    for codes, values in (session.run(None, {"x": x}), ReferenceEvaluator(model).run(None, {"x": x})):
        assert (codes == quantize(x, qparams)).all()
        assert (values == fake_quantize(x, qparams)).all()


@pytest.mark.parametrize("zero_point", [0, 7, 128])
@pytest.mark.parametrize("scale", [0.5, 0.03])
def test_onnx_runtime_rounds_ties_the_same_way(scale, zero_point):
    x = values_with_ties(scale)
    qparams = QParams(np.asarray([scale], np.float32), np.asarray([zero_point], np.int32), 0, 255)
    model = onnx_model(x, qparams, TensorProto.UINT8, None)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    codes, values = session.run(None, {"x": x})
    assert (codes == quantize(x, qparams)).all()
    assert (values == fake_quantize(x, qparams)).all()


# torch multiplies by 1 / S instead of dividing by S: the same for a power of two, and otherwise different in
# rare cases that lie within float32 rounding of a tie.


@pytest.mark.parametrize("bits", [2, 3, 4, 8, 16])
@pytest.mark.parametrize("zero_point", [0, 1])
def test_torch_fake_quantize_per_tensor_is_the_same_on_a_scale_of_a_power_of_two(bits, zero_point):
    x = torch.from_numpy(values_with_ties(0.25))
    quant_min, quant_max = integer_range(bits, signed=True)
    scale, zero = torch.tensor([0.25]), torch.tensor([zero_point], dtype=torch.int32)
    ours = fake_quantize(x, QParams(scale, zero, quant_min, quant_max))
    theirs = torch.fake_quantize_per_tensor_affine(x, 0.25, zero_point, quant_min, quant_max)
    assert torch.equal(ours, theirs)


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("symmetric", [True, False])
def test_torch_fake_quantize_per_channel_differs_only_next_to_ties(bits, symmetric):
    x = torch.from_numpy(np.random.default_rng(bits).normal(size=(16, 500)).astype(np.float32))
    qparams = choose_qparams(x, bits, symmetric=symmetric, granularity=PerChannel(0))
    theirs = torch.fake_quantize_per_channel_affine(
        x, qparams.scale[:, 0], qparams.zero_point[:, 0], 0, qparams.quant_min, qparams.quant_max
    )
    steps = x / qparams.scale
    far_from_tie = (steps - steps.floor() - 0.5).abs() > 1e-4
    assert far_from_tie.double().mean() > 0.99
    assert torch.equal(fake_quantize(x, qparams)[far_from_tie], theirs[far_from_tie])


# Errors


@pytest.mark.parametrize("bits", [1, 17, 32, 0, -8, 4.5, "8", None])
def test_a_bit_width_out_of_range_is_refused(bits):
    with pytest.raises(SettingError) as error:
        fit([1.0], bits)
    assert str(error.value) == (
        f"bits is {bits!r}, but quantization takes a whole number from 2 to 16; try bits=8, and leave the "
        "values as they are for 32-bit floats."
    )


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 3e38])
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("as_torch", [True, False])
@pytest.mark.filterwarnings("error")
def test_values_that_no_scale_fits_are_refused(bad, symmetric, as_torch):
    x = np.asarray([[0.0, 1.0], [bad, 2.0]], np.float32)
    with pytest.raises(ModelError) as error:
        choose_qparams(
            torch.from_numpy(x) if as_torch else x, 8, symmetric=symmetric, granularity=PerChannel(0)
        )
    assert str(error.value) == (
        "These values hold NaN or infinite numbers, or some beyond ±1e+38, and no scale fits them; repair "
        "them first, for example with torch.nan_to_num or numpy.nan_to_num."
    )


def test_an_empty_tensor_is_refused():
    with pytest.raises(ModelError) as error:
        fit(np.zeros((0, 3)))
    assert str(error.value) == (
        "A tensor of shape (0, 3) has no values to fit a scale to; leave empty tensors out before calling "
        "choose_qparams."
    )


@pytest.mark.parametrize("as_torch", [True, False])
def test_nan_has_no_code(as_torch):
    x = np.asarray([1.0, np.nan], np.float32)
    qparams = QParams(np.asarray([1.0], np.float32), np.asarray([0], np.int32), 0, 255)
    if as_torch:
        x = torch.from_numpy(x)
        qparams = QParams(torch.tensor([1.0]), torch.tensor([0], dtype=torch.int32), 0, 255)
    with pytest.raises(ModelError) as error:
        quantize(x, qparams)
    assert str(error.value) == (
        "These values hold NaN, which has no integer code; repair them first, for example with "
        "torch.nan_to_num or numpy.nan_to_num."
    )


def test_quantizing_numpy_arrays_never_imports_torch():
    program = (
        "import sys, numpy as np\n"
        "from course_lib.quantization import *\n"
        "x = np.ones((2, 3), np.float32)\n"
        "qparams = choose_qparams(x, 8, symmetric=True, granularity=PerChannel(0))\n"
        "decode(encode(quantize(x, qparams), qparams)), sqnr_db(x, fake_quantize(x, qparams))\n"
        "sys.exit('torch' in sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
