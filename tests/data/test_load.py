from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from course_lib.data import list_datasets, load, load_dataset
from course_lib.errors import DataError, UnknownNameError


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Put recorders in the place of the course's own data sets; return what they were asked for."""
    calls: list[tuple[str, str]] = []
    for name in load.DATASETS:
        monkeypatch.setitem(load.DATASETS, name, lambda split, name=name: calls.append((name, split)))
    return calls


def paint(folder: Path, value: int) -> None:
    folder.mkdir(parents=True)
    Image.new("L", (4, 4), value).save(folder / "1.png")


def test_the_courses_own_by_name(named: list[tuple[str, str]]) -> None:
    assert list_datasets() == ["fashion-mnist", "fashion-mnist-full"]
    load_dataset("fashion-mnist")
    load_dataset("fashion-mnist-full", "validation")
    assert named == [("fashion-mnist", "test"), ("fashion-mnist-full", "validation")]


def test_a_name_goes_before_a_folder(
    named: list[tuple[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    paint(tmp_path / "fashion-mnist" / "coat", 3)
    load_dataset("fashion-mnist", "train")
    assert named == [("fashion-mnist", "train")]
    assert load_dataset("./fashion-mnist").class_names == ("coat",)
    assert len(named) == 1


def test_the_shipped_images_are_there() -> None:
    assert len(load_dataset("fashion-mnist", "validation")) == 2_000


@pytest.mark.parametrize("kind", [str, Path])
def test_an_npz_by_path(tmp_path: Path, kind: type) -> None:
    images = np.arange(8, dtype=np.uint8).reshape(2, 2, 2)
    np.savez(tmp_path / "mine.npz", images=images, labels=np.array([1, 0]))
    np.testing.assert_array_equal(load_dataset(kind(tmp_path / "mine.npz")).images[:, 0], images)
    with pytest.raises(DataError, match=r"gone\.npz does not exist"):
        load_dataset(kind(tmp_path / "gone.npz"))


def test_a_folder_by_path_with_and_without_splits(tmp_path: Path) -> None:
    paint(tmp_path / "flat" / "coat", 1)
    assert load_dataset(tmp_path / "flat", "train").images.max() == 1
    for value, split in enumerate(("train", "test"), start=2):
        paint(tmp_path / "split" / split / "coat", value)
    assert load_dataset(tmp_path / "split").images.max() == 3
    assert load_dataset(tmp_path / "split", "train").images.max() == 2
    with pytest.raises(DataError, match="split holds no class folders with images"):
        load_dataset(tmp_path / "split", "validation")


def test_unknown_names_list_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError) as caught:
        load_dataset("fashion-mnits")
    assert str(caught.value) == (
        "There is no data set (or file) called 'fashion-mnits'; the known ones are fashion-mnist, "
        "fashion-mnist-full. Did you mean 'fashion-mnist'?"
    )
    with pytest.raises(
        UnknownNameError,
        match=r"^There is no split called 'val'; the known ones are test, train, validation\.",
    ):
        load_dataset("fashion-mnist", "val")
    with pytest.raises(UnknownNameError, match=r"There is no data set .* called '.*gone'"):
        load_dataset(tmp_path / "gone")


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("1,2")
    with pytest.raises(
        DataError,
        match=r"mine\.csv is neither an \.npz file nor a folder of images; save it as one of these\.$",
    ):
        load_dataset(tmp_path / "mine.csv")
