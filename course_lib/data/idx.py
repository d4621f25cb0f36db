"""The IDX format of MNIST and its relatives: a big-endian header, then raw bytes, gzipped.

Header: two zero bytes, a type code (8 = uint8), the number of dimensions, then one 32-bit size a dimension
(LeCun, Cortes and Burges, 1998). Left out: every type but uint8, which the data sets here do not use.
"""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from course_lib.errors import DataError

UINT8_CODE = 8
ALLOWED_DIMENSIONS = range(1, 65)
"""NumPy's limit."""


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Read a gzipped IDX file of bytes; the header gives the shape.

    Raises
    ------
    DataError
        If the file is missing, is not gzip, is cut short or empty, or is not IDX of uint8.
    """
    try:
        with gzip.open(path, "rb") as file:
            content = file.read()
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist; expected a gzipped IDX file there.") from error
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} is damaged ({error}); replace it with a fresh copy.") from error
    dimensions = content[3] if len(content) > 3 else 0
    start = 4 + 4 * dimensions
    if (
        content[:3] != bytes([0, 0, UINT8_CODE])
        or dimensions not in ALLOWED_DIMENSIONS
        or len(content) < start
    ):
        raise DataError(f"{path} is not an IDX file of bytes; replace it with a fresh copy.")
    shape = np.frombuffer(content, ">u4", count=dimensions, offset=4).tolist()
    body = np.frombuffer(content, np.uint8, offset=start)
    if body.size == 0:
        raise DataError(f"{path} holds no values; replace it with a fresh copy.")
    if body.size != math.prod(shape):
        raise DataError(
            f"{path} holds {body.size} values where its header promises {'×'.join(map(str, shape))}; "
            "replace it with a fresh copy."
        )
    return body.reshape(shape)
