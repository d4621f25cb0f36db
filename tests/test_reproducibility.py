import hashlib
import tempfile
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from course_lib.reproducibility import (
    seeded_torch,
    sha256_of,
    torch_generator,
    write_atomically,
    write_text_atomically,
)


def test_sha256_of_a_known_text(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    # The example of the standard, FIPS 180-2.
    assert sha256_of(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@given(st.binary(max_size=2000))
def test_sha256_agrees_with_hashing_in_memory(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        path.write_bytes(content)
        assert sha256_of(path) == hashlib.sha256(content).hexdigest()


def test_a_generator_repeats_and_leaves_the_global_state() -> None:
    before = torch.random.get_rng_state()
    first, second = (torch.rand(5, generator=torch_generator(3)) for _ in range(2))
    other = torch.rand(5, generator=torch_generator(4))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_seeded_block_repeats_and_puts_the_state_back() -> None:
    before = torch.random.get_rng_state()
    drawn = []
    for _ in range(2):
        with seeded_torch(3):
            drawn.append(torch.rand(5))
    assert torch.equal(*drawn)
    assert torch.equal(torch.random.get_rng_state(), before)
    with pytest.raises(IndexError, match="Dimension out of range"), seeded_torch(3):
        torch.rand(1).sum(dim=7)
    assert torch.equal(torch.random.get_rng_state(), before)


@given(st.text(st.characters(codec="utf-8", exclude_characters="\r")))
def test_text_comes_back(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "new" / "folder" / "file.txt"
        write_text_atomically(path, text)
        assert path.read_text(encoding="utf-8") == text
        assert list(path.parent.iterdir()) == [path]


def test_readers_see_the_old_file_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    seen = []

    def write(target: Path) -> None:
        target.write_text("half")
        seen.append(path.read_text())
        target.write_text("whole")
        seen.append(path.read_text())

    write_atomically(path, write)
    assert seen == ["old", "old"]
    assert path.read_text() == "whole"
    assert path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_an_interrupted_write_leaves_the_old_file_and_no_other(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def write(target: Path) -> None:
        target.write_text("half")
        raise error

    with pytest.raises(type(error)):
        write_atomically(path, write)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
