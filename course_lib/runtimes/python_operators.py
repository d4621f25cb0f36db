"""A custom operator that is a Python function, called from inside of an ONNX model.

>>> content, operator = use_python_operator("model.onnx", "Relu", "Clamp2", lambda x: np.clip(x, 0, 2))
... # doctest: +SKIP
>>> operator.load(content).run(images)  # doctest: +SKIP

The package onnxruntime-extensions brings a library of operators for ONNX Runtime, one of which calls back
into Python. This is for trying an operator out, for reading a value in the middle of a model, and for
pre- and post-processing: each call copies its tensors and holds Python's global lock, and the file runs only
where this Python function is defined. What is to be deployed is written as an ONNX function
(`custom_operators`) or in C++.

An exception in the function would end the whole process, as C++ cannot pass it on. So it is caught, the
operator hands on NaN, and `PythonOperatorModel.run` raises what happened.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from threading import Lock

import numpy as np

from course_lib.errors import MissingPackageError, ModelError, SettingError
from course_lib.runtimes.custom_operators import read_model, replace_nodes
from course_lib.runtimes.onnx_model import OnnxModel
from course_lib.runtimes.onnx_runtime import OnnxRuntime
from course_lib.runtimes.protocol import Array, ModelSource

DOMAIN = "ai.onnx.contrib"
"""The only domain in which that library looks for Python operators."""

Compute = Callable[[Array], Array]

_FUNCTIONS: dict[str, Compute] = {}
"""Name → function. A name is registered with the library once; defining it again exchanges its function."""

_FAILURES: dict[str, Exception] = {}
"""Name → what its function raised in the run that is under way."""

_LOCK = Lock()


DAMAGING = ("0.15.2",)
"""Versions whose Python operators can hang or crash the process after a few calls, sometimes only after some
hundred (seen with Python 3.11 and onnxruntime 1.31)."""


def why_unavailable() -> str | None:
    """Return None, or one sentence if onnxruntime-extensions is missing or not safe to use."""
    if not find_spec("onnxruntime_extensions"):
        return str(_missing())
    found = version("onnxruntime-extensions")
    if found not in DAMAGING:
        return None
    return (
        f"Python operators of onnxruntime-extensions {found} can hang or crash the process after a few "
        "calls; write the operator as an ONNX function with use_function, or install another version."
    )


@dataclass(frozen=True)
class PythonOperatorModel:
    """A model that calls a Python function; `LoadedModel`, one run at a time."""

    model: OnnxModel = field(repr=False)
    operator: str

    @property
    def input_names(self) -> tuple[str, ...]:
        """Names of the inputs."""
        return self.model.input_names

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of the outputs."""
        return self.model.output_names

    @property
    def input_shape(self) -> tuple[int | None, ...] | None:
        """Shape of the first input; see `LoadedModel`."""
        return self.model.input_shape

    @property
    def threads(self) -> int:
        """How many threads the other operators compute with."""
        return self.model.threads

    def run(self, batch: Array) -> Array:
        """Return the output for one batch; see `LoadedModel.run`."""
        with _LOCK:
            _FAILURES.pop(self.operator, None)
            output = self.model.run(batch)
            failure = _FAILURES.pop(self.operator, None)
        if failure is not None:
            reason = str(failure).strip().split("\n")[0].rstrip(".")
            raise ModelError(
                f"The Python operator {self.operator} failed ({type(failure).__name__}: {reason}); "
                "correct its function and define it again with use_python_operator."
            ) from failure
        return output


@dataclass(frozen=True)
class PythonOperator:
    """A Python function that ONNX Runtime knows as an operator; made by `use_python_operator`."""

    name: str

    def load(self, source: ModelSource, *, threads: int = 1) -> PythonOperatorModel:
        """Create a session that finds the operator; see `Runtime.load`."""
        from onnxruntime_extensions import get_library_path

        runtime = OnnxRuntime(operator_libraries=(get_library_path(),))
        return PythonOperatorModel(runtime.load(source, threads=threads), self.name)


def use_python_operator(
    source: ModelSource, operator: str, name: str, compute: Compute
) -> tuple[bytes, PythonOperator]:
    """Replace every node of one operator by calls of a Python function.

    Parameters
    ----------
    operator
        The type of the nodes that are replaced, with one input and one output, such as "Relu".
    name
        What to call the new operator; the same name again exchanges its function, in loaded models as well.
    compute
        Takes and returns a float32 array. It is called once a node and run.

    Returns
    -------
    tuple
        The new content, and the operator, which loads it.

    Raises
    ------
    MissingPackageError
        If onnxruntime-extensions is not installed.
    SettingError
        If the name is no identifier.
    UnknownNameError, ModelError
        As `custom_operators.use_function`, or if the installed version is one of `DAMAGING`.
    """
    if not find_spec("onnxruntime_extensions"):
        raise _missing()
    if reason := why_unavailable():
        raise ModelError(reason)
    if not name.isidentifier():
        raise SettingError(f"{name!r} is no name for an operator; use letters, digits and _, such as Clamp2.")
    model = read_model(source)
    replace_nodes(model, operator, DOMAIN, name, 1, {})
    if name not in _FUNCTIONS:
        _register(name)
    _FUNCTIONS[name] = compute
    content: bytes = model.SerializeToString(deterministic=True)
    return content, PythonOperator(name)


def guarded(name: str, values: Array) -> Array:
    """Call the function of this name; keep what it raises, without its frames, and return NaN instead."""
    try:
        return np.ascontiguousarray(_FUNCTIONS[name](values), dtype=np.float32)
    except Exception as error:  # whatever the function raises
        _FAILURES[name] = error.with_traceback(None)
        return np.full_like(values, np.nan)


def _register(name: str) -> None:
    from onnxruntime_extensions import PyCustomOpDef, onnx_op

    kind = PyCustomOpDef.dt_float
    onnx_op(op_type=name, inputs=[kind], outputs=[kind])(partial(guarded, name))


def _missing() -> MissingPackageError:
    return MissingPackageError(
        "onnxruntime-extensions", "call Python from inside of a model", "make compilers"
    )
