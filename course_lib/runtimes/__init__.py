"""Runtimes that execute a model, behind one small protocol; none is imported before it is asked for."""

from collections.abc import Callable

from course_lib.registry import look_up
from course_lib.runtimes.protocol import LoadedModel, ModelSource, Runtime

__all__ = ["RUNTIMES", "LoadedModel", "ModelSource", "Runtime", "get_runtime", "list_runtimes"]


def _eager() -> Runtime:
    from course_lib.runtimes.eager import EagerRuntime

    return EagerRuntime()


def _coreml() -> Runtime:
    from course_lib.runtimes.coreml import CoreMl

    return CoreMl()


def _executorch() -> Runtime:
    from course_lib.runtimes.executorch import ExecuTorch

    return ExecuTorch()


def _litert() -> Runtime:
    from course_lib.runtimes.litert import LiteRt

    return LiteRt()


def _onnxruntime() -> Runtime:
    from course_lib.runtimes.onnx_runtime import OnnxRuntime

    return OnnxRuntime()


def _openvino() -> Runtime:
    from course_lib.runtimes.openvino import OpenVino

    return OpenVino()


def _tensorrt() -> Runtime:
    from course_lib.runtimes.tensorrt import TensorRt

    return TensorRt()


def _tensorrt_rtx() -> Runtime:
    from course_lib.runtimes.tensorrt import TensorRtRtx

    return TensorRtRtx()


RUNTIMES: dict[str, Callable[[], Runtime]] = {
    "coreml": _coreml,
    "eager": _eager,
    "executorch": _executorch,
    "litert": _litert,
    "onnxruntime": _onnxruntime,
    "openvino": _openvino,
    "tensorrt": _tensorrt,
    "tensorrt_rtx": _tensorrt_rtx,
}
"""Name → function that makes the runtime with its default options."""


def get_runtime(name: str) -> Runtime:
    """Return the runtime called ``name``, with its default options."""
    return look_up(RUNTIMES, "runtime", name)()


def list_runtimes() -> list[str]:
    """Return the names of all runtimes, sorted, whether or not they are installed here."""
    return sorted(RUNTIMES)
