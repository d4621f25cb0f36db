"""What rules use of a step: arguments by position or name, and channels along an axis."""

import torch
from torch import fx

from course_lib.pruning.structure.labels import FIXED, spread
from course_lib.pruning.structure.step import Ledger, Step, tensors_in


def step_of(*args: object, **kwargs: object) -> Step:
    node = fx.Graph().call_function(torch.relu, ())
    ledger = Ledger()
    ledger.book.fresh(6)
    return Step(node, args, kwargs, torch.zeros(1), ledger)


def test_arguments_are_found_by_position_and_by_name() -> None:
    assert step_of("x", 3).argument(1, "dim") == 3
    assert step_of("x", dim=4).argument(1, "dim") == 4
    assert step_of("x").argument(1, "dim", 5) == 5


def test_inputs_are_found_in_any_nesting() -> None:
    first, second, third = (torch.tensor(number) for number in range(3))
    assert list(tensors_in([first, (second, 4), {"a": [third]}])) == [first, second, third]
    assert step_of([first], 2, other=second).inputs == [first, second]


def test_channels_along_an_axis() -> None:
    labels = spread(torch.arange(1, 4), 1, (2, 3, 4))
    step = step_of(labels)
    assert step.channels(labels, 1).tolist() == [1, 2, 3]
    assert step.channels(labels, -2).tolist() == [1, 2, 3]
    assert step.ledger.book.ties == []


def test_channels_on_two_axes_go_together() -> None:
    labels = torch.arange(1, 7).view(2, 3)
    step = step_of(labels)
    assert step.channels(labels, 1).tolist() == [1, 2, 3]
    (tie,) = step.ledger.book.ties
    assert (tie.first.tolist(), tie.second.tolist()) == ([4, 5, 6], [1, 2, 3])
    assert tie.reason == "has its channels on axis 1 only"


def test_channels_on_another_axis_are_fixed() -> None:
    labels = spread(torch.arange(1, 4), 0, (3, 2))
    step = step_of(labels)
    assert step.channels(labels, 1).tolist() == [FIXED] * 2
    (tie,) = step.ledger.book.ties
    assert (tie.first.tolist(), tie.second.tolist()) == ([1, 2, 3], [FIXED] * 3)


def test_needing_all_along_an_axis_that_does_not_change_ties_nothing() -> None:
    labels = spread(torch.arange(1, 4), 1, (2, 3, 4))
    step = step_of(labels)
    assert torch.equal(step.needs_all(labels, [0, -1], "mixes"), labels)
    assert step.ledger.book.ties == []
