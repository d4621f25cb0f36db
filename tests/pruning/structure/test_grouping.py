"""From tied labels to groups, worked by hand."""

import torch

from course_lib.pruning.structure.group import Group, Slices
from course_lib.pruning.structure.grouping import Classes
from course_lib.pruning.structure.labels import FIXED
from course_lib.pruning.structure.step import Ledger


def test_the_worked_example() -> None:
    ledger = Ledger()
    labels = ledger.book.fresh(2)
    ledger.record("a", "out", labels, "a")
    ledger.record("b", "in", labels.repeat_interleave(2), "b")
    classes = Classes(ledger)
    assert classes.groups == (Group((Slices("a", "out", ((0,), (1,))), Slices("b", "in", ((0, 1), (2, 3))))),)
    assert classes.members["a"].tolist() == classes.of[labels.numpy()].tolist()


def test_channels_with_other_readers_are_another_group() -> None:
    ledger = Ledger()
    labels = ledger.book.fresh(5)
    ledger.record("a", "out", labels, "a")
    ledger.record("b", "in", labels[:2], "b")
    ledger.record("c", "in", labels[2:], "c")
    assert [(group.name, group.channels) for group in Classes(ledger).groups] == [("a", 2), ("a[2:]", 3)]


def test_nothing_is_offered_without_reader_or_with_one_channel_or_fixed() -> None:
    ledger = Ledger()
    unread, single, kept = ledger.book.fresh(2), ledger.book.fresh(2), ledger.book.fresh(2)
    for name, labels in (("unread", unread), ("single", single), ("kept", kept)):
        ledger.record(name, "out", labels, name)
    ledger.record("reader", "in", torch.cat([single, kept]), "reader")
    ledger.book.tie(single[:1], single[1:], "step", "")
    ledger.book.fix(kept, "output", "")
    assert Classes(ledger).groups == ()


def test_an_empty_ledger_has_no_groups() -> None:
    assert Classes(Ledger()).groups == ()


def test_a_parameter_is_counted_along_the_axis_of_its_channels() -> None:
    ledger = Ledger()
    labels, parameter = ledger.book.fresh(3), ledger.book.fresh(6).view(2, 3)
    ledger.record("a", "out", labels, "a")
    position = ledger.record("p", "pass", parameter, "p")
    ledger.record("b", "in", labels, "b")
    ledger.book.tie(labels, position, "add", "")
    classes = Classes(ledger)
    assert classes.axis(classes.records[1]) == 1
    assert classes.groups[0].slices[1] == Slices("p", "pass", ((0,), (1,), (2,)))
    assert classes.of[FIXED] not in classes.members["a"]


def test_a_second_call_of_a_layer_is_tied_to_the_first() -> None:
    ledger = Ledger()
    first, second = ledger.book.fresh(2), ledger.book.fresh(2)
    assert ledger.record("a", "out", first, "a") is first
    assert ledger.record("a", "out", second, "a_1") is first
    classes = Classes(ledger)
    assert len(classes.records) == 1
    assert classes.of[1] == classes.of[3] != classes.of[2] == classes.of[4]
    assert ledger.book.ties[0].reason == "calls the same layer again"
