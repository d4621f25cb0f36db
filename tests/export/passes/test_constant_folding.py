from collections import Counter

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper

from course_lib.errors import ModelError, SettingError
from course_lib.export.passes.constant_folding import fold_constants
from course_lib.export.passes.equality import check_equal, run_reference
from tests.export.passes.small_graphs import model, node, operators, run_ort, stored_names


def test_a_sum_of_constants_by_hand() -> None:
    before = model(
        [node("Add", "a b", "c"), node("Mul", "c c", "d"), node("Add", "x d", "y")],
        {"x": [2]},
        ["y"],
        {"a": np.float32([1, 2]), "b": np.float32([3, 4])},
    )
    after = fold_constants(before)
    assert operators(after) == ["Add"]
    (stored,) = after.graph.initializer
    assert stored.name == "d"
    assert numpy_helper.to_array(stored).tolist() == [16, 36]


def test_a_shape_with_fixed_axes_is_constant_and_a_free_one_is_not() -> None:
    nodes = [node("Shape", "x", "s"), node("Gather", "s one", "n"), node("Mul", "x n_float", "y")]
    nodes.insert(2, node("Cast", "n", "n_float", to=1))
    for shape, left in (([2, 3], ["Mul"]), (["batch", "width"], ["Shape", "Gather", "Cast", "Mul"])):
        before = model(nodes, {"x": shape}, ["y"], {"one": np.int64(1)})
        assert operators(fold_constants(before)) == left
    # Where only the batch is free, what is not read from it folds as well.
    sliced = [node("Shape", "x", "s", start=1), *nodes[1:]]
    before = model(sliced, {"x": ["batch", 3]}, ["y"], {"one": np.int64(0)})
    after = fold_constants(before)
    assert operators(after) == ["Mul"]
    check_equal(before, after)


def test_constant_nodes_become_stored_values() -> None:
    value = numpy_helper.from_array(np.float32([5]))
    before = model([node("Constant", "", "c", value=value), node("Add", "x c", "y")], {"x": [1]}, ["y"])
    after = fold_constants(before)
    assert operators(after) == ["Add"]
    assert stored_names(after) == {"c"}


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_random_graphs_compute_the_same(data: st.DataObject) -> None:
    names, nodes = ["x", "a", "b"], []
    for index in range(data.draw(st.integers(1, 8))):
        operator = data.draw(st.sampled_from(["Add", "Sub", "Mul", "Max", "Neg"]))
        reads = [data.draw(st.sampled_from(names)) for _ in range(1 if operator == "Neg" else 2)]
        nodes.append(node(operator, " ".join(reads), f"t{index}"))
        names.append(f"t{index}")
    stored = {"a": np.float32([1.5, -2]), "b": np.float32([[3], [0.25]])}
    before = model([*nodes, node("Add", f"{names[-1]} x", "y")], {"x": [2, 2]}, ["y"], stored)
    after = fold_constants(before)
    for run in (run_reference, run_ort):
        check_equal(before, after, run=run)
    constant = {"a", "b"}
    for each in nodes:
        if constant.issuperset(each.input):
            constant.add(each.output[0])
    assert not any(constant.issuperset(each.input) for each in after.graph.node)


def test_a_transformer_computes_the_same_and_transposes_no_weight_any_more(transformer) -> None:
    from course_lib.export.onnx_source import read_onnx

    before = read_onnx(transformer.content)
    after = fold_constants(before)
    for run in (run_reference, run_ort):
        check_equal(before, after, run=run, absolute_tolerance=1e-6)
    gone = Counter(operators(before)) - Counter(operators(after))
    assert gone == {"Transpose": 4}  # the weights of the linear layers on sequences
    makers = {name: each for each in after.graph.node for name in each.output}
    read = {name for each in after.graph.node for name in each.input}
    assert read <= {*makers, *stored_names(after), "image", ""}


def test_what_must_stay_stays() -> None:
    stored = {"shape": np.int64([2]), "q": np.int8([1, 2]), "scale": np.float32(0.5)}
    nodes = [
        node("RandomNormal", "", "r", shape=[2]),
        node("DequantizeLinear", "q scale", "w"),
        node("Add", "r w", "y"),
        node("Neg", "scale", "z"),
    ]
    before = model(nodes, {}, ["y", "z"], stored)
    assert operators(fold_constants(before)) == ["RandomNormal", "DequantizeLinear", "Add", "Neg"]


def test_an_input_with_a_default_is_not_constant() -> None:
    before = model(
        [node("Neg", "a", "b"), node("Add", "b x", "y")], {"x": [1], "a": [1]}, ["y"], {"a": np.float32([2])}
    )
    assert operators(fold_constants(before)) == ["Neg", "Add"]


def test_large_results_are_left_to_the_runtime() -> None:
    nodes = [node("Expand", "a shape", "big"), node("ReduceSum", "big", "s"), node("Add", "s x", "y")]
    before = model(nodes, {"x": [1]}, ["y"], {"a": np.float32([1]), "shape": np.int64([1000, 1000])})
    assert operators(fold_constants(before)) == ["Expand", "ReduceSum", "Add"]
    assert operators(fold_constants(before, largest_bytes=4_000_000)) == ["Add"]


def test_the_model_given_is_untouched_and_content_is_taken_too(transformer) -> None:
    before = onnx.load_from_string(transformer.content)
    after = fold_constants(before)
    assert before.SerializeToString(deterministic=True) == transformer.content
    assert operators(fold_constants(transformer.content)) == operators(after)


def test_errors() -> None:
    with pytest.raises(ModelError, match=r"The content \(5 bytes\) is not an ONNX model or is cut short"):
        fold_constants(b"hello")
    with pytest.raises(SettingError, match=r"largest_bytes is -1; pass 0 or more"):
        fold_constants(b"", largest_bytes=-1)
