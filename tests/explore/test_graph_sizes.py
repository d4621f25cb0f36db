"""Sizes in ONNX steps without some channels, by hand; whole networks are tested with `ChannelGraph`."""

from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from course_lib.explore.graph_labels import AxisClasses, GraphLabels, attribute
from course_lib.explore.graph_sizes import count_macs, edit_sizes
from course_lib.pruning.structure.rewrite import Survivors

KEEP = np.array([True, True, False, True])  # of classes 0 (fixed), 1, 2 and 3, class 2 goes
CONV = helper.make_node("Conv", ["x", "w"], ["y"])
VALUES = {"x": np.zeros((1, 2, 2, 2)), "w": np.zeros((3, 2, 1, 1)), "y": np.zeros((1, 3, 2, 2))}
WEIGHTS: dict[str, AxisClasses] = {"w": {0: np.array([1, 2, 3])}, "d": {0: np.array([1, 2, 3])}}


def edited(values: dict[str, Any], constants: list[str], step: onnx.NodeProto) -> list[onnx.NodeProto]:
    """Return the step's new constants, as arrays in the place of its inputs."""
    known = {**VALUES, **values}
    labels = GraphLabels([CONV, step], known, WEIGHTS, 0)
    stored = [numpy_helper.from_array(known[name], name) for name in constants]
    graph = helper.make_graph([CONV, step], "g", [], [], stored)
    edit_sizes(graph, labels, known, KEEP)
    found = {tensor.name: numpy_helper.to_array(tensor).tolist() for tensor in graph.initializer}
    return [found.get(name, name) for name in graph.node[1].input] + [graph.node[1]]


def test_a_shape_loses_the_channels_and_keeps_what_is_free() -> None:
    step = helper.make_node("Reshape", ["y", "s"], ["z"])
    for old, new in (([1, 12], [1, 8]), ([-1, 12], [-1, 8]), ([1, -1], [1, -1]), ([0, 12], [0, 8])):
        _, shape, _ = edited({"s": np.array(old), "z": np.zeros((1, 12))}, ["s"], step)
        assert shape == new


def test_a_computed_shape_is_left_alone() -> None:
    step = helper.make_node("Reshape", ["y", "s"], ["z"])
    _, shape, _ = edited({"s": np.array([1, 12]), "z": np.zeros((1, 12))}, [], step)
    assert shape == "s"


def test_parts_and_bounds_follow() -> None:
    halves = {"p": np.array([2, 1]), "a": np.zeros((1, 2, 2, 2)), "b": np.zeros((1, 1, 2, 2))}
    split = helper.make_node("Split", ["y", "p"], ["a", "b"], axis=1)
    assert edited(halves, ["p"], split)[1] == [1, 1]
    bounds = {"f": np.array([1]), "t": np.array([3]), "c": np.array([1]), "z": np.zeros((1, 2, 2, 2))}
    cut = helper.make_node("Slice", ["y", "f", "t", "c"], ["z"])
    assert edited(bounds, ["f", "t", "c"], cut)[1:3] == [[1], [2]]


def test_a_depthwise_convolution_has_a_group_for_each_channel_left() -> None:
    step = helper.make_node("Conv", ["y", "d"], ["z"], group=3)
    node = edited({"d": np.zeros((3, 1, 1, 1)), "z": np.zeros((1, 3, 2, 2))}, [], step)[-1]
    assert attribute(node, "group") == 2


def test_a_norm_without_weights_of_its_own_gets_shorter_ones() -> None:
    step = helper.make_node("InstanceNormalization", ["y", "one", "nil"], ["z"])
    numbers = {"one": np.array([1.0, 2.0, 3.0]), "nil": np.zeros(3), "z": np.zeros((1, 3, 2, 2))}
    assert edited(numbers, ["one", "nil"], step)[1:3] == [[1.0, 3.0], [0.0, 0.0]]


def test_macs_by_hand() -> None:
    labels = GraphLabels([CONV], VALUES, WEIGHTS, 0)
    whole = count_macs([CONV], labels, Survivors(np.ones(4, bool)), {"w": (3, 2, 1, 1)})
    left = count_macs([CONV], labels, Survivors(KEEP), {"w": (2, 2, 1, 1)})
    assert (whole, left) == (4 * 3 * 2, 4 * 2 * 2)
