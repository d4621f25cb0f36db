"""The record of a build: what was written is accepted, each change of a byte, a file or a fact is named."""

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.runtimes.engine_key import FormRecorder, canonical, sha256_of_bytes
from course_lib.runtimes.engine_record import RECORD, find_fault, main_file, write_record
from tests.runtimes.file_compiler import FixedForms

FACTS = {"model": "a" * 64, "options": {"level": "1"}, "inputs": [1, 3]}
FORMS = FormRecorder(FixedForms())


def entry(folder: Path) -> Path:
    """Write two files, one of them in a folder, with their record."""
    (folder / "model.package").mkdir(parents=True)
    (folder / "model.package" / "weights").write_bytes(bytes(range(200)))
    (folder / "notes").write_bytes(b"")
    digest = sha256_of_bytes(FORMS("int8", "tensorrt"))
    write_record(folder, FACTS, {"int8 tensorrt": digest}, folder / "model.package")
    return folder


def fault(folder: Path) -> str | None:
    return find_fault(folder, FACTS, FORMS)


def forge(folder: Path, change: Callable[[dict], object]) -> None:
    """Change the record and write the hash that belongs to the change."""
    record = json.loads((folder / RECORD).read_bytes().split(b"\n")[1])
    change(record)
    body = canonical(record)
    (folder / RECORD).write_bytes(sha256_of_bytes(body).encode() + b"\n" + body)


def test_what_was_written_is_accepted(tmp_path: Path) -> None:
    folder = entry(tmp_path / "e")
    assert fault(folder) is None
    assert main_file(folder) == folder / "model.package"


def test_nothing_is_a_fault_too(tmp_path: Path) -> None:
    assert fault(tmp_path / "e") == "there was none"


@given(st.data())
def test_every_flipped_bit_is_noticed(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = entry(tmp_path_factory.mktemp("bits") / "e")
    path = folder / data.draw(st.sampled_from([RECORD, "model.package/weights"]))
    content = bytearray(path.read_bytes())
    bit = data.draw(st.integers(0, 8 * len(content) - 1))
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)
    assert fault(folder) is not None


@pytest.mark.parametrize("name", [RECORD, "model.package/weights"])
def test_a_cut_is_noticed(tmp_path: Path, name: str) -> None:
    path = entry(tmp_path / "e") / name
    path.write_bytes(path.read_bytes()[: random.Random(0).randrange(100)])
    assert "was damaged" in (fault(tmp_path / "e") or "")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: (folder / "notes").unlink(), "the file notes was missing"),
        (lambda folder: (folder / "extra").touch(), "the file extra was added"),
        (lambda folder: (folder / RECORD).unlink(), "its record was damaged"),
        (lambda folder: (folder / RECORD).write_bytes(b""), "its record was damaged"),
        (lambda folder: (folder / "notes").write_bytes(b"1"), "the file notes was damaged"),
        (lambda folder: forge(folder, lambda r: r["facts"].update(model="b")), "belonged to another build"),
        (lambda folder: forge(folder, lambda r: r.pop("facts")), "its record was damaged"),
        (lambda folder: forge(folder, lambda r: r["files"].pop("notes")), "the file notes was added"),
        (
            lambda folder: forge(folder, lambda r: r["files"]["notes"].update(sha256="0" * 64)),
            "the file notes was damaged",
        ),
        (
            lambda folder: forge(folder, lambda r: r["forms"].update({"int8 tensorrt": "0" * 64})),
            "the model in int8 has changed",
        ),
    ],
)
def test_a_change_is_named(tmp_path: Path, spoil: Callable[[Path], object], said: str) -> None:
    folder = entry(tmp_path / "e")
    spoil(folder)
    assert said in (fault(folder) or "")


def test_files_that_changed_places_are_noticed(tmp_path: Path) -> None:
    folder = entry(tmp_path / "e")
    (folder / "notes").rename(tmp_path / "kept")
    (folder / "model.package" / "weights").rename(folder / "notes")
    (tmp_path / "kept").rename(folder / "model.package" / "weights")
    assert "was damaged" in (fault(folder) or "")


def test_a_link_to_the_same_bytes_is_no_file_of_the_build(tmp_path: Path) -> None:
    folder = entry(tmp_path / "e")
    (folder / "notes").rename(tmp_path / "elsewhere")
    (folder / "notes").symlink_to(tmp_path / "elsewhere")
    assert fault(folder) == "the file notes was damaged"


def test_a_file_that_cannot_be_read_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = entry(tmp_path / "e")

    def refuse(path: Path) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("course_lib.runtimes.engine_record.sha256_of", refuse)
    assert fault(folder) == "it could not be read (Permission denied)"
