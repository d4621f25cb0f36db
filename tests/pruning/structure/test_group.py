"""Groups: their size, their name, and that the library's package stays light."""

import subprocess
import sys
from dataclasses import FrozenInstanceError

import pytest

from course_lib.pruning.structure.group import Group, Slices


def test_a_group_has_the_name_of_the_first_layer_that_makes_it() -> None:
    norm = Slices("norm", "pass", ((0,), (1,)))
    first, second = Slices("a", "out", ((0,), (1,))), Slices("b", "out", ((4,), (5,)))
    assert Group((norm, first, second)).name == "a"
    assert Group((first, second)).channels == 2


def test_a_part_of_a_layer_is_named_with_its_first_row() -> None:
    assert Group((Slices("a", "out", ((9,), (8, 12))),)).name == "a[8:]"
    assert Group((Slices("p", "pass", ((2,), (3,))),)).name == "p[2:]"


def test_groups_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        Slices("a", "out", ()).path = "b"  # type: ignore[misc]


def test_groups_can_be_named_without_torch() -> None:
    code = "import sys, course_lib.pruning.structure.group; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
