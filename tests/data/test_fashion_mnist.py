import gzip
import hashlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import platformdirs
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.data import Dataset, fashion_mnist
from course_lib.data.fashion_mnist import load_full, split_indices
from course_lib.errors import DataError


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the full set one of 40 training and 20 test images, with one validation image a class."""
    monkeypatch.setattr(fashion_mnist, "IMAGE_COUNTS", {"train": 40, "test": 20})
    monkeypatch.setattr(fashion_mnist, "VALIDATION_PER_CLASS", 1)


def write_part(folder: Path, prefix: str, images: np.ndarray, labels: np.ndarray) -> None:
    for name, array in (("images-idx3", images), ("labels-idx1", labels)):
        header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
        content = header + array.astype(np.uint8).tobytes()
        (folder / f"{prefix}-{name}-ubyte.gz").write_bytes(gzip.compress(content))


def numbered(count: int) -> np.ndarray:
    """Return images whose pixels are all their own number."""
    return np.broadcast_to(np.arange(count, dtype=np.uint8)[:, None, None], (count, 28, 28))


def test_the_split_is_settled_once_and_for_all() -> None:
    train, validation = split_indices(np.arange(60_000) % 10)
    assert (len(train), len(validation)) == (55_000, 5_000)
    assert validation[:4].tolist() == [11840, 40701, 312, 42873]
    digest = hashlib.sha256(np.concatenate([train, validation]).astype("<i8").tobytes()).hexdigest()
    assert digest == "5d3081bc4063ee444eab28709690c701d1d15a05edf018b181b767baecabedf0"


@settings(max_examples=10)
@given(st.integers(0, 2**32 - 1), st.integers(501, 600))
def test_the_parts_are_stratified_and_share_nothing(seed: int, per_class: int) -> None:
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(10), per_class))
    train, validation = split_indices(labels)
    assert sorted([*train, *validation]) == list(range(10 * per_class))
    for part in (train, validation):
        for count in {1, len(part) // 20 + 1, len(part) // 10}:
            assert np.bincount(labels[part[: 10 * count]]).tolist() == [count] * 10
    assert len(validation) == 5_000


def test_the_full_set_is_whole(full: dict[str, Dataset]) -> None:
    assert {split: len(data) for split, data in full.items()} == {
        "train": 55_000,
        "validation": 5_000,
        "test": 10_000,
    }
    for data in full.values():
        assert np.bincount(data.labels).tolist() == [len(data) // 10] * 10


def test_mean_and_std_are_those_of_the_training_images(full: dict[str, Dataset]) -> None:
    histogram = sum(
        np.bincount(full[split].images.ravel(), minlength=256) for split in ("train", "validation")
    )
    share, values = histogram / histogram.sum(), np.arange(256) / 255
    mean = share @ values
    assert mean == pytest.approx(fashion_mnist.MEAN, abs=5e-5)
    assert (share @ (values - mean) ** 2) ** 0.5 == pytest.approx(fashion_mnist.STD, abs=5e-5)


@pytest.mark.usefixtures("small")
def test_a_local_folder_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(fashion_mnist.DIRECTORY_VARIABLE, str(tmp_path))
    write_part(tmp_path, "train", numbered(40), np.arange(40) % 10)
    write_part(tmp_path, "t10k", numbered(20)[::-1], np.arange(20)[::-1] % 10)
    test = load_full("test")
    assert test.images[:, 0, 0, 0].tolist() == list(range(20))[::-1]
    assert test.labels.tolist() == [9, 8, 7, 6, 5, 4, 3, 2, 1, 0] * 2
    assert test.class_names[9] == "Ankle boot"
    train, validation = load_full("train"), load_full("validation")
    assert (len(train), len(validation)) == (30, 10)
    for part in (train, validation):
        np.testing.assert_array_equal(part.images[:, 0, 0, 0] % 10, part.labels)
    both = np.concatenate([train.images, validation.images])[:, 0, 0, 0]
    assert sorted(both.tolist()) == list(range(40))


def test_the_variable_goes_before_debian_and_debian_before_a_download(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fashion_mnist, "_read_idx_folder", lambda folder, part: (folder, part))
    monkeypatch.setattr(fashion_mnist, "_read_with_torchvision", lambda part: ("torchvision", part))
    monkeypatch.setattr(fashion_mnist, "DEBIAN_DIRECTORY", tmp_path)
    monkeypatch.setenv(fashion_mnist.DIRECTORY_VARIABLE, "elsewhere")
    assert fashion_mnist._read_part("train") == (Path("elsewhere"), "train")
    monkeypatch.delenv(fashion_mnist.DIRECTORY_VARIABLE)
    assert fashion_mnist._read_part("test") == (tmp_path, "test")
    monkeypatch.setattr(fashion_mnist, "DEBIAN_DIRECTORY", tmp_path / "gone")
    assert fashion_mnist._read_part("test") == ("torchvision", "test")


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (numbered(19), np.arange(19) % 10),
        (numbered(20)[:, :27], np.arange(20) % 10),
        (numbered(20), np.arange(20) % 9),
        (numbered(20), np.arange(20).reshape(2, 10) % 10),
        (numbered(20), np.arange(20)),
    ],
)
def test_other_data_under_these_names_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, images: np.ndarray, labels: np.ndarray
) -> None:
    monkeypatch.setenv(fashion_mnist.DIRECTORY_VARIABLE, str(tmp_path))
    write_part(tmp_path, "t10k", images, labels)
    with pytest.raises(
        DataError,
        match=r"^The test files hold images of shape \(\d+, 2[78], 28\) and labels of shape \(.+\); expected "
        r"Fashion-MNIST's 20 images of 28×28 pixels, 2 a class: set FASHION_MNIST_DIR to a folder with its "
        r"four \.gz files\.$",
    ):
        load_full("test")


def test_an_empty_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(fashion_mnist.DIRECTORY_VARIABLE, str(tmp_path))
    with pytest.raises(DataError, match=r"t10k-images-idx3-ubyte\.gz does not exist; expected a gzipped IDX"):
        load_full("test")


def test_a_download_goes_to_the_users_cache() -> None:
    asked = []

    def download(**settings: object) -> SimpleNamespace:
        asked.append(settings)
        return SimpleNamespace(data=torch.ones(2, 28, 28, dtype=torch.uint8), targets=torch.tensor([3, 4]))

    images, labels = fashion_mnist._download(download, "test")
    cache = platformdirs.user_cache_path("edge-ai-course")
    assert asked == [{"root": cache, "train": False, "download": True}]
    assert (images.dtype, images.shape) == (np.uint8, (2, 28, 28))
    assert (labels.dtype, labels.tolist()) == (np.int64, [3, 4])
    fashion_mnist._download(download, "train")
    assert asked[1]["train"] is True


@pytest.mark.parametrize("error", [OSError("no\nroute"), RuntimeError("no\n  route\n")])
def test_a_failed_download_names_the_three_ways_out(error: Exception) -> None:
    def download(**_: object) -> None:
        raise error

    with pytest.raises(DataError) as caught:
        fashion_mnist._download(download, "train")
    assert str(caught.value) == (
        "The full Fashion-MNIST could not be downloaded (no route); set FASHION_MNIST_DIR to a folder with "
        "its four .gz files, install Debian's dataset-fashion-mnist, or use the shipped subset with "
        "load_dataset('fashion-mnist')."
    )
