"""The full Fashion-MNIST, where this machine has a copy; nothing is downloaded for a test."""

import os

import pytest

from course_lib.data import Dataset
from course_lib.data.fashion_mnist import DEBIAN_DIRECTORY, DIRECTORY_VARIABLE, load_full


@pytest.fixture(scope="session")
def full() -> dict[str, Dataset]:
    """Return the three splits of the full set, or leave the test out where there is no local copy."""
    if DIRECTORY_VARIABLE not in os.environ and not DEBIAN_DIRECTORY.is_dir():
        pytest.skip(
            f"there is no full Fashion-MNIST on this machine: set {DIRECTORY_VARIABLE} or install Debian's "
            "dataset-fashion-mnist"
        )
    return {split: load_full(split) for split in ("train", "validation", "test")}
