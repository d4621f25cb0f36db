import numpy as np
import pytest
import torch

from course_lib.distillation.examples import require_examples, require_labels
from course_lib.errors import DataError
from course_lib.training import Examples

IMAGES, LABELS = np.zeros((6, 1, 2, 2), dtype=np.float32), np.arange(6) % 3


def broken(place: int, value: float) -> np.ndarray:
    images = IMAGES.copy()
    images[place, 0, 1, 1] = value
    return images


def test_examples_as_they_should_be_pass() -> None:
    require_examples(Examples(IMAGES, LABELS), "training")
    require_examples(Examples(IMAGES[:1].reshape(1, 4), LABELS[:1]), "training")
    require_labels(Examples(IMAGES, LABELS), "training", 3)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (
            IMAGES.astype(np.uint8),
            LABELS,
            "The validation images are uint8, but float32 is expected; once their values are those that the "
            "networks are made for, astype(np.float32) converts them.",
        ),
        (IMAGES.astype(np.float64), LABELS, "The validation images are float64, but float32 is expected; "),
        (IMAGES, LABELS.astype(np.int32), "The validation labels are int32, but int64 is expected; "),
        (IMAGES, LABELS.astype(np.float32), "The validation labels are float32, but int64 is expected; "),
        (
            torch.from_numpy(IMAGES),
            LABELS,
            "The validation images are a Tensor, but a NumPy array of float32 is expected; of a tensor on "
            "the CPU, numpy() gives one.",
        ),
        (IMAGES, LABELS.tolist(), "The validation labels are a list, but a NumPy array of int64 is expected"),
        (
            IMAGES[:0],
            LABELS[:0],
            "The validation images have shape (0, 1, 2, 2) and the labels (0,); expected at least one image, "
            "and one label for each.",
        ),
        (IMAGES, LABELS[:2], "The validation images have shape (6, 1, 2, 2) and the labels (2,); expected "),
        (IMAGES[:2], LABELS, "The validation images have shape (2, 1, 2, 2) and the labels (6,); expected "),
        (IMAGES, LABELS[:, None], "The validation images have shape (6, 1, 2, 2) and the labels (6, 1); "),
        (
            broken(3, np.nan),
            LABELS,
            "1 of the 6 validation images hold NaN or infinity, which would spoil every weight; mend them or "
            "leave them out.",
        ),
        (broken(0, -np.inf), LABELS, "1 of the 6 validation images hold NaN or infinity"),
    ],
)
def test_what_cannot_be_trained_on_is_refused(images: np.ndarray, labels: np.ndarray, message: str) -> None:
    with pytest.raises(DataError) as caught:
        require_examples(Examples(images, labels), "validation")
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("label", [-100, -1, 3])
def test_a_label_outside_the_classes_is_refused(label: int) -> None:
    labels = LABELS.copy()
    labels[4] = label
    with pytest.raises(DataError) as caught:
        require_labels(Examples(IMAGES, labels), "training", 3)
    assert str(caught.value) == (
        f"There is a training label {label}, but the networks tell 3 classes apart; labels count from 0 to 2."
    )
