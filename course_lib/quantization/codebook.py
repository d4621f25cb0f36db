"""Codebooks: the values of a tensor share 2^b levels, placed where they are (Han et al. 2016, section 3).

Each value is stored as the b-bit code of its nearest centroid, and the centroids once, as float32. Unlike the
evenly spaced grid of ``affine.py``, this one is dense where values are many; on the other hand, a processor
has to look each value up before it can multiply: a codebook saves bytes and not time.

The centroids minimize Σ (x − c)² by k-means (Lloyd 1982): give each value to its nearest centroid, move each
centroid to the mean of its values, repeat until no value changes its centroid. On a line this is quick: sort
the values once; a centroid then owns the run between the midpoints to its neighbours, and cumulative sums
give the mean of a run with one subtraction. The start decides which local minimum is found. It is linear,
evenly spaced from min to max, for that leaves centroids to the few large weights, which matter most (3.2).

Worked example, x = [0, 1, 2, 9], 1 bit: centroids start at [0, 9] with the midpoint 4.5; the means of
{0, 1, 2} and {9} are [1, 9]; the new midpoint 5 moves no value. Codes [0, 0, 0, 1], Σ (x − c)² = 2.

Left out: tuning the centroids by gradient descent afterwards (3.3).
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from course_lib.errors import ModelError, SettingError
from course_lib.quantization.huffman import huffman_encode
from course_lib.quantization.packing import packed_bytes

NDArray: TypeAlias = npt.NDArray[Any]

MAX_BITS = 12
MAX_ITERATIONS = 300
CENTROID_BYTES = 4


@dataclass(frozen=True, eq=False)
class Codebook:
    """A tensor as codes into a table.

    Parameters
    ----------
    centroids
        The 2^b shared values, float32, ascending apart from a kept zero, which comes first.
    codes
        Position in ``centroids`` of each value, int32, in the tensor's shape.
    """

    centroids: npt.NDArray[np.float32]
    codes: npt.NDArray[np.int32]

    @property
    def bits(self) -> int:
        """Bits that one code takes when all codes are equally long."""
        return (self.centroids.size - 1).bit_length()


def build_codebook(x: NDArray, bits: int, *, keep_zeros: bool = False) -> Codebook:
    """Cluster the values of ``x`` around 2^bits centroids.

    Parameters
    ----------
    x
        Float32, any shape, at least one value, all finite.
    bits
        Width b of a code, 1 to 12.
    keep_zeros
        Reserve code 0 for the values that are exactly 0.0 (pruned weights), and share the other 2^b − 1
        centroids among the rest. Without it, zeros join the cluster around them and lose their exactness.

    Raises
    ------
    SettingError
        If ``bits`` is not a whole number from 1 to 12.
    ModelError
        If ``x`` is empty or holds NaN or infinite values.
    """
    if bits not in range(1, MAX_BITS + 1):
        raise SettingError(
            f"bits is {bits!r}, but a codebook takes a whole number from 1 to {MAX_BITS}; "
            "try bits=4, which shares 16 values."
        )
    if x.size == 0 or not np.isfinite(x).all():
        raise ModelError(
            f"These {x.size} values cannot be clustered: at least one is needed, and none may be NaN or "
            "infinite; repair them first, for example with numpy.nan_to_num."
        )
    if not keep_zeros:
        centroids = kmeans_line(x.reshape(-1), 2**bits)
        return Codebook(centroids, nearest(x, centroids))
    kept = x != 0
    centroids = kmeans_line(x[kept], 2**bits - 1) if kept.any() else np.zeros(2**bits - 1, np.float32)
    codes = np.where(kept, nearest(x, centroids) + 1, 0).astype(np.int32)
    return Codebook(np.concatenate([np.zeros(1, np.float32), centroids]), codes)


def from_codebook(codebook: Codebook) -> npt.NDArray[np.float32]:
    """Return the value that each code stands for, in the tensor's shape."""
    values: npt.NDArray[np.float32] = codebook.centroids[codebook.codes]
    return values


def codebook_size_bytes(codebook: Codebook, *, huffman: bool) -> int:
    """Return what the tensor takes when stored: its centroids, 4 bytes each, and its codes.

    Codes take b bits each, packed without gaps; or, with ``huffman``, what `huffman_encode` makes of them,
    its table included. The shape is kept beside them, as in ``encoding.py``, and not counted.
    """
    if huffman:
        codes_bytes = huffman_encode(codebook.codes, codebook.centroids.size).size_bytes
    else:
        codes_bytes = packed_bytes(codebook.bits, codebook.codes.size)
    return CENTROID_BYTES * codebook.centroids.size + codes_bytes


def kmeans_line(values: NDArray, count: int) -> npt.NDArray[np.float32]:
    """Return ``count`` centroids of the values, ascending; one that loses all its values stays."""
    ordered = np.sort(values.astype(np.float64))
    sums = np.concatenate([[0.0], np.cumsum(ordered)])  # sums[j] − sums[i] = Σ ordered[i:j]
    centroids = np.linspace(ordered[0], ordered[-1], count)
    bounds = run_bounds(ordered, centroids)
    for _ in range(MAX_ITERATIONS):
        sizes = np.diff(bounds)
        centroids = np.where(sizes > 0, np.diff(sums[bounds]) / np.maximum(sizes, 1), centroids)
        before, bounds = bounds, run_bounds(ordered, centroids)
        if np.array_equal(bounds, before):
            break
    return centroids.astype(np.float32)


def run_bounds(ordered: NDArray, centroids: NDArray) -> npt.NDArray[np.intp]:
    """Return where each centroid's run of the ordered values starts, and the end of the last."""
    inner = np.searchsorted(ordered, midpoints(centroids), side="right")
    return np.concatenate([[0], inner, [ordered.size]])


def nearest(x: NDArray, centroids: NDArray) -> npt.NDArray[np.int32]:
    """Return the position of the nearest centroid; halfway between two, the lower one."""
    return np.searchsorted(midpoints(centroids), x, side="left").astype(np.int32)


def midpoints(centroids: NDArray) -> NDArray:
    """Return the borders between neighbouring centroids, in float64."""
    wide = centroids.astype(np.float64)
    return (wide[:-1] + wide[1:]) / 2
