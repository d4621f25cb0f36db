"""What images and labels must be for a run, said before anything is trained.

PyTorch notices some of these late and in words of its own, and others not at all: the label -100 is one that
cross-entropy leaves out silently, and of images that are not finite come weights that are not either.
"""

import numpy as np

from course_lib.errors import DataError
from course_lib.training.evaluate import Examples


def require_examples(examples: Examples, role: str) -> None:
    """Check the images and labels of ``role``, ``"training"`` or ``"validation"``, apart from the classes.

    Raises
    ------
    DataError
        If they are not finite float32 images and as many int64 labels, at least one of each.
    """
    _require_array(examples.inputs, f"{role} images", np.float32)
    _require_array(examples.labels, f"{role} labels", np.int64)
    images, labels = examples.inputs, examples.labels
    if labels.ndim != 1 or images.ndim < 2 or not len(labels) == len(images) > 0:
        raise DataError(
            f"The {role} images have shape {images.shape} and the labels {labels.shape}; expected at least "
            "one image, and one label for each."
        )
    if not (finite := np.isfinite(images)).all():
        broken = int((~finite.reshape(len(images), -1).all(1)).sum())
        raise DataError(
            f"{broken:,} of the {len(images):,} {role} images hold NaN or infinity, which would spoil every "
            "weight; mend them or leave them out."
        )


def require_labels(examples: Examples, role: str, classes: int) -> None:
    """Raise a DataError if there is a label outside the classes, which count from 0."""
    labels = examples.labels
    outside = labels[(labels < 0) | (labels >= classes)]
    if len(outside):
        raise DataError(
            f"There is a {role} label {outside[0]}, but the networks tell {classes} classes apart; labels "
            f"count from 0 to {classes - 1}."
        )


def _require_array(values: object, name: str, dtype: type[np.generic]) -> None:
    wanted = np.dtype(dtype).name
    if not isinstance(values, np.ndarray):
        raise DataError(
            f"The {name} are a {type(values).__name__}, but a NumPy array of {wanted} is expected; of a "
            "tensor on the CPU, numpy() gives one."
        )
    if values.dtype != dtype:
        raise DataError(
            f"The {name} are {values.dtype}, but {wanted} is expected; once their values are those that the "
            f"networks are made for, astype(np.{wanted}) converts them."
        )
