import numpy as np
import pytest

from course_lib.errors import ModelError
from course_lib.export.passes.graph_model import drop_unread_weights, is_constant, to_graph, to_proto
from tests.export.passes.small_graphs import model, node, operators, stored_names


def test_there_and_back() -> None:
    before = model([node("Mul", "x a", "y")], {"x": [2]}, ["y"], {"a": np.float32(2), "b": np.float32(3)})
    linked = to_graph(before)
    assert is_constant(linked.graph.initializers["a"])
    assert not is_constant(linked.graph.inputs[0])
    assert not is_constant(None)
    drop_unread_weights(linked.graph)
    after = to_proto(linked)
    assert operators(after) == ["Mul"]
    assert stored_names(after) == {"a"}
    assert stored_names(before) == {"a", "b"}


def test_shapes_are_inferred_on_request() -> None:
    before = model([node("Neg", "x", "t"), node("Neg", "t", "y")], {"x": [2, 3]}, ["y"])
    shapes = [to_graph(before, shapes=asked).graph[0].outputs[0].shape for asked in (False, True)]
    assert shapes[0] is None
    assert list(shapes[1] or ()) == [2, 3]


def test_an_unsound_graph_is_refused() -> None:
    broken = model([node("Neg", "x", "y")], {"x": [2]}, ["y"])
    broken.graph.node[0].op_type = "Relu"
    broken.graph.output[0].name = "nowhere"
    with pytest.raises(ModelError, match="no node makes the output 'nowhere'"):
        to_graph(broken)
