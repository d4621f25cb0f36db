"""One type for labelled images, checked once when it is made."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from course_lib.errors import DataError


@dataclass(frozen=True)
class Dataset:
    """Labelled images, kept as bytes and scaled to floating point only when a model asks.

    Parameters
    ----------
    name
        Where the images came from, for captions and error messages.
    images
        uint8, shape (N, C, H, W) with C of 1 (grey) or 3 (colour); (N, H, W) and (N, H, W, 3) are accepted.
    labels
        Whole numbers, shape (N,), each in [0, number of classes).
    class_names
        One name a class, in label order.
    mean, std
        Mean and standard deviation of the training pixels after division by 255; `inputs` subtracts and
        divides by them.

    Raises
    ------
    DataError
        For images or labels of the wrong type, shape, length or range.
    """

    name: str
    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    mean: float
    std: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "images", _checked_images(self.name, self.images))
        object.__setattr__(self, "labels", _checked_labels(self.name, self.labels, self.class_names))
        if len(self.images) != len(self.labels):
            raise DataError(
                f"{self.name} has {len(self.images)} images but {len(self.labels)} labels; "
                "there must be one label an image."
            )
        if len(self.images) == 0:
            raise DataError(f"{self.name} holds no images; at least one is needed.")
        if not (np.isfinite(self.mean) and self.std > 0):
            raise DataError(f"{self.name} has mean {self.mean} and std {self.std}; std must be above 0.")

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    @cached_property
    def all_inputs(self) -> NDArray[np.float32]:
        """All images as `inputs` gives them, computed once and kept for work that often comes back."""
        return self.inputs()

    def inputs(self, indices: NDArray[np.intp] | slice = slice(None)) -> NDArray[np.float32]:
        """Return images as a model takes them: float32, (n, C, H, W), (pixel / 255 − mean) / std."""
        scale = np.float32(1 / (255 * self.std))
        offset = np.float32(self.mean / self.std)
        return self.images[indices].astype(np.float32) * scale - offset

    def take(self, indices: NDArray[np.intp] | slice) -> "Dataset":
        """Return a data set of the chosen images, in the order of ``indices``."""
        return Dataset(
            self.name, self.images[indices], self.labels[indices], self.class_names, self.mean, self.std
        )


def _checked_images(name: str, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if images.dtype != np.uint8:
        raise DataError(
            f"The images of {name} are {images.dtype}; expected uint8 pixels from 0 to 255 "
            "(for images scaled to [0, 1], use (images * 255).round().astype('uint8'))."
        )
    if images.ndim == 3:
        images = images[:, None]
    elif images.ndim == 4 and images.shape[1] not in (1, 3) and images.shape[3] in (1, 3):
        images = images.transpose(0, 3, 1, 2)
    if images.ndim != 4 or images.shape[1] not in (1, 3):
        raise DataError(
            f"The images of {name} have shape {images.shape}; expected (N, H, W), (N, C, H, W) "
            "or (N, H, W, C) with C of 1 or 3."
        )
    return np.ascontiguousarray(images)


def _checked_labels(name: str, labels: NDArray[np.int64], class_names: tuple[str, ...]) -> NDArray[np.int64]:
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise DataError(
            f"The labels of {name} are {labels.dtype} of shape {labels.shape}; expected whole numbers of "
            "shape (N,)."
        )
    if labels.size and (labels.min() < 0 or labels.max() >= len(class_names)):
        raise DataError(
            f"The labels of {name} run from {labels.min()} to {labels.max()}, but there are "
            f"{len(class_names)} classes; expected 0 to {len(class_names) - 1}."
        )
    return labels.astype(np.int64)
