"""Make the shipped files from the full Fashion-MNIST: ``python -m course_lib.data.build_shipped``.

Takes the 10,000 test images as they are, and the first 10,000 training and 2,000 validation images of the
stratified split. The output is the same to the byte on every machine with the same zlib and LZMA.
"""

import io
import json
import zipfile
from functools import partial
from pathlib import Path

import numpy as np

from course_lib.data.dataset import Dataset
from course_lib.data.fashion_mnist import load_full
from course_lib.data.shipped import FILES, SHIPPED_TRAIN, SHIPPED_VALIDATION
from course_lib.reproducibility import sha256_of, write_atomically, write_text_atomically

EPOCH = (1980, 1, 1, 0, 0, 0)
UNIX = 3


def build(folder: Path = FILES) -> None:
    """Write both archives and the manifest into ``folder``."""
    test = load_full("test")
    train = load_full("train").take(slice(SHIPPED_TRAIN))
    validation = load_full("validation").take(slice(SHIPPED_VALIDATION))
    manifest: dict[str, object] = {
        "origin": "Fashion-MNIST, Zalando SE (Xiao, Rasul and Vollgraf, 2017, arXiv:1708.07747)",
        "licence": "MIT",
    }
    files = {}
    for name, parts in {"test": [test], "train": [train, validation]}.items():
        path = folder / f"fashion_mnist_{name}.npz"
        write_atomically(path, partial(_write_archive, parts=parts))
        count = sum(len(part) for part in parts)
        files[path.name] = {"sha256": sha256_of(path), "images": count, "size_bytes": path.stat().st_size}
    manifest["files"] = files
    text = json.dumps(manifest, indent=2) + "\n"
    write_text_atomically(folder / "manifest.json", text)


def _write_archive(path: Path, parts: list[Dataset]) -> None:
    arrays = {
        "images": np.concatenate([part.images[:, 0] for part in parts]),
        "labels": np.concatenate([part.labels for part in parts]).astype(np.uint8),
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        for name, array in arrays.items():
            buffer = io.BytesIO()
            np.save(buffer, array)
            # A fixed date and system keep the hash the same from build to build.
            entry = zipfile.ZipInfo(f"{name}.npy", EPOCH)
            entry.create_system = UNIX
            archive.writestr(entry, buffer.getvalue(), zipfile.ZIP_LZMA)


if __name__ == "__main__":
    build()
