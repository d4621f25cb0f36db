import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.qlinear import ort_conv2d, pairs_saturate
from course_lib.errors import DataError, SettingError
from course_lib.quantization.integer import integer_matmul
from course_lib.quantization.integer_conv import ConvGeometry, integer_conv2d, unfold
from tests.quantization.integer_codes import draw, grid


@st.composite
def geometries(draw_from):
    pair = st.tuples(st.integers(1, 3), st.integers(1, 3))
    pads = st.tuples(*[st.integers(0, 2)] * 4)
    return ConvGeometry(
        draw_from(pair), draw_from(pads), draw_from(pair), groups=draw_from(st.sampled_from([1, 2, 3, 6]))
    )


def torch_sums(x, weight, geometry, zero_x, zero_weight, bias):
    """Return torch's convolution of the whole numbers, in float64, which holds them exactly."""
    top, left, bottom, right = geometry.pads
    image = torch.from_numpy(x.astype(np.float64) - zero_x)
    image = torch.nn.functional.pad(image, (left, right, top, bottom))
    return torch.nn.functional.conv2d(
        image,
        torch.from_numpy(weight.astype(np.float64) - zero_weight),
        torch.from_numpy(bias.astype(np.float64)),
        geometry.strides,
        0,
        geometry.dilations,
        geometry.groups,
    ).numpy()


# Worked by hand


def test_the_worked_example():
    x = np.asarray([[[[1, 2], [3, 4]]]], np.uint8)
    weight = np.ones((1, 1, 2, 2), np.int8)
    geometry = ConvGeometry(pads=(0, 1, 0, 0))
    assert unfold(x, 1, (2, 2), geometry)[0, 0, 0].tolist() == [[1, 1, 1, 3], [1, 2, 3, 4]]
    codes = integer_conv2d(x, weight, grid(zero_point=1), grid("s8"), grid(), geometry=geometry)
    assert codes.tolist() == [[[[2, 6]]]]
    assert codes.dtype == np.int32


def test_channels_of_a_kernel_position_lie_side_by_side():
    x = np.arange(8).reshape(1, 2, 2, 2)  # channel 0 holds 0 to 3, channel 1 holds 4 to 7
    assert unfold(x, 0, (2, 2), ConvGeometry()).reshape(-1).tolist() == [0, 4, 1, 5, 2, 6, 3, 7]
    grouped = unfold(x, 0, (2, 2), ConvGeometry(groups=2))
    assert grouped.reshape(2, 4).tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_saturation_depends_on_which_values_are_neighbours():
    # Both channels of one pixel are a pair, and 255 · 127 twice is too much for 16 bits.
    weight = np.full((1, 2, 1, 2), 127, np.int8)
    grids = grid(), grid("s8"), grid(scale=512.0)
    one_pixel = np.asarray([[[[255, 0]], [[255, 0]]]], np.uint8)
    one_channel = np.asarray([[[[255, 255]], [[0, 0]]]], np.uint8)
    for x, expected in ((one_pixel, 64), (one_channel, 127)):  # 32767 / 512 and 64770 / 512
        assert integer_conv2d(x, weight, *grids, saturating=True).item() == expected
        assert integer_conv2d(x, weight, *grids).item() == 127


def test_a_depthwise_kernel_does_not_saturate_but_one_with_two_outputs_does():
    x = np.full((1, 2, 1, 2), 255, np.uint8)
    grids, geometry = (grid(), grid("s8"), grid(scale=512.0)), ConvGeometry(groups=2)
    for outputs, expected in ((2, 127), (4, 64)):
        weight = np.full((outputs, 1, 1, 2), 127, np.int8)
        codes = integer_conv2d(x, weight, *grids, geometry=geometry, saturating=True)
        assert codes.reshape(-1).tolist() == [expected] * outputs


# Properties


@given(geometries(), st.integers(0, 2**32), st.booleans())
def test_the_sums_are_those_of_torch(geometry, seed, per_channel):
    rng = np.random.default_rng(seed)
    x = draw(rng, "u8", (2, 6, 8, 9))
    weight = draw(rng, "s8", (12, 6 // geometry.groups, 3, 2))
    bias = rng.integers(-9999, 9999, 12)
    scale = rng.uniform(0.001, 0.01, (12, 1, 1, 1) if per_channel else ()).astype(np.float32)
    grids = grid(scale=0.5, zero_point=99), grid("s8", scale, 3), grid(scale=8.0, zero_point=128)
    sums = torch_sums(x, weight, geometry, 99, 3, bias)
    multiplier = np.float32(0.5) * scale.reshape(-1, 1, 1) / np.float32(8.0)
    expected = np.clip(np.rint(sums.astype(np.float32) * multiplier) + 128, 0, 255)
    codes = integer_conv2d(x, weight, *grids, geometry=geometry, bias=bias)
    assert np.array_equal(codes, expected)


@given(st.integers(0, 2**32), st.booleans())
def test_a_kernel_of_one_pixel_is_a_matrix_product(seed, saturating):
    rng = np.random.default_rng(seed)
    x, weight = draw(rng, "u8", (2, 5, 3, 4)), draw(rng, "s8", (7, 5, 1, 1))
    scale = rng.uniform(0.5, 1.0, (7, 1))
    a_grid, out_grid = grid(zero_point=30), grid(scale=500.0, zero_point=128)
    conv = integer_conv2d(
        x, weight, a_grid, grid("s8", scale[..., None, None]), out_grid, saturating=saturating
    )
    product = integer_matmul(
        x.transpose(0, 2, 3, 1),
        weight[:, :, 0, 0].T,
        a_grid,
        grid("s8", scale.T),
        out_grid,
        saturating=saturating,
    )
    assert np.array_equal(conv, product.transpose(0, 3, 1, 2))


@given(geometries(), st.integers(0, 2**32))
def test_weights_up_to_64_never_saturate(geometry, seed):
    rng = np.random.default_rng(seed)
    x, weight = draw(rng, "u8", (1, 6, 8, 8)), draw(rng, "s8", (12, 6 // geometry.groups, 2, 3), 64)
    grids = grid(zero_point=80), grid("s8"), grid(scale=600.0, zero_point=128)
    exact = integer_conv2d(x, weight, *grids, geometry=geometry)
    assert np.array_equal(integer_conv2d(x, weight, *grids, geometry=geometry, saturating=True), exact)


# Independent oracle


@pytest.mark.parametrize("depthwise", [False, True])
@pytest.mark.parametrize(
    ("x_type", "w_type", "limit"), [("u8", "u8", 255), ("s8", "s8", 128), ("u8", "s8", 63)]
)
def test_onnx_runtime_gives_the_same_codes(x_type, w_type, limit, depthwise):
    rng = np.random.default_rng(0)
    strides_dilations_groups = itertools.product((1, 2), (1, 2), (12,) if depthwise else (1, 3))
    for stride, dilation, groups in strides_dilations_groups:
        geometry = ConvGeometry((stride, 3 - stride), (0, 1, 2, 1), (dilation, 1), groups)
        x = draw(rng, x_type, (2, 12, 9, 8))
        weight = draw(rng, w_type, (12, 12 // groups, 3, 2), limit)
        w_grid = grid(w_type, rng.uniform(0.001, 0.1, (12, 1, 1, 1)), int(draw(rng, w_type, ())))
        x_grid = grid(x_type, 0.02, int(draw(rng, x_type, ())))
        grids = x_grid, w_grid, grid(x_type, 3.0, int(draw(rng, x_type, ())))
        bias = rng.integers(-9999, 9999, 12)
        expected = ort_conv2d(x, weight, grids, geometry, bias)
        assert np.array_equal(integer_conv2d(x, weight, *grids, geometry=geometry, bias=bias), expected)


@pytest.mark.skipif(not pairs_saturate(), reason="this processor sums U8 × S8 in 32 bits")
@pytest.mark.parametrize("groups", [1, 3, 12])
def test_onnx_runtime_saturates_alike(groups):
    rng = np.random.default_rng(1)
    geometry = ConvGeometry(pads=(1, 1, 1, 1), groups=groups)
    x, weight = draw(rng, "u8", (1, 12, 7, 7)), draw(rng, "s8", (24, 12 // groups, 3, 3))
    grids = grid(zero_point=90), grid("s8"), grid(scale=3000.0, zero_point=128)
    codes = integer_conv2d(x, weight, *grids, geometry=geometry, saturating=True)
    assert np.array_equal(codes, ort_conv2d(x, weight, grids, geometry))


# Errors


@pytest.mark.parametrize(
    "arguments", [{"strides": (0, 1)}, {"pads": (0, 0, -1, 0)}, {"dilations": (1, 0)}, {"groups": 0}]
)
def test_a_geometry_that_does_not_exist_is_refused(arguments):
    with pytest.raises(SettingError) as error:
        ConvGeometry(**arguments)
    (name, value), *_ = arguments.items()
    assert f"{name}={value}" in str(error.value)
    assert str(error.value).endswith(
        "describes no convolution; strides, dilations and groups start at 1, pads at 0."
    )


@pytest.mark.parametrize(
    ("x_shape", "weight_shape", "groups", "message"),
    [
        (
            (1, 4, 5, 5),
            (6, 3, 3, 3),
            1,
            "A weight of shape (6, 3, 3, 3) in 1 group(s) does not fit images of shape (1, 4, 5, 5); "
            "expected (C_out, C / groups, KH, KW) and (N, C, H, W), with C_out a multiple of groups.",
        ),
        (
            (1, 4, 5, 5),
            (3, 2, 3, 3),
            2,
            "A weight of shape (3, 2, 3, 3) in 2 group(s) does not fit images of shape (1, 4, 5, 5); "
            "expected (C_out, C / groups, KH, KW) and (N, C, H, W), with C_out a multiple of groups.",
        ),
        (
            (4, 5, 5),
            (3, 4, 3, 3),
            1,
            "A weight of shape (3, 4, 3, 3) in 1 group(s) does not fit images of shape (4, 5, 5); expected "
            "(C_out, C / groups, KH, KW) and (N, C, H, W), with C_out a multiple of groups.",
        ),
        (
            (1, 1, 2, 5),
            (1, 1, 3, 3),
            1,
            "The kernel covers 3 × 3 pixels, but the padded image has only 2 × 5; pad more, or use a smaller "
            "kernel.",
        ),
    ],
)
def test_shapes_that_do_not_fit_are_refused(x_shape, weight_shape, groups, message):
    x, weight = np.zeros(x_shape, np.uint8), np.zeros(weight_shape, np.int8)
    with pytest.raises(DataError) as error:
        integer_conv2d(x, weight, grid(), grid("s8"), grid(), geometry=ConvGeometry(groups=groups))
    assert str(error.value) == message


def test_scales_along_another_axis_are_refused():
    x, weight = np.zeros((1, 2, 4, 4), np.uint8), np.zeros((3, 2, 1, 1), np.int8)
    with pytest.raises(SettingError) as error:
        integer_conv2d(x, weight, grid(), grid("s8", np.ones((1, 2, 1, 1))), grid())
    assert str(error.value) == (
        "The scales of weight have shape (1, 2, 1, 1), but one scale is needed, or one for each output "
        "channel in shape (3, 1, 1, 1); quantize it with PerChannel(0)."
    )
