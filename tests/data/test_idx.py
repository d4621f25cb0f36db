import gzip
import struct
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from course_lib.data.idx import read_idx
from course_lib.data.torchvision_import import import_torchvision
from course_lib.errors import DataError


def as_idx(array: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.tobytes()


def read_bytes(content: bytes) -> np.ndarray:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file.gz"
        path.write_bytes(gzip.compress(content, compresslevel=1))
        return read_idx(path)


def test_a_file_written_byte_by_byte() -> None:
    header = b"\x00\x00\x08\x02" + b"\x00\x00\x00\x02" + b"\x00\x00\x00\x03"
    array = read_bytes(header + bytes([1, 2, 3, 4, 5, 255]))
    assert array.dtype == np.uint8
    assert array.tolist() == [[1, 2, 3], [4, 5, 255]]


@given(hnp.arrays(np.uint8, hnp.array_shapes(max_dims=4, max_side=4)))
def test_every_array_comes_back(array: np.ndarray) -> None:
    np.testing.assert_array_equal(read_bytes(as_idx(array)), array)


@given(st.sampled_from([b"", b"\x00\x00\x08"]), st.binary(max_size=40))
def test_bytes_are_read_only_where_they_are_what_would_be_written(start: bytes, rest: bytes) -> None:
    try:
        array = read_bytes(start + rest)
    except DataError:
        return
    assert as_idx(array) == start + rest


@pytest.mark.slow
def test_torchvision_reads_the_same(tmp_path: Path) -> None:
    import_torchvision()
    from torchvision.datasets.mnist import read_sn3_pascalvincent_tensor

    array = np.random.default_rng(0).integers(0, 256, (3, 5, 4), dtype=np.uint8)
    (tmp_path / "raw").write_bytes(as_idx(array))
    theirs = read_sn3_pascalvincent_tensor(str(tmp_path / "raw")).numpy()
    np.testing.assert_array_equal(read_bytes(as_idx(array)), theirs)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"file\.gz is not an IDX file of bytes; replace it with a fresh copy\.$"),
        (b"\x00\x00\x0d\x01\x00\x00\x00\x01\x00\x00\x00\x00", "is not an IDX file of bytes"),
        (b"\x00\x00\x08\x00a", "is not an IDX file of bytes"),
        (b"\x00\x00\x08\x03\x00\x00", "is not an IDX file of bytes"),
        (b"\x00\x00\x08\x46" + bytes(280), "is not an IDX file of bytes"),
        (b"\x00\x00\x08\x01" + bytes(4), r"file\.gz holds no values; replace it with a fresh copy\.$"),
        (as_idx(np.ones((2, 3), np.uint8))[:-1], "holds 5 values where its header promises 2×3; replace it"),
        (as_idx(np.ones((2, 3), np.uint8)) + b"a", "holds 7 values where its header promises 2×3; replace"),
        (
            b"\x00\x00\x08\x04" + b"\x00\x01\x00\x00" * 4 + b"a",
            "holds 1 values where .* promises 65536×65536×",
        ),
    ],
)
def test_wrong_content_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_bytes(content)


def test_a_missing_cut_or_changed_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.gz does not exist; expected a gzipped IDX file there\.$"):
        read_idx(tmp_path / "gone.gz")
    whole = gzip.compress(as_idx(np.random.default_rng(0).integers(0, 256, (9, 9), dtype=np.uint8)))
    for damaged in (b"plain text", whole[:-20], whole[:30] + bytes([whole[30] ^ 255]) + whole[31:]):
        (tmp_path / "file.gz").write_bytes(damaged)
        with pytest.raises(DataError, match=r"file\.gz is damaged \(.+\); replace it with a fresh copy\.$"):
            read_idx(tmp_path / "file.gz")
