"""The targets of the compile command; none is imported before it is asked for."""

from collections.abc import Callable

from course_lib.runtimes.compilation import Compiler


def _onnxruntime() -> Compiler:
    from course_lib.runtimes.onnx_runtime import OnnxRuntime

    return OnnxRuntime()


def _openvino() -> Compiler:
    from course_lib.runtimes.openvino import OpenVino

    return OpenVino()


def _litert() -> Compiler:
    from course_lib.runtimes.litert import LiteRt

    return LiteRt()


def _executorch() -> Compiler:
    from course_lib.runtimes.executorch import ExecuTorch

    return ExecuTorch()


def _coreml() -> Compiler:
    from course_lib.runtimes.coreml import CoreMl

    return CoreMl()


def _tensorrt_rtx(compute_capability: str) -> Callable[[], Compiler]:
    def make() -> Compiler:
        from course_lib.runtimes.tensorrt import TensorRtRtx

        return TensorRtRtx(compute_capability=compute_capability)

    return make


def _tensorrt() -> Compiler:
    from course_lib.runtimes.tensorrt import TensorRt

    return TensorRt()


TARGETS: dict[str, Callable[[], Compiler]] = {
    "onnxruntime": _onnxruntime,
    "openvino": _openvino,
    "litert": _litert,
    "executorch": _executorch,
    "coreml": _coreml,
    "tensorrt_rtx_sm86": _tensorrt_rtx("SM86"),
    "tensorrt_rtx_sm89": _tensorrt_rtx("SM89"),
    "tensorrt_rtx_sm120": _tensorrt_rtx("SM120"),
    "tensorrt": _tensorrt,
}
"""Name → function that makes its compiler. A GPU's compute capability is part of the name: an engine built
for one does not run on another."""
