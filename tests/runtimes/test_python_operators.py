"""A Python function as an operator: what guards it, and why the package may be refused.

The library that calls it is not run here: version 0.15.2 can hang or crash the process that runs it.
"""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from onnx import helper

from course_lib.errors import CourseError, MissingPackageError, ModelError
from course_lib.runtimes import python_operators as module
from course_lib.runtimes.onnx_runtime import OnnxRuntime
from course_lib.runtimes.protocol import LoadedModel
from course_lib.runtimes.python_operators import PythonOperatorModel, use_python_operator, why_unavailable
from tests.runtimes.conftest import build_model

BATCH = np.array([[-3.0, 1.0, 5.0]], np.float32)
RELU = build_model([helper.make_node("Relu", ["input"], ["logits"])]).SerializeToString()


@pytest.fixture
def present(monkeypatch) -> list[str]:
    """A package of a sound version that only notes which names are registered."""
    registered: list[str] = []

    def onnx_op(op_type: str, inputs: list, outputs: list):
        registered.append(op_type)
        return lambda function: function

    package = SimpleNamespace(
        onnx_op=onnx_op, PyCustomOpDef=SimpleNamespace(dt_float=1), __spec__=SimpleNamespace()
    )
    monkeypatch.setitem(sys.modules, "onnxruntime_extensions", package)
    monkeypatch.setattr(module, "version", lambda name: "99.0")
    monkeypatch.setattr(module, "_FUNCTIONS", {})
    return registered


def test_a_node_becomes_the_operator_and_a_name_is_registered_once(present) -> None:
    content, operator = use_python_operator(RELU, "Relu", "Clamp2", lambda values: np.clip(values, 0, 2))
    use_python_operator(RELU, "Relu", "Clamp2", lambda values: values.astype(np.float64) * 2)
    assert present == ["Clamp2"]
    assert operator.name == "Clamp2"
    assert b"ai.onnx.contrib" in content
    found = module.guarded("Clamp2", BATCH)
    assert (found.dtype, found.tolist()) == (np.float32, [[-6.0, 2.0, 10.0]])


@pytest.mark.parametrize(
    ("function", "reason"),
    [(lambda values: 1 / 0, "ZeroDivisionError: division by zero"), (lambda values: "five", "ValueError: ")],
)
def test_an_exception_waits_for_the_end_of_the_run(present, function, reason) -> None:
    use_python_operator(RELU, "Relu", "Failing", function)

    class Session:
        def run(self, batch):
            return module.guarded("Failing", batch)

    loaded = PythonOperatorModel(Session(), "Failing")
    with pytest.raises(ModelError) as caught:
        loaded.run(BATCH)
    assert str(caught.value).startswith(f"The Python operator Failing failed ({reason}")
    assert str(caught.value).endswith("correct its function and define it again with use_python_operator.")
    assert "\n" not in str(caught.value)
    use_python_operator(RELU, "Relu", "Failing", np.abs)
    assert loaded.run(BATCH).tolist() == [[3.0, 1.0, 5.0]]


def test_it_is_a_loaded_model() -> None:
    loaded = PythonOperatorModel(OnnxRuntime().load(RELU, threads=2), "None")
    assert isinstance(loaded, LoadedModel)
    assert (loaded.input_names, loaded.output_names, loaded.threads) == (("input",), ("logits",), 2)
    assert loaded.input_shape == (None, 3)
    assert loaded.run(BATCH).tolist() == [[0.0, 1.0, 5.0]]


def test_bad_input(present) -> None:
    with pytest.raises(CourseError, match="'a b' is no name for an operator; use letters, digits and _"):
        use_python_operator(RELU, "Relu", "a b", np.abs)
    with pytest.raises(CourseError, match="There is no operator in this model called 'Gelu'"):
        use_python_operator(RELU, "Gelu", "Name", np.abs)


def test_a_version_that_can_crash_is_refused(present, monkeypatch) -> None:
    assert why_unavailable() is None
    monkeypatch.setattr(module, "version", lambda name: module.DAMAGING[0])
    with pytest.raises(ModelError) as caught:
        use_python_operator(RELU, "Relu", "Name", np.abs)
    assert str(caught.value) == why_unavailable()
    assert str(caught.value) == (
        "Python operators of onnxruntime-extensions 0.15.2 can hang or crash the process after a few calls; "
        "write the operator as an ONNX function with use_function, or install another version."
    )


def test_package_missing(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime_extensions", None)
    with pytest.raises(MissingPackageError) as caught:
        use_python_operator(RELU, "Relu", "Name", np.abs)
    assert str(caught.value) == why_unavailable()
    assert "install it with: make compilers" in str(caught.value)
