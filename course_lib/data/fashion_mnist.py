"""Fashion-MNIST: 70,000 grey 28×28 pictures of clothes in ten classes (Xiao, Rasul and Vollgraf, 2017).

The full training set is split once and for all: 5,000 images, 500 a class, are the validation split, on
which hyper-parameters are chosen; the other 55,000 train. The shipped subset takes its 10,000 training and
2,000 validation images from those same parts, so a model trained on the full training split has never seen
the shipped validation images.
"""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from course_lib.data.dataset import Dataset
from course_lib.data.idx import read_idx
from course_lib.errors import DataError

CLASS_NAMES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
MEAN, STD = 0.2860, 0.3530
"""Of the 60,000 training images, after division by 255."""

SPLIT_SEED = 20170825
VALIDATION_PER_CLASS = 500
DIRECTORY_VARIABLE = "FASHION_MNIST_DIR"
DEBIAN_DIRECTORY = Path("/usr/share/datasets/fashion-mnist")
FILE_PREFIXES = {"train": "train", "test": "t10k"}
IMAGE_COUNTS = {"train": 60_000, "test": 10_000}


def make_dataset(images: NDArray[np.uint8], labels: NDArray[np.int64]) -> Dataset:
    """Wrap Fashion-MNIST images, shape (N, 28, 28), and labels with the class names and pixel statistics."""
    return Dataset("Fashion-MNIST", images, labels, CLASS_NAMES, MEAN, STD)


def load_full(split: str) -> Dataset:
    """Load the ``"train"`` (55,000), ``"validation"`` (5,000) or ``"test"`` (10,000) images of the full set.

    The files come from the folder named by the environment variable FASHION_MNIST_DIR, else from Debian's
    package dataset-fashion-mnist, else from ``torchvision.datasets.FashionMNIST``, which downloads them once.

    Raises
    ------
    DataError
        If no copy is found and none can be downloaded, or a file is damaged or holds something else.
    """
    part = "test" if split == "test" else "train"
    images, labels = _read_part(part)
    _require_whole(images, labels, part)
    if split == "test":
        return make_dataset(images, labels)
    train, validation = split_indices(labels)
    chosen = validation if split == "validation" else train
    return make_dataset(images[chosen], labels[chosen])


def split_indices(labels: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Split the 60,000 training images into train and validation indices, both shuffled and stratified.

    The first k·10 indices of either part hold k images of each class.
    """
    generator = np.random.Generator(np.random.PCG64(SPLIT_SEED))
    by_class = [generator.permutation(np.flatnonzero(labels == c)) for c in range(len(CLASS_NAMES))]
    shuffled = np.stack(by_class, axis=1)
    return shuffled[VALIDATION_PER_CLASS:].ravel(), shuffled[:VALIDATION_PER_CLASS].ravel()


def _read_part(part: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    directory = os.environ.get(DIRECTORY_VARIABLE)
    if directory is not None:
        return _read_idx_folder(Path(directory), part)
    if DEBIAN_DIRECTORY.is_dir():
        return _read_idx_folder(DEBIAN_DIRECTORY, part)
    return _read_with_torchvision(part)


def _require_whole(images: NDArray[np.uint8], labels: NDArray[np.int64], part: str) -> None:
    # MNIST's files have the same names, but its classes are of different sizes.
    count, classes = IMAGE_COUNTS[part], len(CLASS_NAMES)
    balanced = np.array_equal(np.sort(labels, axis=None), np.repeat(np.arange(classes), count // classes))
    if images.shape != (count, 28, 28) or labels.shape != (count,) or not balanced:
        raise DataError(
            f"The {part} files hold images of shape {images.shape} and labels of shape {labels.shape}; "
            f"expected Fashion-MNIST's {count:,} images of 28×28 pixels, {count // classes:,} a class: set "
            f"{DIRECTORY_VARIABLE} to a folder with its four .gz files."
        )


def _read_idx_folder(folder: Path, part: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    prefix = FILE_PREFIXES[part]
    images = read_idx(folder / f"{prefix}-images-idx3-ubyte.gz")
    labels = read_idx(folder / f"{prefix}-labels-idx1-ubyte.gz")
    return images, labels.astype(np.int64)


def _read_with_torchvision(part: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    from course_lib.data.torchvision_import import import_torchvision

    import_torchvision()
    from torchvision.datasets import FashionMNIST

    return _download(FashionMNIST, part)


def _download(fashion_mnist: Callable[..., object], part: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    import platformdirs

    cache = platformdirs.user_cache_path("edge-ai-course")
    try:
        dataset = fashion_mnist(root=cache, train=part == "train", download=True)
    except (OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise DataError(
            f"The full Fashion-MNIST could not be downloaded ({reason}); set {DIRECTORY_VARIABLE} to a "
            "folder with its four .gz files, install Debian's dataset-fashion-mnist, or use the shipped "
            "subset with load_dataset('fashion-mnist')."
        ) from error
    return np.asarray(dataset.data), np.asarray(dataset.targets, dtype=np.int64)  # type: ignore[attr-defined]
