"""Huffman coding: frequent symbols get short codes (Huffman 1952; Han et al. 2016, section 4).

The two rarest symbols are joined into one node, as frequent as both together, and so on until one node is
left; a symbol's word has one bit for each time that it was joined. No word is the beginning of another, so a
stream needs no separators. With the entropy H = −Σ p log2 p, the mean length L of the words, in bits, is
H ≤ L < H + 1, and no other code with one word a symbol is shorter.

The words are *canonical*: by length, then by symbol, each is the one before plus 1, with zeros appended where
the length grows. So the table holds lengths only, one byte for each symbol of the alphabet.

Worked example, frequencies [5, 2, 1, 0]: symbols 1 and 2 are joined (3), then 0 and the pair (8). Lengths are
[1, 2, 2, 0], words 0, 10 and 11; eight such symbols take 5 + 4 + 2 = 11 bits instead of 16. The symbols
[0, 1, 2, 0] become 0 10 11 0, padded to the byte 01011000 = 0x58.

Left out: lengths limited to 15 bits, as Deflate has them, and arithmetic coding, which comes closer to H.
"""

import heapq
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from course_lib.errors import DataError, SettingError

NDArray: TypeAlias = npt.NDArray[Any]

MAX_ALPHABET = 2**16


@dataclass(frozen=True, eq=False)
class HuffmanStream:
    """A sequence of symbols, encoded.

    Parameters
    ----------
    payload
        The code words one after the other, first bit highest, padded with zeros to whole bytes.
    lengths
        Bits of each symbol's word, uint8; 0 for symbols that do not occur.
    count
        Number of symbols.
    """

    payload: bytes
    lengths: npt.NDArray[np.uint8]
    count: int

    @property
    def size_bytes(self) -> int:
        """Payload and table: one byte for each symbol of the alphabet. The count is not included."""
        return len(self.payload) + self.lengths.size


def code_lengths(frequencies: NDArray) -> npt.NDArray[np.uint8]:
    """Return the length in bits of each symbol's code word, 0 for those of frequency 0.

    A symbol that is alone gets 1 bit, although none would do.

    Parameters
    ----------
    frequencies
        How often each symbol occurs, whole numbers of at least 0, shape (alphabet,).
    """
    lengths = np.zeros(frequencies.size, np.uint8)
    # The second entry breaks ties between equal frequencies, so that lists are never compared.
    nodes = [(int(frequencies[symbol]), int(symbol), [int(symbol)]) for symbol in np.flatnonzero(frequencies)]
    if len(nodes) == 1:
        lengths[nodes[0][1]] = 1
    heapq.heapify(nodes)
    while len(nodes) > 1:
        first_frequency, tie, first = heapq.heappop(nodes)
        second_frequency, _, second = heapq.heappop(nodes)
        joined = first + second
        lengths[joined] += 1
        heapq.heappush(nodes, (first_frequency + second_frequency, tie, joined))
    return lengths


def entropy_bits(frequencies: NDArray) -> float:
    """Return H = −Σ p log2 p, in bits a symbol, of symbols that occur so often; 0.0 when none does."""
    occurring = frequencies[frequencies > 0].astype(np.float64)
    p = occurring / occurring.sum()
    return float(np.sum(p * -np.log2(p)))


def canonical_words(lengths: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Return the code word of each symbol as a number of that many bits, 0 for symbols without one."""
    words = np.zeros(lengths.size, np.int64)
    word = previous = 0
    for symbol in canonical_order(lengths):
        word <<= int(lengths[symbol]) - previous
        words[symbol], previous = word, int(lengths[symbol])
        word += 1
    return words


def canonical_order(lengths: npt.NDArray[np.uint8]) -> npt.NDArray[np.intp]:
    """Return the symbols that have a word, short words first, then by symbol."""
    order = np.argsort(lengths, kind="stable")
    return order[lengths[order] > 0]


def huffman_encode(symbols: NDArray, alphabet: int) -> HuffmanStream:
    """Encode symbols, in row-major order, with the code that is shortest for them.

    Parameters
    ----------
    symbols
        Integers from 0 to alphabet − 1, any shape.
    alphabet
        Number of symbols that there could be, at most 65536.

    Raises
    ------
    SettingError
        If a symbol is not of the alphabet, or the alphabet too large.
    """
    flat = symbols.reshape(-1)
    low, high = (flat.min(), flat.max()) if flat.size else (0, 0)
    if flat.dtype.kind not in "iu" or not 0 <= low <= high < alphabet <= MAX_ALPHABET:
        raise SettingError(
            f"Symbols of type {flat.dtype} from {low} to {high} do not fit an alphabet of {alphabet}; "
            f"expected are integers from 0 to alphabet − 1, and an alphabet of at most {MAX_ALPHABET}."
        )
    flat = flat.astype(np.int64)
    lengths = code_lengths(np.bincount(flat, minlength=alphabet))
    words, word_lengths = canonical_words(lengths)[flat], lengths[flat].astype(np.int64)
    ends = np.cumsum(word_lengths)
    # Each bit of the stream is the bit of its word that lies that far from the word's end.
    distance = np.repeat(ends, word_lengths) - np.arange(word_lengths.sum()) - 1
    stream = (np.repeat(words, word_lengths) >> distance) & 1
    return HuffmanStream(np.packbits(stream.astype(np.uint8)).tobytes(), lengths, flat.size)


def huffman_decode(stream: HuffmanStream) -> npt.NDArray[np.int32]:
    """Return the symbols, shape (count,).

    Raises
    ------
    DataError
        If the payload ends before ``count`` symbols are read.
    """
    lengths, order = stream.lengths, canonical_order(stream.lengths)
    bits = np.unpackbits(np.frombuffer(stream.payload, np.uint8))
    # The next bits from each position on, as many as the longest word has, read as a number: with words
    # filled up to that width, the one that starts there is the last that is not larger.
    longest = int(lengths.max(initial=0))
    padded = np.concatenate([bits, np.zeros(longest, np.uint8)]).astype(np.int64)
    ahead = np.zeros(bits.size, np.int64)
    for shift in range(longest):
        ahead = ahead << 1 | padded[shift : shift + bits.size]
    word_lengths = lengths[order].astype(np.int64)
    filled = canonical_words(lengths)[order] << (longest - word_lengths)
    which = np.searchsorted(filled, ahead, side="right") - 1

    steps: list[int] = word_lengths[which].tolist()
    starts: list[int] = []
    position = 0
    while len(starts) < stream.count and position < bits.size:
        starts.append(position)
        position += steps[position]
    if len(starts) < stream.count or position > bits.size:
        raise DataError(
            f"The {len(stream.payload)} bytes that came end before the last of {stream.count} symbols; "
            "read the stream again."
        )
    symbols: npt.NDArray[np.int32] = order[which[starts]].astype(np.int32)
    return symbols
