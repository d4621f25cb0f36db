"""Images of a data set as a page can show them."""

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def picture_url(image: NDArray[np.uint8], largest: int = 224) -> str:
    """Return an image, uint8 (C, H, W) with C of 1 or 3, as the address of a PNG that holds it.

    ``largest`` is the side in pixels to which a larger image is reduced.
    """
    pixels = image[0] if len(image) == 1 else image.transpose(1, 2, 0)
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    picture.thumbnail((largest, largest))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
