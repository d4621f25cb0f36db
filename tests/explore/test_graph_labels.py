"""Classes followed through ONNX steps, by hand; whole networks are tested with `ChannelGraph`."""

from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper

from course_lib.explore.graph_labels import GraphLabels

FIXED = 0
WEIGHT = {"w": {0: np.array([1, 2, 3])}}


def follow(values: dict[str, Any], *steps: onnx.NodeProto) -> GraphLabels:
    """Follow conv (classes 1, 2, 3) and what comes behind it."""
    conv = helper.make_node("Conv", ["x", "w"], ["y"])
    known = {"x": np.zeros((1, 2, 2, 2)), "w": np.zeros((3, 2, 1, 1)), "y": np.zeros((1, 3, 2, 2))}
    return GraphLabels([conv, *steps], known | values, WEIGHT, FIXED)


def test_the_worked_example() -> None:
    step = helper.make_node("Reshape", ["y", "shape"], ["flat"])
    graph = follow({"shape": np.array([1, 12]), "flat": np.zeros((1, 12))}, step)
    assert graph.of["y"][0, :, 1, 1].tolist() == [1, 2, 3]
    assert graph.of["flat"].tolist() == [[1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3]]


@given(st.permutations(range(4)))
def test_a_transposition_moves_labels_as_it_moves_numbers(order: list[int]) -> None:
    step = helper.make_node("Transpose", ["y"], ["z"], perm=order)
    graph = follow({"z": np.zeros((1, 3, 2, 2)).transpose(order)}, step)
    np.testing.assert_array_equal(graph.of["z"].numpy(), graph.of["y"].numpy().transpose(order))


def test_two_branches_behind_each_other() -> None:
    step = helper.make_node("Concat", ["y", "x", "y"], ["z"], axis=1)
    graph = follow({"z": np.zeros((1, 8, 2, 2))}, step)
    assert graph.of["z"][0, :, 0, 0].tolist() == [1, 2, 3, 0, 0, 1, 2, 3]


def test_a_slice_takes_its_part() -> None:
    step = helper.make_node("Slice", ["y", "from", "to", "axis"], ["z"])
    bounds = {"from": np.array([-2]), "to": np.array([2**63 - 1]), "axis": np.array([1])}
    graph = follow({**bounds, "z": np.zeros((1, 2, 2, 2))}, step)
    assert graph.of["z"][0, :, 0, 0].tolist() == [2, 3]


def test_a_mean_over_pixels_keeps_channels_apart() -> None:
    step = helper.make_node("ReduceMean", ["y", "axes"], ["z"], keepdims=0)
    graph = follow({"axes": np.array([2, 3]), "z": np.zeros((1, 3))}, step)
    assert graph.of["z"].tolist() == [[1, 2, 3]]


@pytest.mark.parametrize(
    ("step", "shape"),
    [
        (helper.make_node("ReduceMean", ["y", "axis"], ["z"], keepdims=1), (1, 1, 2, 2)),
        (helper.make_node("Gather", ["y", "axis"], ["z"], axis=1), (1, 1, 2, 2)),
        (helper.make_node("DepthToSpace", ["y"], ["z"], blocksize=1), (1, 1, 6, 2)),
        (helper.make_node("Einsum", ["y", "y"], ["z"]), (1, 2, 2)),
    ],
)
def test_a_step_that_needs_all_channels_makes_them_stuck(
    step: onnx.NodeProto, shape: tuple[int, ...]
) -> None:
    graph = follow({"axis": np.array([1]), "z": np.zeros(shape)}, step)
    assert graph.stuck == {1, 2, 3}
    assert not graph.of["z"].any()


def test_different_classes_that_meet_are_stuck() -> None:
    flip = helper.make_node("Slice", ["y", "a", "b", "c"], ["left"])
    rest = helper.make_node("Slice", ["y", "b", "d", "c"], ["right"])
    add = helper.make_node("Add", ["left", "right"], ["z"])
    numbers = {"a": np.array([0]), "b": np.array([1]), "c": np.array([1]), "d": np.array([2])}
    shapes = {name: np.zeros((1, 1, 2, 2)) for name in ("left", "right", "z")}
    assert follow({**numbers, **shapes}, flip, rest, add).stuck == {1, 2}
