"""The student's own images: an ``.npz`` file, or a folder with one sub-folder a class."""

import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from course_lib.data.dataset import Dataset
from course_lib.errors import DataError

IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp"}


def load_npz(path: Path) -> Dataset:
    """Load ``images`` (uint8) and ``labels`` (whole numbers) from an ``.npz`` file.

    An optional ``class_names`` array names the classes; without it they are called "0", "1", … up to the
    largest label.

    Raises
    ------
    DataError
        If the file is missing, damaged, needs pickle, lacks an array, or an array has the wrong shape.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist; expected an .npz file with images and labels.") from error
    except (OSError, ValueError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} cannot be read as an .npz file of plain arrays ({error}).") from error
    missing = {"images", "labels"} - arrays.keys()
    if missing:
        raise DataError(
            f"{path.name} has no array called {' or '.join(sorted(missing))}; "
            "write it with np.savez(path, images=images, labels=labels)."
        )
    labels = arrays["labels"]
    if "class_names" in arrays:
        class_names = tuple(map(str, arrays["class_names"]))
    else:
        class_names = tuple(map(str, range(int(labels.max(initial=0)) + 1)))
    return _with_statistics(path.name, arrays["images"], labels, class_names)


def load_folder(path: Path) -> Dataset:
    """Load a folder of class folders (``coat/1.png``, ``shirt/7.jpg`` …), classes in alphabetical order.

    All images must have the same size. They are grey if every file is, colour otherwise.

    Raises
    ------
    DataError
        If there are no class folders or images, a file is not an image, or the sizes differ.
    """
    class_folders = sorted(child for child in path.iterdir() if child.is_dir())
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
    mode = "L" if all(picture.mode in ("1", "L") for picture in pictures) else "RGB"
    for (file, _), picture in zip(files, pictures, strict=True):
        if picture.size != pictures[0].size:
            raise DataError(
                f"{file} is {picture.size[0]}×{picture.size[1]} pixels but {files[0][0].name} is "
                f"{pictures[0].size[0]}×{pictures[0].size[1]}; resize the images to one size first."
            )
    images = np.stack([np.asarray(picture.convert(mode)) for picture in pictures])
    labels = np.array([label for _, label in files])
    return _with_statistics(path.name, images, labels, tuple(folder.name for folder in class_folders))


def _open(file: Path) -> Image.Image:
    try:
        with Image.open(file) as picture:
            picture.load()
            return picture
    except (UnidentifiedImageError, OSError) as error:
        raise DataError(f"{file} is not an image that can be read; remove or replace it.") from error


def _with_statistics(
    name: str, images: NDArray[np.uint8], labels: NDArray[np.int64], class_names: tuple[str, ...]
) -> Dataset:
    spread = float(images.std() / 255) if images.size else 1.0
    mean = float(images.mean() / 255) if images.size else 0.0
    # One colour everywhere has no spread; dividing by 1 leaves it as it is.
    return Dataset(name, images, labels, class_names, mean, spread or 1.0)
