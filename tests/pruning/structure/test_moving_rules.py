"""Steps that move numbers: their labels are what the step itself gives; indices, by hand."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, fx

from course_lib.pruning.structure.labels import spread
from course_lib.pruning.structure.moving_rules import cat, index_parts, indexed_axes
from course_lib.pruning.structure.step import Ledger, Step
from tests.pruning.structure.test_mixing_rules import label, maps


@pytest.mark.parametrize(
    ("function", "others"),
    [
        (torch.reshape, ((1, 2, 2, 4, 4),)),
        (torch.flatten, (1,)),
        (torch.permute, ((0, 2, 3, 1),)),
        (torch.transpose, (1, 2)),
        (torch.unsqueeze, (2,)),
        (torch.flip, ((1,),)),
        (torch.repeat_interleave, (2, 1)),
        (torch.tile, ((1, 2, 1, 1),)),
    ],
)
def test_moves_are_run_on_the_labels(function, others) -> None:  # type: ignore[no-untyped-def]
    labels, classes = label(function, maps(1, channels=4), others=others)
    assert torch.equal(labels, function(maps(1, channels=4).clone(), *others))
    assert len(set(classes)) == 5


def test_parts_keep_their_channels() -> None:
    (first, second), classes = label(torch.split, maps(1, channels=5), others=((2, 3), 1))
    assert first[0, :, 0, 0].tolist() == [1, 2]
    assert second[0, :, 0, 0].tolist() == [3, 4, 5]
    assert len(set(classes)) == 6


def test_picking_by_position_ties_all() -> None:
    _, classes = label(torch.select, maps(1, channels=3), others=(1, 0))
    assert len(set(classes[1:])) == 1
    assert classes[0] != classes[1]


def test_concatenation_stays_small() -> None:
    labels, classes = label_cat([maps(1), maps(3)], 1)
    assert labels[0, :, 0, 0].tolist() == [1, 2, 3, 4]
    assert labels.stride()[2:] == (0, 0)
    assert len(set(classes)) == 5


def test_concatenation_along_another_axis_ties() -> None:
    labels, classes = label_cat([maps(1), maps(3)], 2)
    assert labels.shape == (1, 2, 8, 4)
    assert classes[1] == classes[3] != classes[2] == classes[4]


def label_cat(tensors: list[Tensor], axis: int) -> tuple[Tensor, list[int]]:
    """Return the labels of a concatenation, and the class of each label."""
    ledger = Ledger()
    ledger.book.count = 1 + max(int(tensor.max()) for tensor in tensors)
    out = torch.cat([torch.zeros(tensor.shape) for tensor in tensors], axis)
    node = fx.Graph().call_function(torch.cat, ())
    return cat(Step(node, (tensors, axis), {}, out, ledger)), ledger.book.solve().tolist()


indices = st.lists(
    st.one_of(st.none(), st.just(...), st.integers(0, 1), st.just(slice(0, 1)), st.just(slice(None))),
    max_size=5,
).filter(lambda parts: parts.count(...) <= 1 and sum(part not in (None, ...) for part in parts) <= 3)


@given(indices)
def test_indices_are_read_as_torch_reads_them(parts: list[object]) -> None:
    x = torch.arange(8).view(2, 2, 2)
    index = tuple(parts)
    assert torch.equal(x[tuple(index_parts(index, 3))], x[index])
    read = indexed_axes(index, 3)
    assert read is not None
    assert [axis for axis, part in read if part is not None] == list(
        range(sum(part is not None for _, part in read))
    )


def test_an_index_with_a_tensor_is_not_read() -> None:
    assert indexed_axes(torch.tensor([0]), 2) is None
    assert indexed_axes((True, 0), 2) is None
    assert indexed_axes(3, 2) == [(0, 3)]
    assert indexed_axes((..., None, slice(1, 2)), 2) == [(0, slice(None)), (None, None), (1, slice(1, 2))]


def test_spread_labels_survive_a_view_without_memory() -> None:
    labels, _ = label(
        torch.reshape, spread(torch.arange(1, 5), 1, (1, 4, 512, 512)), others=((1, 2, 2, 512, 512),)
    )
    assert labels.untyped_storage().nbytes() == 4 * 8
