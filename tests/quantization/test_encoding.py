import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from course_lib.errors import SettingError, UnknownNameError
from course_lib.quantization import (
    PerChannel,
    PerTensor,
    QParams,
    choose_qparams,
    decode,
    encode,
    encoded_sizes,
    quantize,
)

ENCODINGS = ["dense", "bitmap", "index"]
NIBBLES = QParams(np.ones(1, np.float32), np.zeros(1, np.int32), 0, 15)


@st.composite
def sparse_values(draw):
    """A float32 tensor with anything from no to nearly only zeros."""
    shape = draw(array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=9))
    values = arrays(np.float32, shape, elements=st.floats(width=32, allow_nan=False))
    seed, density = draw(st.integers(0, 99)), draw(st.sampled_from([0.0, 0.02, 0.1, 0.5, 1.0]))
    return np.where(np.random.default_rng(seed).random(shape) < density, draw(values), np.float32(0))


@st.composite
def sparse_codes(draw):
    bits, symmetric = draw(st.integers(2, 16)), draw(st.booleans())
    granularity = draw(st.sampled_from([PerTensor(), PerChannel(0)]))
    density = draw(st.sampled_from([0.0, 0.01, 0.1, 0.5, 1.0]))
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    x = rng.normal(0.5, 1, (draw(st.integers(1, 5)), draw(st.integers(1, 300))))
    x *= rng.random(x.shape) < density
    qparams = choose_qparams(x, bits, symmetric=symmetric, granularity=granularity)
    return quantize(x, qparams), qparams


# Worked by hand: codes 5 and 7 at positions 2 and 4 of 8, 4 bits


@pytest.mark.parametrize(
    ("encoding", "payload"),
    [
        ("dense", b"\x00\x05\x07\x00"),
        ("bitmap", b"\x14\x75"),  # bits 2 and 4; then both values
        ("index", b"\x06\x75"),  # gaps 2 and 1 in 2 bits each: 0b0110; then both values
    ],
)
def test_payloads_by_hand(encoding, payload):
    codes = np.asarray([0, 0, 5, 0, 7, 0, 0, 0])
    encoded = encode(codes, NIBBLES, encoding)
    assert encoded.payload == payload
    assert encoded.gap_bits == (2 if encoding == "index" else 0)
    assert decode(encoded).tolist() == codes.tolist()


def test_a_long_gap_is_bridged_by_a_stored_zero():
    # One gap of 20 zeros and 17 of 1, values of 8 bits. With gaps of 5 bits no bridge: 12 + 18 bytes. With
    # 3 bits 20 // 8 = 2 bridges: 8 + 20 bytes. 4 bits take 10 + 19, 2 bits 6 + 23, 1 bit 4 + 28.
    qparams = QParams(np.ones(1, np.float32), np.zeros(1, np.int32), 0, 255)
    codes = np.asarray([0] * 20 + [9] + [0, 9] * 17)
    encoded = encode(codes, qparams, "index")
    assert (encoded.gap_bits, encoded.stored, len(encoded.payload)) == (3, 20, 8 + 20)
    # two full gaps of 7, then 20 - 2 * 8 = 4, then ones: lowest bits first 111 111 001 100 100 100 ...
    assert encoded.payload[:2] == bytes([0b00_111_111, 0b1_001_001_1])
    assert encoded.payload[8:12] == bytes([0, 0, 9, 9])
    assert decode(encoded).tolist() == codes.tolist()


def test_zeros_are_the_codes_of_the_zero_point_of_their_channel():
    zero_point = np.asarray([[3], [12]], np.int32)
    qparams = QParams(np.ones((2, 1), np.float32), zero_point, 0, 15)
    codes = np.asarray([[3] * 9 + [12], [12] * 9 + [3]])
    encoded = encode(codes, qparams)
    assert encoded.encoding == "index"
    assert encoded.stored == 2
    assert decode(encoded).tolist() == codes.tolist()


def test_negative_codes_are_shifted_by_quant_min():
    qparams = QParams(np.ones(1, np.float32), np.zeros(1, np.int32), -7, 7)
    assert encode(np.asarray([-7, 7]), qparams).payload == b"\xe0"


# Sizes


def test_size_counts_scales_and_zero_points():
    x = np.random.default_rng(0).normal(size=(6, 11)).astype(np.float32)
    for bits, symmetric, granularity, expected in [
        (8, True, PerTensor(), 66 + 4),
        (8, False, PerTensor(), 66 + 4 + 1),
        (8, True, PerChannel(0), 66 + 6 * 4),
        (8, False, PerChannel(0), 66 + 6 * 4 + 6),
        (4, False, PerChannel(0), 33 + 6 * 4 + 3),
        (3, False, PerChannel(1), 25 + 11 * 4 + 5),  # 66 * 3 = 198 bits; 11 * 3 = 33 bits
    ]:
        qparams = choose_qparams(x, bits, symmetric=symmetric, granularity=granularity)
        assert encode(quantize(x, qparams), qparams, "dense").size_bytes == expected
    assert encode(x).size_bytes == 66 * 4


@given(sparse_values())
def test_size_formulas_count_the_bytes_of_floats(values):
    for encoding, size in encoded_sizes(values).items():
        assert len(encode(values, encoding=encoding).payload) == size


@given(sparse_codes())
def test_size_formulas_count_the_bytes_of_codes(case):
    codes, qparams = case
    sizes = encoded_sizes(codes, qparams)
    assert list(sizes) == ENCODINGS
    for encoding, size in sizes.items():
        assert len(encode(codes, qparams, encoding).payload) == size


@given(sparse_codes())
def test_the_cheapest_encoding_is_taken(case):
    codes, qparams = case
    lengths = [len(encode(codes, qparams, encoding).payload) for encoding in ENCODINGS]
    cheapest = encode(codes, qparams)
    assert len(cheapest.payload) == min(lengths)
    assert cheapest.encoding == ENCODINGS[lengths.index(min(lengths))]


@given(sparse_codes())
def test_no_other_gap_width_is_cheaper(case):
    codes, qparams = case
    positions = np.flatnonzero(codes != np.broadcast_to(qparams.zero_point, codes.shape))
    gaps = np.diff(positions, prepend=-1) - 1
    for gap_bits in range(1, 18):
        stored = sum(1 + int(gap) // 2**gap_bits for gap in gaps)
        size = -(-stored * gap_bits // 8) + -(-stored * qparams.bits // 8)
        assert encoded_sizes(codes, qparams)["index"] <= size


@pytest.mark.parametrize(("sparsity", "expected"), [(0.0, "dense"), (0.5, "bitmap"), (0.95, "index")])
def test_each_encoding_has_its_range_of_sparsity(sparsity, expected):
    rng = np.random.default_rng(0)
    codes = rng.integers(1, 16, 5000) * (rng.random(5000) >= sparsity)
    assert encode(codes, NIBBLES).encoding == expected


# Round trips


@given(sparse_values())
def test_floats_come_back_exactly(values):
    for encoding in ENCODINGS:
        decoded = decode(encode(values, encoding=encoding))
        assert decoded.dtype == np.float32
        assert decoded.shape == values.shape
        assert (decoded == values).all()


@given(sparse_codes())
def test_codes_come_back_exactly(case):
    codes, qparams = case
    for encoding in ENCODINGS:
        decoded = decode(encode(codes, qparams, encoding))
        assert decoded.dtype == np.int32
        assert (decoded == codes).all()


def test_torch_tensors_are_stored_like_numpy_arrays():
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(4, 9)).astype(np.float32))
    qparams = choose_qparams(x, 5, symmetric=False, granularity=PerChannel(0))
    encoded = encode(quantize(x, qparams), qparams)
    assert (decode(encoded) == quantize(x, qparams).numpy()).all()
    assert (decode(encode(x)) == x.numpy()).all()


def test_odd_shapes():
    assert decode(encode(np.float32(3.5))) == np.float32(3.5)
    assert decode(encode(np.float32(3.5))).shape == ()
    assert encode(np.zeros((0, 4), np.float32)).size_bytes == 0
    assert decode(encode(np.zeros((0, 4), np.float32))).shape == (0, 4)


def test_a_tensor_of_zeros_has_an_empty_payload():
    encoded = encode(np.zeros((30, 30), np.float32))
    assert (encoded.encoding, encoded.payload) == ("index", b"")
    assert (decode(encoded) == np.zeros((30, 30))).all()


def test_a_negative_zero_counts_as_zero():
    assert encode(np.full(100, -0.0, np.float32)).size_bytes == 0


# Errors


def test_floats_with_qparams_are_refused():
    with pytest.raises(SettingError) as error:
        encode(np.ones(3, np.float32), NIBBLES)
    assert str(error.value) == (
        "With qparams, encode takes integer codes, but these values are float32; call encode(quantize(x, "
        "qparams), qparams)."
    )


@pytest.mark.parametrize("codes", [[0, 16], [-1, 15]])
def test_codes_of_another_grid_are_refused(codes):
    with pytest.raises(SettingError) as error:
        encode(np.asarray(codes), NIBBLES)
    assert str(error.value) == (
        f"These codes go from {codes[0]} to {codes[1]}, but their grid has 0 to 15; pass the qparams that "
        "they were quantized with."
    )


def test_an_unknown_encoding_lists_the_known_ones():
    with pytest.raises(UnknownNameError) as error:
        encode(np.ones(3, np.float32), encoding="bitmaps")
    assert str(error.value) == (
        "There is no encoding called 'bitmaps'; the known ones are bitmap, dense, index. "
        "Did you mean 'bitmap'?"
    )
