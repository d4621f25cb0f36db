"""The targets of the compile command; none is imported before it is asked for."""

from collections.abc import Callable
from typing import cast

from course_lib.runtimes import get_runtime
from course_lib.runtimes.compilation import Compiler


def _by_default(name: str) -> Callable[[], Compiler]:
    return lambda: cast(Compiler, get_runtime(name))


def _tensorrt_rtx(compute_capability: str) -> Callable[[], Compiler]:
    def make() -> Compiler:
        from course_lib.runtimes.tensorrt import TensorRtRtx

        return TensorRtRtx(compute_capability=compute_capability)

    return make


TARGETS: dict[str, Callable[[], Compiler]] = {
    **{name: _by_default(name) for name in ("onnxruntime", "openvino", "litert", "executorch", "coreml")},
    "tensorrt_rtx_sm86": _tensorrt_rtx("SM86"),
    "tensorrt_rtx_sm89": _tensorrt_rtx("SM89"),
    "tensorrt_rtx_sm120": _tensorrt_rtx("SM120"),
    "tensorrt": _by_default("tensorrt"),
}
"""Name → function that makes its compiler. A GPU's compute capability is part of the name: an engine built
for one does not run on another."""
