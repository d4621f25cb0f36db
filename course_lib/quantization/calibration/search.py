"""Search for the range with the smallest cost among the edges of a histogram.

A range is a pair of edge numbers (first, last) around the edge of 0. All pairs would be a million for 2,048
bins. So both ends first shrink together; then one end moves at a time until nothing changes. Along each such
line a few places far apart are tried, then ever closer ones around the best. A cost with several dips can
hide its lowest one from this; the tests compare with the search over all pairs.
"""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from course_lib.quantization.calibration.activations import NDArray

Cost: TypeAlias = Callable[[NDArray, NDArray], NDArray]
"""Takes the numbers of first and last edges, shape (n,) each; returns n costs, infinite where not allowed."""
Window: TypeAlias = tuple[int, int]

ROUNDS = 4


def best_window(cost: Cost, zero: int, edges: int, strides: tuple[int, ...] = (64, 8, 1)) -> Window:
    """Return the pair (first, last) with the smallest cost, first ≤ zero ≤ last.

    Parameters
    ----------
    cost
        The cost of many pairs at once.
    zero
        Number of the edge at 0.0.
    edges
        How many edges there are. The widest pair, (0, edges − 1), is always tried, and wins ties.
    strides
        How far apart the places on a line are, from the first pass to the last. A rough cost needs a small
        first one.
    """
    left, right = zero, edges - 1 - zero
    reach = max(left, right, 1)
    all_n = np.arange(reach, -1, -1)  # from the widest to the narrowest, so that wider wins ties
    window = _best_along(cost, zero - all_n * left // reach, zero + all_n * right // reach, strides)
    for _ in range(ROUNDS if left and right else 0):
        before = window
        lasts = np.arange(edges - 1, zero - 1, -1)
        window = _better(cost, window, _best_along(cost, np.full_like(lasts, window[0]), lasts, strides))
        firsts = np.arange(zero + 1)
        window = _better(cost, window, _best_along(cost, firsts, np.full_like(firsts, window[1]), strides))
        if window == before:
            break
    return window


def _best_along(cost: Cost, firsts: NDArray, lasts: NDArray, strides: tuple[int, ...]) -> Window:
    """Return the best of these pairs, found with ever smaller strides around the best one so far."""
    start, stop, best = 0, firsts.size, 0
    for stride in strides:
        places = np.arange(start, stop, stride)
        best = int(places[np.argmin(cost(firsts[places], lasts[places]))])
        start, stop = max(best - stride + 1, 0), min(best + stride, firsts.size)
    return int(firsts[best]), int(lasts[best])


def _better(cost: Cost, window: Window, other: Window) -> Window:
    """Return ``other`` where it costs less than ``window``, which is kept otherwise."""
    costs = cost(np.asarray([window[0], other[0]]), np.asarray([window[1], other[1]]))
    return other if costs[1] < costs[0] else window
