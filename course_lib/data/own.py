"""The student's own images: an ``.npz`` file, or a folder with one sub-folder a class."""

import lzma
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from course_lib.data.dataset import Dataset
from course_lib.errors import DataError

IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp"}
GREY_MODES = {"1", "L", "LA"}
DEEP_MODES = {"F", "I", "I;16", "I;16B", "I;16L"}
"""More than 8 bits a pixel: converting these would clip without a word."""

MOST_CLASSES = 100_000
"""Where no class names are given: a larger label is rather an identifier than a class."""

UNREADABLE = (OSError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error, lzma.LZMAError)
"""What reading a damaged, encrypted or pickled archive raises."""


def load_npz(path: Path) -> Dataset:
    """Load ``images`` (uint8) and ``labels`` (whole numbers) from an ``.npz`` file.

    An optional ``class_names`` array names the classes; without it they are called "0", "1", … up to the
    largest label.

    Raises
    ------
    DataError
        If the file is missing, damaged, needs pickle, lacks an array, or an array has the wrong type, shape
        or range.
    """
    repair = "write it with np.savez(path, images=images, labels=labels)."
    if not path.exists():
        raise DataError(f"{path} does not exist; expected an .npz file with images and labels.")
    if not zipfile.is_zipfile(path):
        raise DataError(f"{path} is not an .npz file; {repair}")
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in ("images", "labels", "class_names") if name in archive}
    except UNREADABLE as error:
        raise DataError(f"{path} cannot be read as an .npz file of plain arrays ({error}).") from error
    missing = [name for name in ("images", "labels") if not isinstance(arrays.get(name), np.ndarray)]
    if missing:
        raise DataError(f"{path.name} has no array called {' or '.join(missing)}; {repair}")
    labels = arrays["labels"]
    if "class_names" in arrays:
        class_names = tuple(map(str, np.ravel(arrays["class_names"])))
    else:
        class_names = _numbered_classes(path.name, labels)
    return _with_statistics(path.name, arrays["images"], labels, class_names)


def load_folder(path: Path) -> Dataset:
    """Load a folder of class folders (``coat/1.png``, ``shirt/7.jpg`` …), classes in alphabetical order.

    All images must have the same size and 8 bits a channel. They are grey if every file is, colour otherwise.
    Folders whose name starts with a dot are not classes.

    Raises
    ------
    DataError
        If there are no class folders or images, a file is not such an image, or the sizes differ.
    """
    class_folders = sorted(
        child for child in path.iterdir() if child.is_dir() and not child.name.startswith(".")
    )
    files = [
        (file, label)
        for label, folder in enumerate(class_folders)
        for file in sorted(folder.iterdir())
        if file.suffix.lower() in IMAGE_SUFFIXES
    ]
    if not files:
        raise DataError(
            f"{path} holds no class folders with images; expected for example {path.name}/coat/1.png."
        )
    pictures = [_open(file) for file, _ in files]
    mode = "L" if all(picture.mode in GREY_MODES for picture in pictures) else "RGB"
    for (file, _), picture in zip(files, pictures, strict=True):
        if picture.size != pictures[0].size:
            raise DataError(
                f"{file} is {picture.size[0]}×{picture.size[1]} pixels but {files[0][0].name} is "
                f"{pictures[0].size[0]}×{pictures[0].size[1]}; resize the images to one size first."
            )
    images = np.stack([np.atleast_3d(np.asarray(picture.convert(mode))) for picture in pictures])
    labels = np.array([label for _, label in files])
    return _with_statistics(
        path.name, images.transpose(0, 3, 1, 2), labels, tuple(folder.name for folder in class_folders)
    )


def _open(file: Path) -> Image.Image:
    try:
        with Image.open(file) as picture:
            picture.load()
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{file} is not an image that can be read; remove or replace it.") from error
    if picture.mode in DEEP_MODES:
        raise DataError(
            f"{file} has more than 8 bits a pixel (mode {picture.mode}); save it with 8 bits first."
        )
    return picture


def _numbered_classes(name: str, labels: NDArray[np.int64]) -> tuple[str, ...]:
    # Labels of another type are left for Dataset to refuse.
    largest = int(labels.max(initial=0)) if labels.dtype.kind in "iu" else 0
    if largest >= MOST_CLASSES:
        raise DataError(
            f"The labels of {name} run up to {largest}; number the classes 0, 1, 2 and so on, "
            "or add an array class_names."
        )
    return tuple(map(str, range(largest + 1)))


def _with_statistics(
    name: str, images: NDArray[np.uint8], labels: NDArray[np.int64], class_names: tuple[str, ...]
) -> Dataset:
    checked = Dataset(name, images, labels, class_names, mean=0.0, std=1.0)
    mean, spread = float(checked.images.mean() / 255), float(checked.images.std() / 255)
    # One colour everywhere has no spread; dividing by 1 leaves it as it is.
    return replace(checked, mean=mean, std=spread or 1.0)
