import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.errors import DataError, SettingError
from course_lib.quantization.huffman import (
    HuffmanStream,
    canonical_words,
    code_lengths,
    entropy_bits,
    huffman_decode,
    huffman_encode,
)

frequency_lists = st.lists(st.integers(0, 1000), min_size=1, max_size=40).map(np.asarray)
symbol_lists = st.lists(st.integers(0, 19), max_size=200).map(lambda symbols: np.asarray(symbols, np.int32))


def words_as_text(stream):
    """Return symbol → its word as a string of 0 and 1."""
    words = canonical_words(stream.lengths)
    return {
        symbol: format(words[symbol], f"0{length}b")
        for symbol, length in enumerate(stream.lengths.tolist())
        if length
    }


def best_cost_of_all_prefix_codes(frequencies):
    """Return the smallest total of bits over all lengths that Kraft's inequality allows, by trying them."""
    longest = len(frequencies) - 1
    return min(
        sum(f * length for f, length in zip(frequencies, lengths, strict=True))
        for lengths in itertools.product(range(1, longest + 1), repeat=len(frequencies))
        if sum(2.0**-length for length in lengths) <= 1
    )


# Worked by hand


def test_the_worked_example():
    assert code_lengths(np.asarray([5, 2, 1, 0])).tolist() == [1, 2, 2, 0]
    stream = huffman_encode(np.asarray([0, 1, 2, 0]), 4)
    assert (stream.payload, stream.lengths.tolist(), stream.count) == (b"\x58", [1, 2, 2, 0], 4)
    assert stream.size_bytes == 1 + 4
    assert huffman_decode(stream).tolist() == [0, 1, 2, 0]
    assert len(huffman_encode(np.repeat([0, 1, 2], [5, 2, 1]), 3).payload) == 2  # 11 bits


def test_lengths_of_powers_of_two_equal_the_information_of_each_symbol():
    assert code_lengths(np.asarray([8, 4, 2, 1, 1])).tolist() == [1, 2, 3, 4, 4]
    assert entropy_bits(np.asarray([8, 4, 2, 1, 1])) == 1.875
    assert code_lengths(np.asarray([3, 3, 3, 3])).tolist() == [2, 2, 2, 2]


def test_a_symbol_alone_takes_one_bit_and_no_symbol_takes_none():
    alone = huffman_encode(np.full(9, 2), 4)
    assert (alone.lengths.tolist(), len(alone.payload)) == ([0, 0, 1, 0], 2)
    assert huffman_decode(alone).tolist() == [2] * 9
    nothing = huffman_encode(np.zeros(0, np.int32), 4)
    assert (nothing.payload, huffman_decode(nothing).tolist()) == (b"", [])
    assert entropy_bits(np.asarray([0, 9, 0])) == entropy_bits(np.zeros(3)) == 0


# Properties


@given(symbol_lists)
def test_decoding_gives_the_symbols_back(symbols):
    stream = huffman_encode(symbols, 20)
    assert huffman_decode(stream).tolist() == symbols.tolist()
    bits = stream.lengths[symbols].sum(dtype=int)
    assert len(stream.payload) == (bits + 7) // 8


@given(frequency_lists)
def test_the_mean_length_is_less_than_a_bit_above_the_entropy(frequencies):
    if np.count_nonzero(frequencies) < 2:
        return
    mean = (code_lengths(frequencies) * frequencies).sum() / frequencies.sum()
    entropy = entropy_bits(frequencies)
    assert entropy - 1e-9 <= mean < entropy + 1


@given(frequency_lists)
def test_the_words_fill_the_code_space_and_rarer_ones_are_not_shorter(frequencies):
    lengths = code_lengths(frequencies)
    used = lengths[frequencies > 0].astype(float)
    if used.size >= 2:
        assert (2.0**-used).sum() == 1  # Kraft's inequality holds with equality
    by_frequency = lengths[np.lexsort((lengths, -frequencies))][: used.size]
    assert (np.diff(by_frequency.astype(int)) >= 0).all()


# Independent oracles


@given(st.lists(st.integers(1, 50), min_size=2, max_size=5))
def test_no_prefix_code_is_shorter(frequencies):
    cost = int((code_lengths(np.asarray(frequencies)) * frequencies).sum())
    assert cost == best_cost_of_all_prefix_codes(frequencies)


@given(symbol_lists)
def test_the_stream_is_the_words_one_after_the_other(symbols):
    stream = huffman_encode(symbols, 20)
    words = words_as_text(stream)
    text = "".join(words[symbol] for symbol in symbols.tolist())
    as_bytes = bytes(int(text[i : i + 8].ljust(8, "0"), 2) for i in range(0, len(text), 8))
    assert stream.payload == as_bytes
    for one, other in itertools.permutations(words.values(), 2):
        assert not other.startswith(one)


def test_canonical_words_are_those_of_deflate():
    # RFC 1951, section 3.2.2: lengths (3, 3, 3, 3, 3, 2, 4, 4) of the symbols A to H
    words = canonical_words(np.asarray([3, 3, 3, 3, 3, 2, 4, 4], np.uint8))
    assert words.tolist() == [0b010, 0b011, 0b100, 0b101, 0b110, 0b00, 0b1110, 0b1111]


def test_very_uneven_frequencies_make_long_words():
    fibonacci = [1, 1]
    while len(fibonacci) < 24:
        fibonacci.append(fibonacci[-1] + fibonacci[-2])
    symbols = np.repeat(np.arange(24), fibonacci)
    symbols = np.random.default_rng(0).permutation(symbols)
    stream = huffman_encode(symbols, 24)
    assert stream.lengths.max() == 23
    assert np.array_equal(huffman_decode(stream), symbols)
    assert Counter(symbols.tolist())[23] == fibonacci[-1]


# Errors


@pytest.mark.parametrize(
    ("symbols", "alphabet", "described"),
    [
        (np.asarray([0, 4]), 4, "int64 from 0 to 4"),
        (np.asarray([-1, 3]), 4, "int64 from -1 to 3"),
        (np.asarray([0.0, 1.0]), 4, "float64 from 0.0 to 1.0"),
        (np.asarray([1]), 2**17, "int64 from 1 to 1"),
    ],
)
def test_symbols_outside_the_alphabet_are_refused(symbols, alphabet, described):
    with pytest.raises(SettingError) as error:
        huffman_encode(symbols, alphabet)
    assert str(error.value) == (
        f"Symbols of type {described} do not fit an alphabet of {alphabet}; expected are integers from 0 to "
        "alphabet − 1, and an alphabet of at most 65536."
    )


def test_a_stream_cut_short_is_refused():
    whole = huffman_encode(np.arange(20), 20)
    for payload in (whole.payload[:-1], whole.payload[:3], b""):
        with pytest.raises(DataError) as error:
            huffman_decode(HuffmanStream(payload, whole.lengths, whole.count))
        assert str(error.value) == (
            f"The {len(payload)} bytes that came end before the last of 20 symbols; read the stream again."
        )
