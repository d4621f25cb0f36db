"""Which images are worth a look at a teacher's soft targets, told by its margins.

The margin of an image is the largest of the teacher's scores minus the second largest: a wide margin means a
sure answer. Three kinds are chosen:

- sure: of each class, the rightly classified image whose margin is at the upper quartile of its class;
- torn: the narrowest margins;
- wrong: the widest margins of wrongly classified images.

Of the last two, no pair of first and second class comes twice: shirts taken for T-shirts would fill the row.

Worked example: scores (5, 1, 0) and (2, 1.9, 0) have the margins 4 and 0.1; the second image is torn.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from course_lib.explore.scored_model import ScoredModel

SURE, TORN, WRONG = "sure", "torn", "wrong"
TORN_IMAGES, WRONG_IMAGES = 8, 4
MOST_SURE = 10
QUARTILE = 0.75


@dataclass(frozen=True)
class ChosenImages:
    """Positions of images in the data set, by kind; no image comes twice."""

    sure: tuple[int, ...]
    torn: tuple[int, ...]
    wrong: tuple[int, ...]

    @property
    def all(self) -> tuple[int, ...]:
        """All of them, the sure ones first."""
        return self.sure + self.torn + self.wrong


def margins(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the largest minus the second largest score of each row of (N, C), (N,); C is at least 2."""
    highest = np.partition(scores, -2, axis=1)
    return np.asarray(highest[:, -1] - highest[:, -2])


def choose_images(teacher: ScoredModel) -> ChosenImages:
    """Return images on which this teacher is sure and right, torn, or sure and wrong."""
    if teacher.dataset.num_classes < 2:
        return ChosenImages((0,), (), ())
    margin, labels = margins(teacher.scores), teacher.dataset.labels
    right = teacher.predicted == labels
    sure = tuple(
        _at_quartile(np.flatnonzero(right & (labels == label)), margin)
        for label in np.unique(labels[right])[:MOST_SURE]
    )
    second = np.argsort(teacher.scores, axis=1)[:, -2]
    pairs = list(zip(teacher.predicted.tolist(), second.tolist(), strict=True))
    narrow_first = np.argsort(margin, kind="stable")
    torn = _new_pairs(narrow_first, pairs, TORN_IMAGES, {*sure})
    wide_wrong = (index for index in narrow_first[::-1] if not right[index])
    return ChosenImages(sure, torn, _new_pairs(wide_wrong, pairs, WRONG_IMAGES, {*sure, *torn}))


def _at_quartile(indices: NDArray[np.intp], margin: NDArray[np.float64]) -> int:
    ordered = indices[np.argsort(margin[indices], kind="stable")]
    return int(ordered[int(QUARTILE * (len(ordered) - 1))])


def _new_pairs(
    indices: Iterable[np.intp], pairs: list[tuple[int, int]], count: int, taken: set[int]
) -> tuple[int, ...]:
    chosen: list[int] = []
    seen: set[frozenset[int]] = set()
    for index in map(int, indices):
        pair = frozenset(pairs[index])
        if len(chosen) < count and index not in taken and pair not in seen:
            chosen.append(index)
            seen.add(pair)
    return tuple(chosen)
