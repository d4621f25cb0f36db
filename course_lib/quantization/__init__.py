"""Quantization: real numbers on integer grids, the error that costs, and the bytes that it saves."""

from course_lib.quantization.affine import (
    QParams,
    choose_qparams,
    dequantize,
    fake_quantize,
    integer_range,
    quantize,
)
from course_lib.quantization.encoding import EncodedTensor, decode, encode, encoded_sizes
from course_lib.quantization.error import ideal_sqnr_db, max_abs_error, sqnr_db
from course_lib.quantization.granularity import Granularity, PerChannel, PerTensor
from course_lib.quantization.packing import pack_bits, unpack_bits

__all__ = [
    "EncodedTensor",
    "Granularity",
    "PerChannel",
    "PerTensor",
    "QParams",
    "choose_qparams",
    "decode",
    "dequantize",
    "encode",
    "encoded_sizes",
    "fake_quantize",
    "ideal_sqnr_db",
    "integer_range",
    "max_abs_error",
    "pack_bits",
    "quantize",
    "sqnr_db",
    "unpack_bits",
]
