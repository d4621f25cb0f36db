"""Integers of any bit width side by side in bytes, with no bit unused between them.

Value i takes the bits i·b to i·b + b − 1 of the stream, its lowest bit first; bit k of the stream is bit
k mod 8 of byte k // 8. So two 4-bit codes share a byte, the first in its low half (as in ONNX's INT4), and 8-
and 16-bit codes are little-endian integers. Only the last byte may hold unused bits, which are zero.

Worked example, 3 bits, codes [1, 2, 7]: the stream 100 010 111 (lowest bits first) fills byte 0 with
1000 1011, which is 0b11010001 = 0xD1 written highest bit first, and byte 1 with the last 1, 0x01.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from course_lib.errors import DataError, SettingError


def packed_bytes(bits: int, count: int) -> int:
    """Return how many bytes ``count`` integers of ``bits`` bits take: ⌈count · bits / 8⌉."""
    return (count * bits + 7) // 8


def pack_bits(codes: npt.NDArray[Any], bits: int) -> bytes:
    """Pack unsigned integers of ``bits`` bits each, in row-major order.

    Parameters
    ----------
    codes
        Integers from 0 to 2^bits − 1, any shape.
    bits
        Width of each integer, 1 to 32.

    Raises
    ------
    SettingError
        If ``bits`` is out of range or a code does not fit.
    """
    container = _container(bits)
    codes = codes.reshape(-1)
    if codes.size and not 0 <= codes.min() <= codes.max() < 2**bits:
        raise SettingError(
            f"These codes go from {codes.min()} to {codes.max()}, but {bits} bits hold 0 to {2**bits - 1}; "
            "subtract quant_min first, or pack with more bits."
        )
    codes = codes.astype(container)
    if bits == 8 * container.itemsize:
        return codes.tobytes()
    as_bytes = codes.view(np.uint8).reshape(codes.size, container.itemsize)
    as_bits = np.unpackbits(as_bytes, axis=1, count=bits, bitorder="little")
    return np.packbits(as_bits, bitorder="little").tobytes()


def unpack_bits(data: bytes, bits: int, count: int) -> npt.NDArray[Any]:
    """Return the first ``count`` integers that `pack_bits` put into ``data``, shape (count,).

    Raises
    ------
    SettingError
        If ``bits`` is not 1 to 32.
    DataError
        If ``data`` is too short.
    """
    container = _container(bits)
    if len(data) < packed_bytes(bits, count):
        raise DataError(
            f"{count} integers of {bits} bits take {packed_bytes(bits, count)} bytes, but only {len(data)} "
            "came; read the data again, or ask for fewer."
        )
    if bits == 8 * container.itemsize:
        return np.frombuffer(data, container, count).copy()
    as_bits = np.unpackbits(np.frombuffer(data, np.uint8), count=count * bits, bitorder="little")
    as_bytes = np.zeros((count, container.itemsize), np.uint8)
    used = np.packbits(as_bits.reshape(count, bits), axis=1, bitorder="little")
    as_bytes[:, : used.shape[1]] = used
    return as_bytes.view(container).reshape(count)


def _container(bits: int) -> np.dtype[Any]:
    """Return the smallest little-endian unsigned type that holds ``bits`` bits."""
    if bits not in range(1, 33):
        raise SettingError(f"Integers of {bits!r} bits cannot be packed; choose bits from 1 to 32.")
    return np.dtype("<u1" if bits <= 8 else "<u2" if bits <= 16 else "<u4")
