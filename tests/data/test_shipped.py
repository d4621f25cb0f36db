import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from course_lib.data import Dataset
from course_lib.data.fashion_mnist import CLASS_NAMES
from course_lib.data.shipped import FILES, load_shipped
from course_lib.errors import DataError
from course_lib.reproducibility import sha256_of

MANIFEST = json.loads((FILES / "manifest.json").read_text(encoding="utf-8"))
REPAIR = r"; restore it with: git checkout -- course_lib/data/files$"


def test_the_files_are_small_and_say_where_they_come_from() -> None:
    files = list(FILES.iterdir())
    assert sum(path.stat().st_size for path in files) <= 10_000_000
    assert {path.name for path in files} == {"manifest.json", *MANIFEST["files"]}
    assert "Zalando" in MANIFEST["origin"]
    assert MANIFEST["licence"] == "MIT"


@pytest.mark.parametrize("name", MANIFEST["files"])
def test_the_manifest_is_true(name: str) -> None:
    recorded = MANIFEST["files"][name]
    assert sha256_of(FILES / name) == recorded["sha256"]
    assert (FILES / name).stat().st_size == recorded["size_bytes"]
    with np.load(FILES / name, allow_pickle=False) as archive:
        assert archive["images"].shape == (recorded["images"], 28, 28)
        assert archive["labels"].shape == (recorded["images"],)


@pytest.mark.parametrize(("split", "count"), [("train", 10_000), ("validation", 2_000), ("test", 10_000)])
def test_every_split_has_all_classes_alike(split: str, count: int) -> None:
    data = load_shipped(split)
    assert data.images.shape == (count, 1, 28, 28)
    assert np.bincount(data.labels).tolist() == [count // 10] * 10
    assert data.class_names == CLASS_NAMES
    # The first hundred of the two training parts are stratified too.
    if split != "test":
        assert np.bincount(data.labels[:100]).tolist() == [10] * 10


def test_no_image_is_in_two_splits() -> None:
    seen: set[bytes] = set()
    for split in ("train", "validation", "test"):
        images = {image.tobytes() for image in load_shipped(split).images}
        assert not images & seen
        seen |= images


def test_the_images_come_from_the_same_parts_of_the_full_set(full: dict[str, Dataset]) -> None:
    for split, count in (("train", 10_000), ("validation", 2_000), ("test", 10_000)):
        shipped = load_shipped(split)
        np.testing.assert_array_equal(shipped.images, full[split].images[:count])
        np.testing.assert_array_equal(shipped.labels, full[split].labels[:count])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a copy of the test split's file and the manifest."""
    for name in ("fashion_mnist_test.npz", "manifest.json"):
        shutil.copy(FILES / name, tmp_path)
    return tmp_path


def test_one_changed_bit_is_noticed(folder: Path) -> None:
    assert len(load_shipped("test", folder)) == 10_000
    load_shipped.cache_clear()
    path = folder / "fashion_mnist_test.npz"
    content = bytearray(path.read_bytes())
    content[1_000_000] ^= 1
    path.write_bytes(content)
    with pytest.raises(
        DataError,
        match=r"^The shipped data file fashion_mnist_test\.npz differs from its recorded SHA-256" + REPAIR,
    ):
        load_shipped("test", folder)


@pytest.mark.parametrize("name", ["fashion_mnist_test.npz", "manifest.json"])
def test_a_missing_file_is_noticed(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(
        DataError,
        match=r"^The shipped data file fashion_mnist_test\.npz or its manifest is missing" + REPAIR,
    ):
        load_shipped("test", folder)


@pytest.mark.parametrize("text", ["{", "[]", '{"files": {}}', '{"files": {"fashion_mnist_test.npz": 3}}'])
def test_a_damaged_manifest_is_noticed(folder: Path, text: str) -> None:
    (folder / "manifest.json").write_text(text)
    with pytest.raises(
        DataError, match=r"^manifest\.json records no SHA-256 of fashion_mnist_test\.npz" + REPAIR
    ):
        load_shipped("test", folder)


def test_another_hash_in_the_manifest_is_noticed(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace(MANIFEST["files"]["fashion_mnist_test.npz"]["sha256"], "0" * 64))
    with pytest.raises(DataError, match="differs from its recorded SHA-256"):
        load_shipped("test", folder)
