import zipfile
from pathlib import Path

import numpy as np
import pytest

from course_lib.data import Dataset, build_shipped
from course_lib.data.shipped import FILES, load_shipped
from course_lib.reproducibility import sha256_of

CLASSES = tuple("0123456789")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> dict[str, Dataset]:
    """Put small data sets in the place of the full one, of which 30 and 10 images are taken."""
    random = np.random.default_rng(0)
    parts = {
        split: Dataset(
            split,
            random.integers(0, 256, (50, 28, 28), dtype=np.uint8),
            np.arange(50) % 10,
            CLASSES,
            0.0,
            1.0,
        )
        for split in ("train", "validation", "test")
    }
    monkeypatch.setattr(build_shipped, "load_full", parts.__getitem__)
    monkeypatch.setattr(build_shipped, "SHIPPED_TRAIN", 30)
    monkeypatch.setattr(build_shipped, "SHIPPED_VALIDATION", 10)
    return parts


def test_what_is_built_can_be_loaded(small: dict[str, Dataset], tmp_path: Path) -> None:
    build_shipped.build(tmp_path)
    test = load_shipped("test", tmp_path)
    np.testing.assert_array_equal(test.images, small["test"].images)
    np.testing.assert_array_equal(test.labels, small["test"].labels)
    with np.load(tmp_path / "fashion_mnist_train.npz") as archive:
        expected = [*small["train"].images[:30, 0], *small["validation"].images[:10, 0]]
        np.testing.assert_array_equal(archive["images"], expected)
        assert archive["labels"].dtype == np.uint8


def test_two_builds_are_the_same_to_the_byte(small: dict[str, Dataset], tmp_path: Path) -> None:
    for name in ("first", "second"):
        build_shipped.build(tmp_path / name)
    names = ["fashion_mnist_test.npz", "fashion_mnist_train.npz", "manifest.json"]
    for name in names:
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()
    assert sorted(path.name for path in (tmp_path / "first").iterdir()) == names
    entries = zipfile.ZipFile(tmp_path / "first" / names[0]).infolist()
    assert {(entry.date_time, entry.create_system) for entry in entries} == {((1980, 1, 1, 0, 0, 0), 3)}


@pytest.mark.slow
def test_the_shipped_files_are_built_again_exactly(
    full: dict[str, Dataset], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(build_shipped, "load_full", full.__getitem__)
    build_shipped.build(tmp_path)
    for path in tmp_path.iterdir():
        assert sha256_of(path) == sha256_of(FILES / path.name)
