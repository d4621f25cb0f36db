import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from course_lib.errors import DataError, SettingError
from course_lib.quantization import pack_bits, unpack_bits


@st.composite
def codes_and_bits(draw):
    bits = draw(st.integers(1, 32))
    codes = draw(st.lists(st.integers(0, 2**bits - 1), max_size=40))
    return np.asarray(codes, np.int64), bits


def packed_one_by_one(codes, bits):
    """Write the stream as one large integer: value i is shifted to bit i·b."""
    number = sum(int(code) << (bits * i) for i, code in enumerate(codes))
    return number.to_bytes((len(codes) * bits + 7) // 8, "little")


@pytest.mark.parametrize(
    ("codes", "bits", "expected"),
    [
        ([1, 2, 7], 3, b"\xd1\x01"),
        ([0xA, 0xB, 0xC], 4, b"\xba\x0c"),
        ([3, 0, 1, 2, 1], 2, b"\x93\x01"),
        ([1, 0, 0, 0, 0, 0, 0, 0, 1], 1, b"\x01\x01"),
        ([0x12, 0xFF], 8, b"\x12\xff"),
        ([0x1234, 0x00FF], 16, b"\x34\x12\xff\x00"),
        ([0xABC, 0x123], 12, b"\xbc\x3a\x12"),
        ([0x12345678], 32, b"\x78\x56\x34\x12"),
        ([], 5, b""),
    ],
)
def test_bytes_by_hand(codes, bits, expected):
    assert pack_bits(np.asarray(codes, np.int64), bits) == expected
    assert unpack_bits(expected, bits, len(codes)).tolist() == codes


@given(codes_and_bits())
def test_unpacking_gives_back_the_codes(case):
    codes, bits = case
    assert unpack_bits(pack_bits(codes, bits), bits, codes.size).tolist() == codes.tolist()


@given(codes_and_bits())
def test_the_bytes_are_those_of_one_long_integer(case):
    codes, bits = case
    assert pack_bits(codes, bits) == packed_one_by_one(codes, bits)


def test_onnx_reads_four_bits_packed_this_way():
    codes = np.random.default_rng(0).integers(0, 16, 33)
    tensor = helper.make_tensor("q", TensorProto.UINT4, [33], pack_bits(codes, 4), raw=True)
    assert numpy_helper.to_array(tensor).astype(int).tolist() == codes.tolist()


def test_any_shape_is_packed_row_by_row():
    codes = np.arange(6).reshape(2, 3)
    assert pack_bits(codes, 3) == pack_bits(codes.reshape(-1), 3)
    assert pack_bits(codes.T, 3) == pack_bits(np.asarray([0, 3, 1, 4, 2, 5]), 3)


def test_unpacked_codes_can_be_written_to():
    for bits in (5, 8):
        codes = unpack_bits(b"\x01\x02", bits, 2)
        codes[0] = 3
        assert codes[0] == 3


@pytest.mark.parametrize("codes", [[0, 16], [-1, 3]])
def test_a_code_that_does_not_fit_is_refused(codes):
    with pytest.raises(SettingError) as error:
        pack_bits(np.asarray(codes), 4)
    assert str(error.value) == (
        f"These codes go from {min(codes)} to {max(codes)}, but 4 bits hold 0 to 15; subtract quant_min "
        "first, or pack with more bits."
    )


@pytest.mark.parametrize("bits", [0, 33, -1, 2.5])
def test_a_width_out_of_range_is_refused(bits):
    message = f"Integers of {bits!r} bits cannot be packed; choose bits from 1 to 32."
    for call in (lambda: pack_bits(np.asarray([1]), bits), lambda: unpack_bits(b"\x01", bits, 1)):
        with pytest.raises(SettingError) as error:
            call()
        assert str(error.value) == message


@pytest.mark.parametrize("bits", [3, 8])
def test_too_few_bytes_are_refused(bits):
    with pytest.raises(DataError) as error:
        unpack_bits(b"\x01", bits, 9)
    expected = (9 * bits + 7) // 8
    assert str(error.value) == (
        f"9 integers of {bits} bits take {expected} bytes, but only 1 came; read the data again, or ask for "
        "fewer."
    )
