import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from course_lib.data.own import MOST_CLASSES, load_folder, load_npz
from course_lib.errors import DataError

IMAGES = np.array([[[0, 255], [0, 255]], [[255, 0], [255, 0]], [[0, 0], [255, 255]]], np.uint8)
LABELS = np.array([0, 2, 1])


def save(path: Path, **arrays: object) -> Path:
    np.savez_compressed(path, **arrays)
    return path


def paint(folder: Path, **pictures: Image.Image) -> Path:
    """Save each picture as the only one of the class that it is called by."""
    for name, picture in pictures.items():
        (folder / name).mkdir()
        picture.save(folder / name / "1.png")
    return folder


def grey(value: int = 7, width: int = 4, height: int = 4) -> Image.Image:
    return Image.new("L", (width, height), value)


def test_an_npz_by_hand(tmp_path: Path) -> None:
    data = load_npz(save(tmp_path / "mine.npz", images=IMAGES, labels=LABELS))
    assert data.name == "mine.npz"
    assert data.class_names == ("0", "1", "2")
    assert data.labels.tolist() == [0, 2, 1]
    np.testing.assert_array_equal(data.images[:, 0], IMAGES)
    # Half of the pixels are black and half white.
    assert (data.mean, data.std) == (0.5, 0.5)
    assert set(data.inputs().ravel()) == {-1.0, 1.0}


def test_class_names_and_other_arrays_in_an_npz(tmp_path: Path) -> None:
    names = np.array(["hat", "boot", "bag", "belt"])
    other = np.array([None, {}], dtype=object)
    path = save(tmp_path / "mine.npz", images=IMAGES, labels=LABELS, class_names=names, notes=other)
    assert load_npz(path).class_names == ("hat", "boot", "bag", "belt")


@given(
    hnp.arrays(np.uint8, st.tuples(st.integers(1, 5), st.integers(1, 4), st.integers(1, 4))),
    st.sampled_from([np.uint8, np.int16, np.int64]),
)
def test_every_npz_comes_back_with_its_statistics(images: np.ndarray, dtype: type) -> None:
    labels = np.arange(len(images)).astype(dtype)
    with tempfile.TemporaryDirectory() as folder:
        data = load_npz(save(Path(folder) / "mine.npz", images=images, labels=labels))
    np.testing.assert_array_equal(data.images[:, 0], images)
    np.testing.assert_array_equal(data.labels, labels)
    inputs = data.inputs().astype(np.float64)
    assert inputs.mean() == pytest.approx(0.0, abs=1e-4)
    assert inputs.std() == pytest.approx(1.0 if images.std() else 0.0, abs=1e-4)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"images": IMAGES},
            r"^mine\.npz has no array called labels; write it with np\.savez\(path, images=images, "
            r"labels=labels\)\.$",
        ),
        ({"x": IMAGES, "y": LABELS}, r"^mine\.npz has no array called images or labels; write it with "),
        ({"images": IMAGES / 255, "labels": LABELS}, r"^The images of mine\.npz are float64; expected uint8"),
        ({"images": np.array(["a"]), "labels": LABELS}, r"^The images of mine\.npz are <U1; expected uint8"),
        ({"images": IMAGES, "labels": LABELS / 1}, r"^The labels of mine\.npz are float64 of shape \(3,\); "),
        ({"images": IMAGES, "labels": LABELS * np.nan}, r"^The labels of mine\.npz are float64"),
        ({"images": IMAGES, "labels": np.array(["a", "b", "c"])}, r"^The labels of mine\.npz are <U1 of"),
        ({"images": IMAGES, "labels": LABELS - 1}, r"^The labels of mine\.npz run from -1 to 1, but there"),
        (
            {"images": IMAGES, "labels": LABELS, "class_names": ["a", "b"]},
            r"^The labels of mine\.npz run from 0 to 2, but there are 2 classes; expected 0 to 1\.$",
        ),
        (
            {"images": IMAGES, "labels": LABELS * MOST_CLASSES},
            r"^The labels of mine\.npz run up to 200000; number the classes 0, 1, 2 and so on, or add an "
            r"array class_names\.$",
        ),
        (
            {"images": IMAGES, "labels": LABELS[:2]},
            r"^mine\.npz has 3 images but 2 labels; there must be one",
        ),
        ({"images": IMAGES[:0], "labels": LABELS[:0]}, r"^mine\.npz holds no images; at least one is needed"),
        (
            {"images": np.array([1, None]), "labels": LABELS},
            r"of plain arrays \(Object arrays cannot be loaded",
        ),
    ],
)
def test_wrong_arrays_are_refused(tmp_path: Path, arrays: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_npz(save(tmp_path / "mine.npz", **arrays))


def test_a_missing_or_damaged_npz_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.npz"
    with pytest.raises(DataError, match=r"mine\.npz does not exist; expected an \.npz file with images and"):
        load_npz(path)
    with (tmp_path / "one.npy").open("wb") as file:
        np.save(file, IMAGES)
    for content in (b"", b"hello", (tmp_path / "one.npy").read_bytes()):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"mine\.npz is not an \.npz file; write it with np\.savez\("):
            load_npz(path)
    save(path, images=np.random.default_rng(0).integers(0, 256, (50, 8, 8), dtype=np.uint8), labels=LABELS)
    whole = path.read_bytes()
    for place in (60, 100, 900):
        path.write_bytes(
            whole[:place] + bytes(byte ^ 0x5A for byte in whole[place : place + 400]) + whole[place + 400 :]
        )
        with pytest.raises(
            DataError, match=r"mine\.npz cannot be read as an \.npz file of plain arrays \(.+\)\.$"
        ):
            load_npz(path)


def test_files_in_the_archive_that_are_no_arrays_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "mine.npz", "w") as archive:
        archive.writestr("images", "text")
        archive.writestr("labels", "text")
    with pytest.raises(DataError, match=r"^mine\.npz has no array called images or labels"):
        load_npz(tmp_path / "mine.npz")


def test_a_folder_by_hand(tmp_path: Path) -> None:
    paint(tmp_path, shirt=grey(255), coat=grey(0))
    grey(0).save(tmp_path / "shirt" / "0.BMP")
    (tmp_path / "shirt" / "notes.txt").write_text("not a picture")
    (tmp_path / "readme.txt").write_text("not a class")
    paint(tmp_path, **{".ipynb_checkpoints": grey(1)})
    data = load_folder(tmp_path)
    assert data.class_names == ("coat", "shirt")
    assert data.labels.tolist() == [0, 1, 1]
    assert data.images[:, 0, 0, 0].tolist() == [0, 0, 255]
    assert data.images.shape == (3, 1, 4, 4)
    assert data.mean == pytest.approx(1 / 3)
    assert data.std == pytest.approx((2 / 9) ** 0.5)


@settings(max_examples=20)
@given(hnp.arrays(np.uint8, st.sampled_from([(3, 2), (3, 2, 3)]).map(lambda shape: (4, *shape))))
def test_every_picture_comes_back(images: np.ndarray) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for index, image in enumerate(images):
            (folder / f"class{index % 2}").mkdir(exist_ok=True)
            Image.fromarray(image).save(folder / f"class{index % 2}" / f"{index}.png")
        data = load_folder(folder)
    assert data.labels.tolist() == [0, 0, 1, 1]
    expected = images[[0, 2, 1, 3]]
    expected = expected[:, None] if images.ndim == 3 else expected.transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(data.images, expected)


def test_one_colour_picture_makes_all_colour(tmp_path: Path) -> None:
    data = load_folder(paint(tmp_path, a=grey(7), b=Image.new("RGB", (4, 4), (10, 20, 30))))
    assert data.images.shape == (2, 3, 4, 4)
    assert data.images[:, :, 0, 0].tolist() == [[7, 7, 7], [10, 20, 30]]


def test_black_and_white_and_transparent_grey_stay_grey(tmp_path: Path) -> None:
    data = load_folder(paint(tmp_path, a=Image.new("1", (4, 4), 1), b=Image.new("LA", (4, 4), (9, 100))))
    assert data.images[:, :, 0, 0].tolist() == [[255], [9]]


def test_a_class_without_pictures_keeps_its_number(tmp_path: Path) -> None:
    paint(tmp_path, b=grey())
    (tmp_path / "a").mkdir()
    data = load_folder(tmp_path)
    assert data.class_names == ("a", "b")
    assert data.labels.tolist() == [1]


def test_folders_without_pictures_are_refused(tmp_path: Path) -> None:
    message = (
        rf"{tmp_path.name} holds no class folders with images; expected for example {tmp_path.name}/coat/1"
    )
    with pytest.raises(DataError, match=message):
        load_folder(tmp_path)
    grey().save(tmp_path / "1.png")
    (tmp_path / "coat").mkdir()
    (tmp_path / "coat" / "notes.txt").write_text("not a picture")
    with pytest.raises(DataError, match=message):
        load_folder(tmp_path)


def test_pictures_of_two_sizes_are_refused(tmp_path: Path) -> None:
    paint(tmp_path, a=grey(width=5), b=grey(height=6))
    with pytest.raises(
        DataError, match=r"b.1\.png is 4×6 pixels but 1\.png is 5×4; resize the images to one size first\.$"
    ):
        load_folder(tmp_path)


def test_files_that_are_no_pictures_are_refused(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (16, 16), dtype=np.uint8)
    path = paint(tmp_path, a=Image.fromarray(noise)) / "a" / "1.png"
    whole = path.read_bytes()
    for content in (b"", b"hello", whole[:50], whole[:45] + bytes([whole[45] ^ 255]) + whole[46:]):
        path.write_bytes(content)
        with pytest.raises(
            DataError, match=r"1\.png is not an image that can be read; remove or replace it\.$"
        ):
            load_folder(tmp_path)


def test_pictures_of_16_bits_are_refused(tmp_path: Path) -> None:
    paint(tmp_path, a=grey(), b=Image.fromarray(np.full((4, 4), 30_000, np.uint16)))
    with pytest.raises(
        DataError, match=r"b.1\.png has more than 8 bits a pixel \(mode I;16\); save it with 8 bits first\.$"
    ):
        load_folder(tmp_path)
