"""The record that lies beside compiled files and says whether they are still those that were built.

``record.json`` has two lines: the SHA-256 of the second line, and a JSON object with the facts of the build,
the hash of every ONNX form that it used, and the size and SHA-256 of every file. A flipped bit, a cut, a
missing or an additional file, files or whole folders that changed places: each contradicts a hash.

Left out: protection from somebody who rewrites files and record on purpose. Whoever may write to the folder
may do that; a cache belongs into a folder of one's own.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from course_lib.reproducibility import sha256_of
from course_lib.runtimes.compilation import Precision
from course_lib.runtimes.engine_key import Facts, FormRecorder, canonical, sha256_of_bytes

RECORD = "record.json"
KEYS = {"facts", "forms", "main", "files"}


def write_record(folder: Path, facts: Facts, forms: Mapping[str, str], main: Path) -> None:
    """Write the record of the files in a folder; ``main`` is the one to load."""
    record = {
        "facts": dict(facts),
        "forms": dict(forms),
        "main": main.relative_to(folder).as_posix(),
        "files": {
            path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        },
    }
    body = canonical(record)
    (folder / RECORD).write_bytes(sha256_of_bytes(body).encode() + b"\n" + body)


def find_fault(folder: Path, facts: Facts, forms: FormRecorder) -> str | None:
    """Return why the files in a folder may not be used, as the end of a sentence, or None if they may.

    Parameters
    ----------
    facts
        Those of the build that is wanted now.
    forms
        Gives the model's forms as they are now.
    """
    if not folder.exists():
        return "there was none"
    try:
        return _find_fault(folder, facts, forms)
    except OSError as error:
        return f"it could not be read ({error.strerror})"


def main_file(folder: Path) -> Path:
    """Return the path to load, from a record without fault."""
    record = _read(folder / RECORD)
    assert record is not None
    return folder / str(record["main"])


def _find_fault(folder: Path, facts: Facts, forms: FormRecorder) -> str | None:
    record = _read(folder / RECORD)
    if record is None or folder.is_symlink():
        return "its record was damaged"
    if record["facts"] != facts:
        return "its record belonged to another build"
    files = {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if not path.is_dir() or path.is_symlink()
    }
    if odd := sorted(files ^ {RECORD, *record["files"]}):
        return f"the file {odd[0]} was {'added' if odd[0] in files else 'missing'}"
    for name, known in record["files"].items():
        path = folder / name
        if path.is_symlink() or path.stat().st_size != known["bytes"] or sha256_of(path) != known["sha256"]:
            return f"the file {name} was damaged"
    for form, digest in record["forms"].items():
        precision, rules = form.split(" ")
        if sha256_of_bytes(forms(cast(Precision, precision), rules)) != digest:
            return f"the model in {precision} has changed"
    return None


def _read(path: Path) -> dict[str, Any] | None:
    """Return the content of a record, or None where it is missing or not as it was written."""
    try:
        digest, _, body = path.read_bytes().partition(b"\n")
    except OSError:
        return None
    if path.is_symlink() or digest != sha256_of_bytes(body).encode():
        return None
    record = json.loads(body)
    return record if isinstance(record, dict) and record.keys() == KEYS else None
