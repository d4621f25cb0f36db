"""Labels, ties and classes; networkx-free oracle: merging sets by hand."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from course_lib.pruning.structure.labels import (
    FIXED,
    LabelBook,
    compact,
    first_along,
    spread,
    varying_axes,
    vector_along,
)

pairs = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=15)


def test_axes_of_stride_0_cost_nothing() -> None:
    labels = spread(torch.arange(1, 4), 1, (2, 3, 112, 112))
    assert compact(labels).shape == (1, 3, 1, 1)
    assert varying_axes(labels) == [1]
    assert vector_along(labels, 1).tolist() == [1, 2, 3]
    assert first_along(labels, [1]).shape == labels.shape
    assert first_along(labels, [1]).unique().tolist() == [1]


def test_axes_that_repeat_do_not_vary() -> None:
    assert varying_axes(torch.tensor([[1, 2], [1, 2]])) == [1]
    assert varying_axes(torch.tensor([[1, 1], [1, 1]])) == []


def test_the_worked_example() -> None:
    book = LabelBook()
    first, second = book.fresh(2), book.fresh(2)
    book.tie(first, second, "add", "adds")
    classes = book.solve()
    assert classes[1] == classes[3] != classes[2] == classes[4]
    book.fix(torch.tensor(4), "output", "returns")
    assert (book.solve() == book.solve()[FIXED]).tolist() == [True, False, True, False, True]


def test_a_view_as_parts_ties_the_same_place_of_each() -> None:
    book = LabelBook()
    labels = book.fresh(6)
    book.watch(labels.view(2, 3), "view")
    classes = book.solve()[labels.numpy()]
    assert classes[:3].tolist() == classes[3:].tolist()
    assert len(set(classes.tolist())) == 3
    assert [tie.step for tie in book.ties] == ["view"]


def test_the_longest_axis_stays_free() -> None:
    book = LabelBook()
    labels = book.fresh(6)
    book.watch(labels.view(3, 2), "view")
    assert len(set(book.solve()[labels.numpy()].tolist())) == 3


def test_rectangles_are_looked_at_after_all_ties() -> None:
    book = LabelBook()
    labels = book.fresh(6).view(2, 3)
    book.watch(labels, "view")
    book.tie_along(labels, [1], "heads", "works on whole heads")
    assert len(set(book.solve()[1:].tolist())) == 2


@given(pairs)
def test_classes_are_what_merging_sets_gives(ties: list[tuple[int, int]]) -> None:
    book = LabelBook()
    book.fresh(12)
    sets = [{label} for label in range(13)]
    for first, second in ties:
        book.tie(torch.tensor([first]), torch.tensor([second]), "step", "")
        merged = sets[first] | sets[second]
        for label in merged:
            sets[label] = merged
    classes = book.solve()
    for label, together in enumerate(sets):
        assert set(np.flatnonzero(classes == classes[label]).tolist()) == together


@given(st.permutations(range(1, 13)), st.sampled_from([(2, 6), (3, 4), (2, 3, 2), (2, 2, 3)]))
def test_after_solving_every_watched_tensor_loses_whole_slabs(
    order: list[int], shape: tuple[int, ...]
) -> None:
    book = LabelBook()
    labels = book.fresh(12)
    views = [labels.view(shape), torch.tensor(order).view(shape)]
    for view in views:
        book.watch(view, "view")
    classes = book.solve()
    for view in views:
        assert len(varying_axes(torch.from_numpy(classes[view.numpy()]))) <= 1
