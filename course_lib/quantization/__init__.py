"""Quantization: real numbers on integer grids, the error that costs, and the bytes that it saves."""

from course_lib.quantization.affine import (
    choose_qparams,
    choose_qparams_from_range,
    dequantize,
    fake_quantize,
    quantize,
)
from course_lib.quantization.calibration import OBSERVERS, Observer
from course_lib.quantization.casting import FloatFormat, cast
from course_lib.quantization.clipping import choose_clipped_qparams
from course_lib.quantization.codebook import Codebook, build_codebook, codebook_size_bytes, from_codebook
from course_lib.quantization.encoding import EncodedTensor, decode, encode, encoded_sizes
from course_lib.quantization.error import ideal_sqnr_db, max_abs_error, sqnr_db
from course_lib.quantization.granularity import Granularity, PerChannel, PerGroup, PerTensor
from course_lib.quantization.grid import QParams, integer_range
from course_lib.quantization.huffman import HuffmanStream, huffman_decode, huffman_encode
from course_lib.quantization.integer import integer_matmul
from course_lib.quantization.integer_conv import ConvGeometry, integer_conv2d
from course_lib.quantization.outliers import sparse_bytes, split_channels, split_outliers
from course_lib.quantization.packing import pack_bits, unpack_bits

__all__ = [
    "OBSERVERS",
    "Codebook",
    "ConvGeometry",
    "EncodedTensor",
    "FloatFormat",
    "Granularity",
    "HuffmanStream",
    "Observer",
    "PerChannel",
    "PerGroup",
    "PerTensor",
    "QParams",
    "build_codebook",
    "cast",
    "choose_clipped_qparams",
    "choose_qparams",
    "choose_qparams_from_range",
    "codebook_size_bytes",
    "decode",
    "dequantize",
    "encode",
    "encoded_sizes",
    "fake_quantize",
    "from_codebook",
    "huffman_decode",
    "huffman_encode",
    "ideal_sqnr_db",
    "integer_conv2d",
    "integer_matmul",
    "integer_range",
    "max_abs_error",
    "pack_bits",
    "quantize",
    "sparse_bytes",
    "split_channels",
    "split_outliers",
    "sqnr_db",
    "unpack_bits",
]
