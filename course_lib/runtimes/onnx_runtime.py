"""ONNX Runtime: the runtime of the course.

Loading a model ("creating a session") optimizes its graph and lays the weights out for this CPU. That takes
milliseconds; running then only computes. How far the optimization goes is a choice:

=========  ==========================================================================================
off        the graph as it is in the file
basic      constants folded, needless nodes removed, BatchNormalization folded into the convolution
extended   further fusions that only this runtime's operators can express
all        the above, and a blocked memory layout for convolutions (NCHWc), where most of the gain is
=========  ==========================================================================================

Beside this file: I/O binding (`io_binding`), the profiler's timeline (`timeline`), measured memory
(`session_memory`) and operators of your own (`custom_operators`).
"""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, Literal

from course_lib.errors import MissingPackageError, ModelError, SettingError
from course_lib.registry import look_up
from course_lib.runtimes.compilation import PRECISIONS, ModelToCompile, Precision, refuse_precision
from course_lib.runtimes.compiled_files import write_whole
from course_lib.runtimes.onnx_errors import core_of, explain_load_error
from course_lib.runtimes.onnx_model import OnnxModel, with_shapes
from course_lib.runtimes.onnx_providers import CPU, check_providers, check_started
from course_lib.runtimes.protocol import ModelSource, check_threads

__all__ = ["LEVELS", "ExecutionMode", "OnnxModel", "OnnxRuntime", "Optimization", "with_shapes"]

Optimization = Literal["off", "basic", "extended", "all"]
ExecutionMode = Literal["sequential", "parallel"]

LEVELS = {
    "off": "ORT_DISABLE_ALL",
    "basic": "ORT_ENABLE_BASIC",
    "extended": "ORT_ENABLE_EXTENDED",
    "all": "ORT_ENABLE_ALL",
}
EXECUTION_MODES = {"sequential": "ORT_SEQUENTIAL", "parallel": "ORT_PARALLEL"}
FATAL_ONLY = 4  # every error also arrives as an exception, so the log has nothing to add


@dataclass(frozen=True)
class OnnxRuntime:
    """Loads ONNX files, and writes them: as a compiler its compiled form is the ONNX file itself.

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
    stop_spinning
        Whether threads that spin fall asleep at the end of a run (``session.force_spinning_stop``).
        Otherwise they go on for some ten milliseconds, which the next run finds them awake in, and which
        everything else on the machine has a core less for.
    arena
        Whether activations come from a pool that the session keeps between runs, or from the system anew.
    arena_shrinkage
        Whether the pool gives memory back to the system after every run. How much that is, and what it costs
        in time, has to be measured (`session_memory`).
    memory_pattern
        Whether the places of all activations are planned from the first run of each input shape and then
        taken in one piece. It has no effect with "parallel".
    execution_mode
        "sequential" runs one operator after the other, each divided among all threads; "parallel" runs
        branches of the graph at the same time, each operator on one thread of its own.
    execution_providers
        Who computes, in order of preference; see `onnx_providers`.
    operator_libraries
        Paths of shared libraries with further operators; see `custom_operators`.
    """

    optimization: Optimization = "all"
    allow_spinning: bool = True
    precise_int8: bool = False
    stop_spinning: bool = False
    arena: bool = True
    arena_shrinkage: bool = False
    memory_pattern: bool = True
    execution_mode: ExecutionMode = "sequential"
    execution_providers: tuple[str, ...] = (CPU,)
    operator_libraries: tuple[str, ...] = ()
    name: str = "onnxruntime"
    suffix: ClassVar[str] = ".onnx"
    precisions: ClassVar[tuple[Precision, ...]] = PRECISIONS

    def why_unavailable(self) -> str | None:
        """Return None, or one sentence if the package is missing."""
        return None if find_spec("onnxruntime") else str(_missing())

    def why_not_run(self) -> str | None:
        """Return None where ONNX Runtime is installed: its files run on every machine."""
        return self.why_unavailable()

    def version(self) -> str:
        """Return the version of the installed package."""
        if self.why_unavailable():
            raise _missing()
        import onnxruntime

        version: str = onnxruntime.__version__
        return version

    def compile(self, model: ModelToCompile, path: Path, precision: Precision = "fp32") -> Path:
        """Write the model's ONNX file of a precision, once a session has taken it; see `Compiler.compile`.

        Graph optimization happens while loading, for the machine that loads.
        """
        refuse_precision(self, precision)
        options = self.session_options()
        content = model.onnx(precision, "onnxruntime")
        self.create_session(content, options)
        return write_whole(content, path)

    def load(self, source: ModelSource, *, threads: int = 1) -> OnnxModel:
        """Create a session from an ONNX file or its content; see `Runtime.load`."""
        session = self.create_session(source, self.session_options(threads))
        return with_shapes(session, threads, self.run_options())

    def session_options(self, threads: int = 1) -> Any:
        """Return the options of this runtime as an ``onnxruntime.SessionOptions``."""
        check_threads(threads)
        level = look_up(LEVELS, "optimization level", self.optimization)
        mode = look_up(EXECUTION_MODES, "execution mode", self.execution_mode)
        if self.arena_shrinkage and not self.arena:
            raise SettingError(
                "arena_shrinkage gives back what the arena keeps, and with arena=False there is none; "
                "leave one of the two out."
            )
        if self.why_unavailable():
            raise _missing()
        import onnxruntime

        options = onnxruntime.SessionOptions()
        parallel = self.execution_mode == "parallel"
        options.intra_op_num_threads = 1 if parallel else threads
        options.inter_op_num_threads = threads if parallel else 1
        options.log_severity_level = FATAL_ONLY
        options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
        options.execution_mode = getattr(onnxruntime.ExecutionMode, mode)
        options.enable_cpu_mem_arena = self.arena
        options.enable_mem_pattern = self.memory_pattern and not parallel
        options.add_session_config_entry("session.intra_op.allow_spinning", str(int(self.allow_spinning)))
        options.add_session_config_entry("session.inter_op.allow_spinning", str(int(self.allow_spinning)))
        options.add_session_config_entry("session.force_spinning_stop", str(int(self.stop_spinning)))
        options.add_session_config_entry("session.x64quantprecision", str(int(self.precise_int8)))
        for library in self.operator_libraries:
            try:
                options.register_custom_ops_library(library)
            except Exception as error:  # ONNX Runtime's errors have no base class of their own
                raise SettingError(
                    f"{library} is no library of operators for ONNX Runtime ({core_of(error)}); "
                    "pass the path of a shared library that was built for it."
                ) from error
        return options

    def run_options(self) -> Any:
        """Return what goes along with every run, or None for the runtime's own."""
        if not self.arena_shrinkage:
            return None
        import onnxruntime

        options = onnxruntime.RunOptions()
        options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        return options

    def create_session(self, source: ModelSource, options: Any) -> Any:
        """Return an ``onnxruntime.InferenceSession`` of an ONNX file or its content."""
        content, label = _content(source)
        check_providers(self.execution_providers)
        import onnxruntime

        try:
            session = onnxruntime.InferenceSession(content, options, providers=list(self.execution_providers))
        except Exception as error:  # ONNX Runtime's errors have no base class of their own
            raise ModelError(explain_load_error(error, label)) from error
        check_started(session, self.execution_providers)
        return session


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
