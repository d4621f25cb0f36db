"""Runtimes that execute a model, behind one small protocol; none is imported before it is asked for."""

from collections.abc import Callable

from course_lib.registry import look_up
from course_lib.runtimes.protocol import LoadedModel, ModelSource, Runtime

__all__ = ["RUNTIMES", "LoadedModel", "ModelSource", "Runtime", "get_runtime", "list_runtimes"]


def _eager() -> Runtime:
    from course_lib.runtimes.eager import EagerRuntime

    return EagerRuntime()


def _onnxruntime() -> Runtime:
    from course_lib.runtimes.onnx_runtime import OnnxRuntime

    return OnnxRuntime()


RUNTIMES: dict[str, Callable[[], Runtime]] = {"eager": _eager, "onnxruntime": _onnxruntime}
"""Name → function that makes the runtime with its default options."""


def get_runtime(name: str) -> Runtime:
    """Return the runtime called ``name``, with its default options."""
    return look_up(RUNTIMES, "runtime", name)()


def list_runtimes() -> list[str]:
    """Return the names of all runtimes, sorted, whether or not they are installed here."""
    return sorted(RUNTIMES)
