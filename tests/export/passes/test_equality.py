import numpy as np
import pytest
from onnx import numpy_helper

from course_lib.errors import ModelError, ParityError
from course_lib.export.passes.equality import check_equal, random_inputs, run_reference
from tests.export.passes.small_graphs import model, node, run_ort


def scaled(factor: float, output: str = "y") -> object:
    return model([node("Mul", "x a", output)], {"x": ["batch", 3]}, [output], {"a": np.float32(factor)})


def test_reports_how_far_two_models_lie_apart() -> None:
    reports = check_equal(scaled(2), scaled(2.001), absolute_tolerance=1)
    x = random_inputs(scaled(2))["x"]
    assert x.shape == (2, 3)
    assert reports["y"].max_absolute == pytest.approx(np.abs(x * np.float32(2.001) - x * 2).max())


@pytest.mark.parametrize("run", [run_reference, run_ort])
def test_the_smallest_difference_is_found_without_a_tolerance(run) -> None:
    check_equal(scaled(2), scaled(2), run=run)
    with pytest.raises(
        ParityError, match=r"The output 'y' at \[\d, \d\] was .* computes something else; undo"
    ):
        check_equal(scaled(2), scaled(np.nextafter(np.float32(2), 3)), run=run)


def test_own_inputs_and_seeds() -> None:
    zero = {"x": np.zeros((1, 3), np.float32)}
    assert check_equal(scaled(2), scaled(3), inputs=zero)["y"].max_absolute == 0
    first, again, other = (random_inputs(scaled(2), seed)["x"] for seed in (1, 1, 2))
    assert (first == again).all()
    assert not (first == other).any()


def test_inputs_with_a_default_are_left_out() -> None:
    made = model([node("Mul", "x a", "y")], {"x": [2], "a": [1]}, ["y"])
    made.graph.initializer.append(numpy_helper.from_array(np.float32([2]), "a"))
    assert list(random_inputs(made)) == ["x"]


def test_errors() -> None:
    with pytest.raises(
        ParityError, match=r"The outputs of the first model are \['y'\] .* second \['z'\]; compare"
    ):
        check_equal(scaled(2), scaled(2, "z"))
    foreign = model([node("Neg", "x", "y")], {"x": [2]}, ["y"])
    foreign.graph.node[0].domain = "com.microsoft"
    with pytest.raises(ModelError, match=r"reference evaluator cannot run this model .*pass run="):
        check_equal(foreign, foreign)
    unknown = model([node("Neg", "x", "y")], {"x": [2]}, ["y"])
    unknown.graph.input[0].type.tensor_type.ClearField("shape")
    with pytest.raises(ModelError, match=r"The input 'x' is no tensor of a declared shape; pass inputs="):
        random_inputs(unknown)
