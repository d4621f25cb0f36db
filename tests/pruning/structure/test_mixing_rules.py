"""What steps do to labels, worked by hand on single steps."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, fx
from torch.nn import functional as F

from course_lib.pruning.structure.labels import FIXED, spread
from course_lib.pruning.structure.rules import RULES
from course_lib.pruning.structure.step import Ledger, Step, name_of


def label(
    function: Callable[..., object], *inputs: Tensor, others: tuple[object, ...] = (), **settings: object
):
    """Return the labels after one step, and the class of each label."""
    graph = fx.Graph()
    nodes = tuple(graph.placeholder(f"x{place}") for place in range(len(inputs)))
    node = graph.call_function(function, (*nodes, *others), settings)
    out = function(*(torch.zeros(labels.shape) for labels in inputs), *others, **settings)
    ledger = Ledger()
    ledger.book.count = 1 + max(int(labels.max()) for labels in inputs)
    result = RULES[name_of(node)](Step(node, (*inputs, *others), settings, out, ledger))
    return result, ledger.book.solve().tolist()


def maps(first: int, channels: int = 2) -> Tensor:
    """Return labels of (1, channels, 4, 4)."""
    return spread(torch.arange(first, first + channels), 1, (1, channels, 4, 4))


def test_adding_ties_the_same_channels() -> None:
    labels, classes = label(torch.add, maps(1), maps(3))
    assert labels[0, :, 0, 0].tolist() == [1, 2]
    assert classes[1] == classes[3] != classes[2] == classes[4]


def test_a_tensor_that_is_spread_over_channels_is_fixed() -> None:
    labels, classes = label(torch.mul, maps(1), maps(3, channels=1))
    assert labels[0, :, 0, 0].tolist() == [1, 2]
    assert classes[3] == classes[FIXED] not in classes[1:3]


def test_a_gate_of_1x1_pixels_is_tied() -> None:
    _, classes = label(torch.mul, spread(torch.tensor([1, 2]), 1, (1, 2, 1, 1)), maps(3))
    assert classes[1] == classes[3] != classes[2] == classes[4]


@pytest.mark.parametrize(
    ("function", "others", "settings", "shape"),
    [
        (torch.mean, (), {"dim": (2, 3)}, (1, 2)),
        (torch.sum, (-1,), {"keepdim": True}, (1, 2, 4, 1)),
        (F.max_pool2d, (2,), {}, (1, 2, 2, 2)),
        (F.interpolate, (), {"scale_factor": 2.0}, (1, 2, 8, 8)),
        (F.pad, ((1, 1, 2, 0),), {}, (1, 2, 6, 6)),
        (F.softmax, (2,), {}, (1, 2, 4, 4)),
        (F.layer_norm, ((4, 4),), {}, (1, 2, 4, 4)),
        (torch.relu, (), {}, (1, 2, 4, 4)),
    ],
)
def test_what_happens_within_channels_keeps_them(function, others, settings, shape) -> None:  # type: ignore[no-untyped-def]
    labels, classes = label(function, maps(1), others=others, **settings)
    assert labels.shape == shape
    assert labels.movedim(1, -1).reshape(-1, 2).unique(dim=0).tolist() == [[1, 2]]
    assert len(set(classes)) == 3


@pytest.mark.parametrize(
    ("function", "others", "settings"),
    [
        (torch.mean, (), {}),
        (torch.sum, (1,), {}),
        (F.max_pool3d, (1,), {}),
        (F.pad, ((0, 0, 0, 0, 0, 1),), {}),
        (F.softmax, (), {"dim": -3}),
        (F.layer_norm, ((2, 4, 4),), {}),
    ],
)
def test_what_mixes_channels_fixes_them(function, others, settings) -> None:  # type: ignore[no-untyped-def]
    labels, classes = label(function, maps(1), others=others, **settings)
    assert set(labels.flatten().tolist()) == {FIXED}
    assert len(set(classes)) == 1


def test_a_product_of_labelled_matrices_keeps_heads() -> None:
    query, key = (torch.arange(first, first + 6).view(1, 2, 1, 3).expand(1, 2, 5, 3) for first in (1, 7))
    labels, classes = label(torch.matmul, query, key.transpose(-2, -1))
    assert labels.shape == (1, 2, 5, 5)
    assert len(set(classes[1:])) == 2
    assert classes[1] == classes[3] == classes[7] == classes[9] != classes[4] == classes[12]


def test_a_product_with_a_constant_keeps_what_is_not_summed() -> None:
    labels = torch.arange(1, 4).view(1, 1, 3).expand(1, 5, 3)
    kept, classes = label(torch.matmul, torch.zeros(1, 5, 5, dtype=torch.int64), labels)
    assert kept[0, 0].tolist() == [1, 2, 3]
    assert len(set(classes)) == 4
    summed, classes = label(torch.matmul, labels, torch.zeros(1, 3, 2, dtype=torch.int64))
    assert set(summed.flatten().tolist()) == {FIXED}
    assert len(set(classes)) == 1
