"""ONNX Runtime on the CPU: the runtime of the course.

Loading a model ("creating a session") optimizes its graph and lays the weights out for this CPU. That takes
milliseconds; running then only computes. How far the optimization goes is a choice:

=========  ==========================================================================================
off        the graph as it is in the file
basic      constants folded, needless nodes removed, BatchNormalization folded into the convolution
extended   further fusions that only this runtime's operators can express
all        the above, and a blocked memory layout for convolutions (NCHWc), where most of the gain is
=========  ==========================================================================================

Left out: other execution providers, I/O binding, profiling.
"""

from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np

from course_lib.errors import MissingPackageError, ModelError
from course_lib.registry import look_up
from course_lib.runtimes.onnx_errors import core_of, explain_load_error
from course_lib.runtimes.protocol import Array, ModelSource, check_threads

Optimization = Literal["off", "basic", "extended", "all"]

LEVELS = {
    "off": "ORT_DISABLE_ALL",
    "basic": "ORT_ENABLE_BASIC",
    "extended": "ORT_ENABLE_EXTENDED",
    "all": "ORT_ENABLE_ALL",
}
DTYPES = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(float16)": "float16",
    "tensor(int8)": "int8",
    "tensor(uint8)": "uint8",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(bool)": "bool",
}
FATAL_ONLY = 4  # every error also arrives as an exception, so the log has nothing to add


@dataclass(frozen=True)
class OnnxModel:
    """An ONNX Runtime session with the shapes and types that it declares."""

    session: Any = field(repr=False)
    threads: int
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]
    input_shape: tuple[int | None, ...] | None
    input_dtype: str

    def run(self, batch: Array) -> Array:
        """Return the output for one batch; see `LoadedModel.run`."""
        if len(self.input_names) != 1 or len(self.output_names) != 1:
            raise ModelError(
                "run is for models with one input and one output, and this one has the inputs "
                f"{self.input_names} and the outputs {self.output_names}; call session.run for it."
            )
        if not isinstance(batch, np.ndarray):
            raise ModelError(f"run takes a NumPy array, not {type(batch).__name__}; pass np.asarray(batch).")
        try:
            output: Array = self.session.run(self.output_names, {self.input_names[0]: batch})[0]
        except Exception as error:  # ONNX Runtime's errors have no base class of their own
            raise ModelError(self._why(batch, error)) from error
        return output

    def _why(self, batch: Array, error: Exception) -> str:
        """Explain a failed run; looking into it only now keeps the check out of every measured call."""
        if batch.dtype != self.input_dtype:
            return (
                f"The model takes {self.input_dtype} and the batch is {batch.dtype}; "
                f'pass batch.astype("{self.input_dtype}").'
            )
        wanted = self.input_shape
        if wanted is not None and (
            batch.ndim != len(wanted)
            or any(w not in (None, b) for w, b in zip(wanted, batch.shape, strict=True))
        ):
            free = ", ".join("any" if axis is None else str(axis) for axis in wanted)
            return (
                f"The model takes input of shape ({free}) and the batch has shape {batch.shape}; "
                "prepare the data as for training, with one axis for the batch first."
            )
        return (
            f"The model fails on a batch of shape {batch.shape} ({core_of(error)}); "
            "try the batch size that it was exported with, or export it with dynamic_batch=True."
        )


@dataclass(frozen=True)
class OnnxRuntime:
    """Loads ONNX files on the CPU.

    Parameters
    ----------
    optimization
        How far the graph is optimized while loading: "off", "basic", "extended" or "all".
    allow_spinning
        Whether idle threads wait for the next operator in a loop rather than asleep. With two threads this
        is faster on a quiet machine; with one thread there is nobody to wait.
    precise_int8
        Whether integer kernels on x64 avoid sums of 16 bits, which saturate on CPUs with AVX2 but without
        VNNI (its ``session.x64quantprecision``). Weights then become unsigned, and kernels slower, on CPUs
        with VNNI as well, which never saturate and need no such care.
    """

    optimization: Optimization = "all"
    allow_spinning: bool = True
    precise_int8: bool = False
    name: str = "onnxruntime"

    def why_unavailable(self) -> str | None:
        """Return None, or one sentence if the package is missing."""
        return None if find_spec("onnxruntime") else str(_missing())

    def load(self, source: ModelSource, *, threads: int = 1) -> OnnxModel:
        """Create a session from an ONNX file or its content; see `Runtime.load`."""
        return with_shapes(self.create_session(source, self.session_options(threads)), threads)

    def session_options(self, threads: int = 1) -> Any:
        """Return the options of this runtime as an ``onnxruntime.SessionOptions``."""
        check_threads(threads)
        level = look_up(LEVELS, "optimization level", self.optimization)
        if self.why_unavailable():
            raise _missing()
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = FATAL_ONLY
        options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
        options.add_session_config_entry("session.intra_op.allow_spinning", str(int(self.allow_spinning)))
        options.add_session_config_entry("session.x64quantprecision", str(int(self.precise_int8)))
        return options

    def create_session(self, source: ModelSource, options: Any) -> Any:
        """Return an ``onnxruntime.InferenceSession`` of an ONNX file or its content."""
        content, label = _content(source)
        import onnxruntime

        try:
            return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's errors have no base class of their own
            raise ModelError(explain_load_error(error, label)) from error


def with_shapes(session: Any, threads: int) -> OnnxModel:
    """Return a session as a model, with the shapes and types that it declares."""
    inputs = session.get_inputs()
    shape = tuple(axis if isinstance(axis, int) else None for axis in inputs[0].shape)
    return OnnxModel(
        session=session,
        threads=threads,
        input_names=tuple(value.name for value in inputs),
        output_names=tuple(value.name for value in session.get_outputs()),
        input_shape=shape or None,  # () stands for "no shape declared"
        input_dtype=DTYPES.get(inputs[0].type, inputs[0].type),
    )


def _content(source: ModelSource) -> tuple[str | bytes, str]:
    """Return what ONNX Runtime takes, and how a sentence about it begins."""
    if isinstance(source, bytes):
        return source, f"The ONNX content ({len(source):,} bytes)"
    if not isinstance(source, str | Path):
        raise ModelError(
            f"ONNX Runtime takes the path or the bytes of an ONNX file, not {type(source).__name__}; "
            "write one with export_onnx(model, example_inputs, path)."
        )
    path = Path(source)
    if not path.is_file():
        raise ModelError(
            f"There is no ONNX file at {path}; write it with export_onnx(model, example_inputs, path)."
        )
    return str(path), f"The file {path}"


def _missing() -> MissingPackageError:
    return MissingPackageError("onnxruntime", "run ONNX models", "pip install onnxruntime")
