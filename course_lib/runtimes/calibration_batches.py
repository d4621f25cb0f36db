"""Calibration inputs in batches of the one size that a model with fixed shapes takes."""

from collections.abc import Iterator

import numpy as np

from course_lib.runtimes.protocol import Array


def batches_of(values: Array, size: int) -> Iterator[Array]:
    """Yield ``values`` in batches of exactly ``size``; the last one is filled up from the beginning.

    >>> [batch.tolist() for batch in batches_of(np.arange(5), 2)]
    [[0, 1], [2, 3], [4, 0]]
    """
    for start in range(0, len(values), size):
        yield values[np.arange(start, start + size) % len(values)]
