import base64
import io

import numpy as np
import pytest
from PIL import Image

from course_lib.widgets.pictures import picture_url


def read(url: str) -> np.ndarray:
    start = "data:image/png;base64,"
    assert url.startswith(start)
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.removeprefix(start)))))


@pytest.mark.parametrize("channels", [1, 3])
def test_the_page_gets_the_very_pixels(channels: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (channels, 5, 7), np.uint8)
    shown = read(picture_url(image)).reshape(5, 7, channels)
    np.testing.assert_array_equal(shown.transpose(2, 0, 1), image)


def test_large_pictures_are_reduced() -> None:
    assert read(picture_url(np.zeros((3, 300, 600), np.uint8), 60)).shape == (30, 60, 3)
