import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.qlinear import ort_matmul, pairs_saturate
from course_lib.errors import DataError, SettingError
from course_lib.quantization import QParams
from course_lib.quantization.integer import accumulate, integer_matmul, requantize, saturating_pair_sums
from tests.quantization.integer_codes import draw, grid


@st.composite
def products(draw_from, b_limit=128):
    """Draw unsigned a, signed b of at most ``b_limit``, and their zero points."""
    rng = np.random.default_rng(draw_from(st.integers(0, 2**32)))
    rows, length, columns = (draw_from(st.integers(1, high)) for high in (6, 33, 6))
    a, b = draw(rng, "u8", (rows, length)), draw(rng, "s8", (length, columns), b_limit)
    return a, b, draw_from(st.integers(0, 255)), draw_from(st.integers(-128, 127))


# Worked by hand


def test_the_worked_example():
    a, b = np.asarray([[12, 7]], np.uint8), np.asarray([[5], [20]], np.int8)
    zero_a, zero_b = np.asarray(10), np.asarray(0)
    assert accumulate(a, b, zero_a, zero_b, pairs_saturate=False).tolist() == [[-50]]
    # 0.125 · 0.4 is 0.05 rounded to float32, and −50 times that is −2.5 exactly
    codes = integer_matmul(a, b, grid(scale=0.125, zero_point=10), grid("s8", 0.4), grid(zero_point=3))
    assert codes.tolist() == [[1]]
    assert codes.dtype == np.int32


def test_requantization_rounds_ties_to_even_and_clips():
    acc = np.asarray([-5, -3, -1, 1, 3, 5, 1000, -1000])
    assert requantize(acc, np.float32([0.5]), grid("s8", zero_point=1)).tolist() == [
        -1,
        -1,
        1,
        1,
        3,
        3,
        127,
        -128,
    ]


def test_a_pair_of_neighbours_saturates_by_hand():
    a, b = np.asarray([[255, 255]], np.uint8), np.asarray([[127, -128], [127, -128]], np.int8)
    assert saturating_pair_sums(a.astype(int), b.astype(int)).tolist() == [[32767, -32768]]
    # The zero point is taken off afterwards: 32767 − 3 · (127 + 127), not Σ (255 − 3) · 127.
    zero_a, zero_b = np.asarray(3), np.asarray(0)
    assert accumulate(a, b, zero_a, zero_b, pairs_saturate=True).tolist() == [[32767 - 762, -32768 + 768]]
    assert accumulate(a, b, zero_a, zero_b, pairs_saturate=False).tolist() == [[64008, -64512]]


def test_only_neighbours_share_sixteen_bits():
    # Pairs are (0, 1), (2, 3) and the last value alone; 255 · 127 = 32385 fits.
    b = np.full((5, 1), 127)
    assert saturating_pair_sums(np.asarray([[255, 0, 255, 0, 255]]), b).tolist() == [[3 * 32385]]
    assert saturating_pair_sums(np.asarray([[0, 255, 255, 0, 0]]), b).tolist() == [[2 * 32385]]
    assert saturating_pair_sums(np.asarray([[255, 255, 0, 0, 255]]), b).tolist() == [[32767 + 32385]]
    assert saturating_pair_sums(np.asarray([[255, 255]]), np.asarray([[127], [-127]])).tolist() == [[0]]


def test_bias_and_scales_of_the_columns_by_hand():
    a, b = np.asarray([[1, 2]], np.uint8), np.asarray([[3, 3], [4, 4]], np.int8)
    codes = integer_matmul(a, b, grid(), grid("s8", [[1.0, 0.5]]), grid(), bias=np.asarray([-1, 9]))
    assert codes.tolist() == [[10, 10]]


# Properties


@given(products())
def test_the_sum_is_that_of_whole_numbers(case):
    a, b, zero_a, zero_b = case
    expected = [
        [
            sum((int(x) - zero_a) * (int(y) - zero_b) for x, y in zip(row, column, strict=True))
            for column in b.T
        ]
        for row in a
    ]
    assert accumulate(a, b, np.asarray(zero_a), np.asarray(zero_b), pairs_saturate=False).tolist() == expected


@given(products(b_limit=64))
def test_weights_up_to_64_never_saturate(case):
    a, b, zero_a, zero_b = case
    grids = grid(zero_point=zero_a), grid("s8", zero_point=zero_b), grid(scale=200.0, zero_point=128)
    exact = integer_matmul(a, b, *grids)
    assert np.array_equal(integer_matmul(a, b, *grids, saturating=True), exact)


@given(products())
def test_saturation_is_the_sum_of_pairs_clipped_one_by_one(case):
    a, b, zero_a, zero_b = case
    if a.shape[1] % 2:
        a, b = np.pad(a, ((0, 0), (0, 1))), np.pad(b, ((0, 1), (0, 0)))
    products = a.astype(int)[:, :, None] * b.astype(int)
    pairs = products[:, 0::2] + products[:, 1::2]
    raw = pairs.clip(-32768, 32767).sum(axis=1)
    # What the zero points contribute is not touched by saturation: it is the same as in the exact sum.
    exact = accumulate(a, b, np.asarray(zero_a), np.asarray(zero_b), pairs_saturate=False)
    expected = raw + exact - products.sum(axis=1)
    saturated = accumulate(a, b, np.asarray(zero_a), np.asarray(zero_b), pairs_saturate=True)
    assert np.array_equal(saturated, expected)


@pytest.mark.parametrize(("a_type", "b_type"), [("u8", "u8"), ("s8", "s8"), ("s8", "u8")])
def test_other_types_do_not_saturate(a_type, b_type):
    rng = np.random.default_rng(0)
    a, b = draw(rng, a_type, (5, 64)), draw(rng, b_type, (64, 7))
    grids = grid(a_type), grid(b_type), grid(scale=3000.0, zero_point=100)
    assert np.array_equal(integer_matmul(a, b, *grids, saturating=True), integer_matmul(a, b, *grids))


def test_a_batch_of_matrices_is_multiplied_one_by_one():
    rng = np.random.default_rng(1)
    a, b = draw(rng, "u8", (3, 2, 4, 10)), draw(rng, "s8", (2, 10, 5))
    grids = grid(zero_point=7), grid("s8", 0.5), grid(scale=100.0, zero_point=128)
    for saturating in (False, True):
        codes = integer_matmul(a, b, *grids, saturating=saturating)
        assert codes.shape == (3, 2, 4, 5)
        one = integer_matmul(a[2, 1], b[1], *grids, saturating=saturating)
        assert np.array_equal(codes[2, 1], one)


def test_codes_in_wider_types_give_the_same():
    rng = np.random.default_rng(2)
    a, b = draw(rng, "u8", (4, 9)), draw(rng, "s8", (9, 3))
    grids = grid(), grid("s8"), grid(scale=500.0, zero_point=90)
    wide = integer_matmul(a.astype(np.int32), b.astype(np.int64), *grids)
    assert np.array_equal(wide, integer_matmul(a, b, *grids))


# Independent oracles


@pytest.mark.parametrize(
    ("a_type", "b_type", "limit"), [("u8", "u8", 255), ("s8", "s8", 128), ("u8", "s8", 63)]
)
def test_onnx_runtime_gives_the_same_codes(a_type, b_type, limit):
    rng = np.random.default_rng(3)
    for number in range(30):
        rows, length, columns = (int(side) for side in rng.integers(1, [20, 600, 40]))
        a, b = draw(rng, a_type, (rows, length)), draw(rng, b_type, (length, columns), limit)
        scales = rng.uniform(0.001, 0.1, (1, columns) if number % 2 else ())
        b_zero = int(draw(rng, b_type, ())) if number % 3 else 0
        a_grid = grid(a_type, 0.02, int(draw(rng, a_type, ())))
        out_scale = 0.02 * scales.max() * length**0.5 * 200
        grids = a_grid, grid(b_type, scales, b_zero), grid(a_type, out_scale, int(draw(rng, a_type, ())))
        expected = ort_matmul(a, b, grids)
        assert np.array_equal(integer_matmul(a, b, *grids), expected)


@pytest.mark.skipif(not pairs_saturate(), reason="this processor sums U8 × S8 in 32 bits")
def test_onnx_runtime_saturates_alike():
    rng = np.random.default_rng(4)
    for length in (2, 3, 64, 129, 301):
        a, b = draw(rng, "u8", (8, length)), draw(rng, "s8", (length, 16))
        grids = grid(zero_point=90), grid("s8", zero_point=4), grid(scale=3000.0, zero_point=128)
        assert np.array_equal(integer_matmul(a, b, *grids, saturating=True), ort_matmul(a, b, grids))


def test_torch_dequantized_product_is_within_half_a_step():
    rng = np.random.default_rng(5)
    a, b = draw(rng, "u8", (6, 50)), draw(rng, "s8", (50, 8))
    grids = grid(scale=0.03, zero_point=100), grid("s8", 0.02), grid(scale=1.0, zero_point=128)
    real = torch.from_numpy((a - 100.0) * np.float32(0.03)) @ torch.from_numpy(b * float(np.float32(0.02)))
    codes = integer_matmul(a, b, *grids)
    inside = (codes > 0) & (codes < 255)
    assert inside.mean() > 0.5
    assert (np.abs(codes - 128 - real.numpy())[inside] <= 0.5 + 1e-4).all()


# Errors


@pytest.mark.parametrize(
    ("arguments", "error_type", "message"),
    [
        (
            {"a": np.ones((2, 3), np.float32)},
            DataError,
            "a holds float32, but codes are integers; call quantize first.",
        ),
        (
            {"b": np.full((3, 2), 200)},
            DataError,
            "The codes of b go from 200 to 200, but their grid has -128 to 127; pass the qparams that they "
            "were quantized with.",
        ),
        (
            {"a": np.ones((2, 4), np.uint8)},
            DataError,
            "Matrices of shapes (2, 4) and (3, 2) cannot be multiplied; the last axis of the first must be "
            "as long as the last but one of the second.",
        ),
        (
            {"a_qparams": QParams(np.ones(1, np.float32), np.zeros(1, np.int32), 0, 65535)},
            SettingError,
            "The grid of a has 16 bits, but sums in 32 bits are for codes of at most 8; "
            "quantize it with bits=8.",
        ),
        (
            {"a_qparams": grid(scale=[[1.0], [1.0]])},
            SettingError,
            "Only b may have several scales, but a has 2; quantize it with PerTensor().",
        ),
        (
            {"out_qparams": grid(scale=[[1.0, 1.0]])},
            SettingError,
            "Only b may have several scales, but the output has 2; quantize it with PerTensor().",
        ),
        (
            {"b_qparams": grid("s8", scale=[[1.0], [1.0], [1.0]])},
            SettingError,
            "The scales of b have shape (3, 1), but one scale is needed, or one for each output channel in "
            "shape (1, 2); quantize it with PerChannel(1).",
        ),
        (
            {"bias": np.zeros(3, np.int32)},
            DataError,
            "The bias has shape (3,) and type int32, but expected are 2 integers, one for each output "
            "channel: np.rint(bias / (scale_a * scale_b)).astype(np.int32).",
        ),
        (
            {"bias": np.zeros(2, np.float32)},
            DataError,
            "The bias has shape (2,) and type float32, but expected are 2 integers, one for each output "
            "channel: np.rint(bias / (scale_a * scale_b)).astype(np.int32).",
        ),
    ],
)
def test_what_does_not_fit_is_refused(arguments, error_type, message):
    fitting = {
        "a": np.ones((2, 3), np.uint8),
        "b": np.ones((3, 2), np.int8),
        "a_qparams": grid(),
        "b_qparams": grid("s8"),
        "out_qparams": grid(),
    }
    assert integer_matmul(**fitting).shape == (2, 2)
    with pytest.raises(error_type) as error:
        integer_matmul(**{**fitting, **arguments})
    assert str(error.value) == message


def test_the_reference_needs_no_torch():
    program = (
        "import sys\n"
        "from course_lib.quantization import integer, integer_conv, casting, codebook, huffman\n"
        "sys.exit('torch' in sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
