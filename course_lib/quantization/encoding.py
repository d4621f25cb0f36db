"""What a compressed tensor takes when it is stored: three ways to write down a partly zero tensor.

For n positions, k of them not zero, and values of b bits:

- ``dense``: every value.                                          n·b bits
- ``bitmap``: one bit a position, then the non-zero values.        n + k·b bits
- ``index``: for each non-zero value the number of zeros since the one before, in g bits, then the values.
  A longer gap is bridged by storing a zero on the way (Han et al. 2016, fig. 2). (k + bridges)·(g + b) bits

Each part is rounded up to whole bytes. Zeros after the last value are implied by the shape, which is kept
beside the payload like the tensor's name and is not counted. At 8 bits the bitmap pays from 12.5 % zeros on.
Left out: entropy coding, which would shorten the frequent codes (Han et al. 2016, section 4).

Worked example, codes [0, 0, 5, 0, 7, 0, 0, 0] of 4 bits whose zero is 0: dense takes 4 bytes; the bitmap
00101000 and the values 5 and 7 take 2; the index stores gaps [2, 1] in 2 bits each and the same values, 2.
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from course_lib.errors import SettingError
from course_lib.quantization.grid import QParams
from course_lib.quantization.packing import pack_bits, packed_bytes, unpack_bits
from course_lib.registry import look_up

NDArray: TypeAlias = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class EncodedTensor:
    """A tensor as it is stored.

    Parameters
    ----------
    encoding
        How ``payload`` is laid out: "dense", "bitmap" or "index".
    payload
        The packed bytes.
    shape
        Shape of the tensor.
    qparams
        The grid of its codes; None for 32-bit floats.
    stored
        Number of values in the payload, bridging zeros included.
    gap_bits
        Width g of a gap; 0 where the encoding has none.
    """

    encoding: str
    payload: bytes
    shape: tuple[int, ...]
    qparams: QParams[Any] | None
    stored: int
    gap_bits: int

    @property
    def size_bytes(self) -> int:
        """Payload, scales (4 bytes each) and zero points (as wide as codes; none when all are 0)."""
        if self.qparams is None:
            return len(self.payload)
        zero_point = np.asarray(self.qparams.zero_point)
        zero_point_bytes = packed_bytes(self.qparams.bits, zero_point.size) if zero_point.any() else 0
        return len(self.payload) + 4 * zero_point.size + zero_point_bytes


def encode(values: Any, qparams: QParams[Any] | None = None, encoding: str | None = None) -> EncodedTensor:
    """Store a tensor in the encoding that takes the fewest bytes, or in the one asked for.

    Parameters
    ----------
    values
        Integer codes when ``qparams`` is given (zero is then each code equal to the zero point), otherwise
        32-bit floats. A NumPy array, or a torch tensor on the CPU that needs no gradient.
    qparams
        The grid of the codes.
    encoding
        "dense", "bitmap" or "index"; None takes the smallest, and the first of these where sizes are equal.

    Raises
    ------
    SettingError
        If ``values`` are not integers although ``qparams`` is given, or lie outside its range.
    UnknownNameError
        If there is no such encoding.
    """
    codes, nonzero = _unsigned_codes(values, qparams)
    bits = _bits(qparams)
    gaps = _zeros_before(nonzero)
    gap_bits = _best_gap_bits(gaps, bits)
    sizes = _sizes(codes.size, gaps, gap_bits, bits)
    if encoding is None:
        encoding = min(sizes, key=lambda name: sizes[name])
    look_up(sizes, "encoding", encoding)

    if encoding == "index":
        gaps = _bridged(gaps, gap_bits)
        stored, head = codes[_positions(gaps)], pack_bits(gaps, gap_bits)
    elif encoding == "bitmap":
        stored, head = codes[nonzero], pack_bits(nonzero, 1)
    else:
        stored, head = codes, b""
    payload = head + pack_bits(stored, bits)
    gap_bits = gap_bits if encoding == "index" else 0
    return EncodedTensor(encoding, payload, tuple(np.shape(values)), qparams, stored.size, gap_bits)


def decode(encoded: EncodedTensor) -> NDArray:
    """Return exactly what was encoded: codes as int32, or values as float32 (−0.0 may come back as 0.0)."""
    count = int(np.prod(encoded.shape, dtype=int))
    bits = _bits(encoded.qparams)
    head_bits = {"dense": 0, "bitmap": count, "index": encoded.stored * encoded.gap_bits}[encoded.encoding]
    head_bytes = packed_bytes(1, head_bits)
    head, rest = encoded.payload[:head_bytes], encoded.payload[head_bytes:]
    stored = unpack_bits(rest, bits, encoded.stored)

    where: NDArray | slice = slice(None)
    if encoded.encoding == "bitmap":
        where = unpack_bits(head, 1, count).astype(bool)
    elif encoded.encoding == "index":
        where = _positions(unpack_bits(head, encoded.gap_bits, encoded.stored))

    if encoded.qparams is None:
        flat: NDArray = np.zeros(count, np.float32)
        flat[where] = stored.view("<f4")
    else:
        zero_point = np.asarray(encoded.qparams.expanded(encoded.shape).zero_point, np.int32)
        flat = np.broadcast_to(zero_point, encoded.shape).flatten()
        flat[where] = stored.astype(np.int32) + encoded.qparams.quant_min
    return flat.reshape(encoded.shape)


def encoded_sizes(values: Any, qparams: QParams[Any] | None = None) -> dict[str, int]:
    """Return the payload bytes of each encoding, from the formulas above, without packing anything."""
    codes, nonzero = _unsigned_codes(values, qparams)
    bits = _bits(qparams)
    gaps = _zeros_before(nonzero)
    return _sizes(codes.size, gaps, _best_gap_bits(gaps, bits), bits)


def _sizes(count: int, gaps: NDArray, gap_bits: int, bits: int) -> dict[str, int]:
    return {
        "dense": packed_bytes(bits, count),
        "bitmap": packed_bytes(1, count) + packed_bytes(bits, gaps.size),
        "index": _index_bytes(gaps, gap_bits, bits),
    }


def _bits(qparams: QParams[Any] | None) -> int:
    return 32 if qparams is None else qparams.bits


def _unsigned_codes(values: Any, qparams: QParams[Any] | None) -> tuple[NDArray, NDArray]:
    """Return the values as non-negative integers, and which of them are not zero; both of shape (n,)."""
    array = np.asarray(values)
    if qparams is None:
        flat = np.ascontiguousarray(array, "<f4").reshape(-1)
        return flat.view("<u4"), flat != 0
    if array.dtype.kind not in "iu":
        raise SettingError(
            f"With qparams, encode takes integer codes, but these values are {array.dtype}; "
            "call encode(quantize(x, qparams), qparams)."
        )
    lowest, highest = array.min(initial=qparams.quant_max), array.max(initial=qparams.quant_min)
    if lowest < qparams.quant_min or highest > qparams.quant_max:
        raise SettingError(
            f"These codes go from {lowest} to {highest}, but their grid has {qparams.quant_min} to "
            f"{qparams.quant_max}; pass the qparams that they were quantized with."
        )
    nonzero = array != np.asarray(qparams.expanded(array.shape).zero_point)
    return (array.astype(np.int32) - qparams.quant_min).reshape(-1), nonzero.reshape(-1)


def _zeros_before(nonzero: NDArray) -> NDArray:
    """Return for each non-zero position how many zeros lie between it and the one before."""
    return np.diff(np.flatnonzero(nonzero), prepend=-1) - 1


def _positions(gaps: NDArray) -> NDArray:
    """Undo `_zeros_before`: the positions that these gaps lead to."""
    return np.cumsum(gaps.astype(np.int64) + 1) - 1


def _index_bytes(gaps: NDArray, gap_bits: int, bits: int) -> int:
    stored = gaps.size + int((gaps >> gap_bits).sum())
    return packed_bytes(gap_bits, stored) + packed_bytes(bits, stored)


def _best_gap_bits(gaps: NDArray, bits: int) -> int:
    """Return the gap width with the smallest index: wide gaps cost bits each, narrow ones need bridges."""
    widest = max(1, int(gaps.max(initial=0)).bit_length())
    return min(range(1, widest + 1), key=lambda gap_bits: _index_bytes(gaps, gap_bits, bits))


def _bridged(gaps: NDArray, gap_bits: int) -> NDArray:
    """Split each gap of 2^g or more: a full gap of 2^g − 1 and its stored zero cover 2^g positions."""
    bridges = gaps >> gap_bits
    full = 2**gap_bits - 1
    with_bridges = np.full(gaps.size + bridges.sum(), full, gaps.dtype)
    with_bridges[np.cumsum(bridges + 1) - 1] = gaps & full
    return with_bridges
