"""The images that come with the course: two ``.npz`` files, each checked against its SHA-256.

``files/manifest.json`` says where every file came from, under which licence, and its hash. The files are
ordinary NumPy archives with LZMA inside, made by ``python -m course_lib.data.build_shipped``.
"""

import json
from functools import cache
from pathlib import Path

import numpy as np

from course_lib.data.dataset import Dataset
from course_lib.data.fashion_mnist import make_dataset
from course_lib.errors import DataError
from course_lib.reproducibility import sha256_of

FILES = Path(__file__).parent / "files"
SHIPPED_TRAIN = 10_000
SHIPPED_VALIDATION = 2_000


@cache
def load_shipped(split: str, folder: Path = FILES) -> Dataset:
    """Load the shipped ``"train"`` (10,000), ``"validation"`` (2,000) or ``"test"`` (10,000) images.

    Raises
    ------
    DataError
        If a file is missing or differs from its recorded hash, or the manifest is damaged.
    """
    name = "fashion_mnist_test.npz" if split == "test" else "fashion_mnist_train.npz"
    path = folder / name
    _verify(path, folder / "manifest.json")
    with np.load(path, allow_pickle=False) as archive:
        images, labels = archive["images"], archive["labels"].astype(np.int64)
    part = {"train": slice(None, SHIPPED_TRAIN), "validation": slice(SHIPPED_TRAIN, None)}
    chosen = part.get(split, slice(None))
    return make_dataset(images[chosen], labels[chosen])


def _verify(path: Path, manifest: Path) -> None:
    repair = "restore it with: git checkout -- course_lib/data/files"
    if not path.exists() or not manifest.exists():
        raise DataError(f"The shipped data file {path.name} or its manifest is missing; {repair}")
    try:
        expected = json.loads(manifest.read_text(encoding="utf-8"))["files"][path.name]["sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{manifest.name} records no SHA-256 of {path.name}; {repair}") from error
    if sha256_of(path) != expected:
        raise DataError(f"The shipped data file {path.name} differs from its recorded SHA-256; {repair}")
