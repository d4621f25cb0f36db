from dataclasses import FrozenInstanceError

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from course_lib.data import Dataset
from course_lib.errors import DataError

IMAGES = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
LABELS = np.array([1, 0])


def make(
    images: np.ndarray = IMAGES, labels: np.ndarray = LABELS, mean: float = 0.0, std: float = 1.0
) -> Dataset:
    return Dataset("pictures", images, labels, ("a", "b"), mean, std)


def test_inputs_by_hand() -> None:
    images = np.array([[[0, 51, 255]]], np.uint8)
    inputs = make(images, np.array([0]), mean=0.2, std=0.4).inputs()
    assert inputs.dtype == np.float32
    assert inputs.shape == (1, 1, 1, 3)
    # 51 / 255 is the mean; black and white lie 0.2 below and 0.8 above it.
    np.testing.assert_allclose(inputs.ravel(), [-0.5, 0.0, 2.0], atol=1e-6)


@given(
    hnp.arrays(np.uint8, st.tuples(st.integers(1, 4), st.just(1), st.just(2), st.just(3))),
    st.floats(0, 1),
    st.floats(0.05, 1),
)
def test_pixels_can_be_computed_back_from_inputs(images: np.ndarray, mean: float, std: float) -> None:
    data = make(images, np.zeros(len(images), int), mean, std)
    pixels = (data.inputs().astype(np.float64) * std + mean) * 255
    np.testing.assert_array_equal(pixels.round(), images)


def test_inputs_agree_with_batch_norm() -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 3, 5, 6), dtype=np.uint8)
    scaled = torch.from_numpy(images).double() / 255
    mean, variance = torch.full((3,), 0.286).double(), torch.full((3,), 0.353**2).double()
    theirs = torch.nn.functional.batch_norm(scaled, mean, variance, eps=0.0)
    ours = make(images, mean=0.286, std=0.353).inputs()
    np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-6)


@pytest.mark.parametrize(
    ("shape", "becomes"),
    [
        ((2, 5, 6), (2, 1, 5, 6)),
        ((2, 1, 5, 6), (2, 1, 5, 6)),
        ((2, 3, 5, 6), (2, 3, 5, 6)),
        ((2, 5, 6, 3), (2, 3, 5, 6)),
        ((2, 5, 6, 1), (2, 1, 5, 6)),
    ],
)
def test_images_end_as_n_c_h_w(shape: tuple[int, ...], becomes: tuple[int, ...]) -> None:
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    data = make(images)
    assert data.images.shape == becomes
    assert data.images.flags.c_contiguous


def test_a_colour_picture_keeps_its_channels() -> None:
    images = np.zeros((2, 5, 6, 3), np.uint8)
    images[1, 4, 5] = 10, 20, 30
    assert make(images).images[1, :, 4, 5].tolist() == [10, 20, 30]


def test_take_and_sizes() -> None:
    data = make()
    assert (len(data), data.num_classes) == (2, 2)
    swapped = data.take(np.array([1, 0, 1]))
    assert swapped.labels.tolist() == [0, 1, 0]
    assert swapped.labels.dtype == np.int64
    np.testing.assert_array_equal(swapped.images, data.images[[1, 0, 1]])
    np.testing.assert_array_equal(data.inputs(slice(1, 2)), data.inputs()[1:])
    np.testing.assert_array_equal(data.take(slice(1)).images, data.images[:1])
    with pytest.raises(FrozenInstanceError):
        data.name = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (
            IMAGES / 255,
            r"^The images of pictures are float64; expected uint8 pixels from 0 to 255 \(for images scaled "
            r"to \[0, 1\], use \(images \* 255\)\.round\(\)\.astype\('uint8'\)\)\.$",
        ),
        (IMAGES[0], r"^The images of pictures have shape \(3, 4\); expected \(N, H, W\), \(N, C, H, W\) or "),
        (np.zeros((2, 4, 5, 6), np.uint8), r"shape \(2, 4, 5, 6\); expected .* with C of 1 or 3\.$"),
        (IMAGES[:1], r"^pictures has 1 images but 2 labels; there must be one label an image\.$"),
    ],
)
def test_wrong_images_are_refused(images: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        make(images)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (
            np.array([0.0, 1.0]),
            r"^The labels of pictures are float64 of shape \(2,\); expected whole numbers of ",
        ),
        (np.array([True, False]), "labels of pictures are bool"),
        (np.array([[0], [1]]), r"int64 of shape \(2, 1\); expected whole numbers of shape \(N,\)\.$"),
        (
            np.array([0, 2]),
            r"^The labels of pictures run from 0 to 2, but there are 2 classes; expected 0 to 1\.$",
        ),
        (np.array([-1, 1]), "run from -1 to 1, but there are 2 classes"),
        (np.array([0, 2**64 - 1], np.uint64), "run from 0 to 18446744073709551615, but"),
    ],
)
def test_wrong_labels_are_refused(labels: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        make(labels=labels)


def test_no_images_and_no_spread_are_refused() -> None:
    with pytest.raises(DataError, match=r"^pictures holds no images; at least one is needed\.$"):
        make(IMAGES[:0], LABELS[:0])
    for mean, std in ((0.5, 0.0), (float("nan"), 1.0), (0.5, float("nan"))):
        with pytest.raises(DataError, match=r"^pictures has mean .* and std .*; std must be above 0\.$"):
            make(mean=mean, std=std)
