"""OpenVINO on the CPU: Intel's compiler for its own processors, which also runs on AMD's and on Arm.

An ONNX file is translated into OpenVINO's own form, an ``.xml`` file with the graph and a ``.bin`` file with
the weights beside it. Loading that form chooses kernels for this CPU, as creating a session does in ONNX
Runtime.

What "float32" means is a setting of its own here: on a CPU with bfloat16 instructions OpenVINO rounds weights
and activations to the 8 significant bits of bfloat16 unless told not to. `OpenVino` tells it, so that a
float32 model is computed in float32 everywhere; with ``exact=False`` it may round, and parity shows by how
much (7e-2 instead of 1e-6 on the scores of the model "depthwise", on a CPU that has the instructions).

Left out: GPUs and NPUs, several requests at a time (the THROUGHPUT hint), OpenVINO's own quantizer (NNCF).
"""

from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any

from course_lib.errors import MissingPackageError, ModelError
from course_lib.runtimes.batch_checks import check_batch, check_single
from course_lib.runtimes.compilation import ModelToCompile, Precision, refuse_precision
from course_lib.runtimes.compiled_files import not_written
from course_lib.runtimes.onnx_content import check_opset, read_onnx
from course_lib.runtimes.openvino_errors import core_of, explain_load_error, explain_translation_error
from course_lib.runtimes.protocol import Array, ModelSource, check_threads

HIGHEST_OPSET = 27
"""The newest opset that the ONNX reader of OpenVINO 2026.4 is built with."""

DTYPES = {
    "f32": "float32",
    "f16": "float16",
    "f64": "float64",
    "i8": "int8",
    "u8": "uint8",
    "boolean": "bool",
}
DTYPES |= {"i32": "int32", "i64": "int64", "i16": "int16", "u16": "uint16", "u32": "uint32", "u64": "uint64"}


@dataclass(frozen=True)
class OpenVinoModel:
    """A model compiled for this CPU.

    ``inference_precision`` is what the plug-in computes float layers with, as it says itself: "f32", "f16" or
    "bf16". Calls from several threads take turns.
    """

    compiled: Any = field(repr=False)
    threads: int
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]
    input_shape: tuple[int | None, ...] | None
    input_dtype: str
    inference_precision: str
    request: Any = field(repr=False)
    turn: Lock = field(default_factory=Lock, repr=False)

    def run(self, batch: Array) -> Array:
        """Return the output for one batch; see `LoadedModel.run`."""
        check_single(self.input_names, self.output_names)
        check_batch(batch, self.input_dtype, self.input_shape)  # OpenVINO would convert another type
        try:
            with self.turn:
                output: Array = self.request.infer([batch], share_inputs=True)[0]
        except RuntimeError as error:
            raise ModelError(
                f"The model fails on a batch of shape {batch.shape} ({core_of(error)}); "
                "try the batch size that it was exported with, or export it with dynamic_batch=True."
            ) from error
        return output


@dataclass(frozen=True)
class OpenVino:
    """Compiles for the CPU, and loads its own files or ONNX files.

    Parameters
    ----------
    exact
        Whether float32 is computed in float32, and float16 in float32 where the CPU cannot compute in
        float16. Otherwise OpenVINO chooses, which is bfloat16 on a CPU that has it.
    """

    exact: bool = True
    name: str = "openvino"
    suffix: str = ".xml"
    precisions: tuple[Precision, ...] = ("fp32", "fp16", "int8")

    def why_unavailable(self) -> str | None:
        """Return None, or one sentence if the package is missing."""
        return None if find_spec("openvino") else str(_missing())

    def why_not_run(self) -> str | None:
        """Return None: wherever OpenVINO is installed it runs on the CPU."""
        return self.why_unavailable()

    def version(self) -> str:
        """Return the version of the installed package."""
        self._require()
        return version("openvino")

    def compile(self, model: ModelToCompile, path: Path, precision: Precision = "fp32") -> Path:
        """Write ``path`` and the weights beside it, which end in ``.bin``; see `Compiler.compile`.

        Both are complete before one of them is moved, and the old graph goes before the new weights come. So
        a graph never lies beside the weights of another.
        """
        refuse_precision(self, precision)
        self._require()
        translated = self._translate(model.onnx(precision, "onnxruntime"))
        import openvino

        path = Path(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
                graph = Path(folder) / "model.xml"
                openvino.save_model(translated, graph, compress_to_fp16=False)
                _core().read_model(graph)  # a full disk leaves it cut short, without an error
                path.unlink(missing_ok=True)
                graph.with_suffix(".bin").replace(path.with_suffix(".bin"))
                graph.replace(path)
        except OSError as error:
            raise not_written(path, error) from error
        except RuntimeError as error:
            raise not_written(path, OSError(core_of(error))) from error
        return path

    def load(self, source: ModelSource, *, threads: int = 1) -> OpenVinoModel:
        """Choose kernels for an ``.xml`` file, an ONNX file or its content; see `Runtime.load`."""
        check_threads(threads)
        self._require()
        if isinstance(source, str | Path) and Path(source).suffix == self.suffix:
            model = _read(Path(source))
        else:
            model = self._translate(source)
        options = {"PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": "1", "INFERENCE_NUM_THREADS": str(threads)}
        if self.exact:
            options["INFERENCE_PRECISION_HINT"] = _exact_precision(model)
        try:
            compiled = _core().compile_model(model, "CPU", options)
        except RuntimeError as error:
            raise ModelError(
                f"OpenVINO cannot compile the model for this CPU ({core_of(error)}); "
                "run it with ONNX Runtime instead."
            ) from error
        first = compiled.inputs[0]
        shape = first.partial_shape
        lengths = None if shape.rank.is_dynamic else tuple(_length(axis) for axis in shape)
        return OpenVinoModel(
            compiled=compiled,
            threads=threads,
            input_names=tuple(_name(each) for each in compiled.inputs),
            output_names=tuple(_name(each) for each in compiled.outputs),
            input_shape=lengths,
            input_dtype=DTYPES.get(first.element_type.to_string(), first.element_type.to_string()),
            inference_precision=compiled.get_property("INFERENCE_PRECISION_HINT").to_string(),
            request=compiled.create_infer_request(),
        )

    def _translate(self, source: ModelSource) -> Any:
        """Return an ONNX file or its content as an OpenVINO model."""
        graph = read_onnx(source, "OpenVINO")
        check_opset(graph, HIGHEST_OPSET, "OpenVINO")
        try:
            return _core().read_model(source)
        except RuntimeError as error:
            raise ModelError(explain_translation_error(error, graph)) from error

    def _require(self) -> None:
        if self.why_unavailable():
            raise _missing()


@cache
def _core() -> Any:
    import openvino

    return openvino.Core()


def _read(path: Path) -> Any:
    """Return a model in OpenVINO's own form."""
    for file in (path, path.with_suffix(".bin")):
        if not file.is_file():
            raise ModelError(f"There is no file {file}; write both files again with OpenVino().compile.")
    if b"<net" not in path.read_bytes()[:1000]:  # on other files every reader is tried, and some of them talk
        raise ModelError(f"{path} is not an OpenVINO graph; write it again with OpenVino().compile.")
    try:
        return _core().read_model(path)
    except RuntimeError as error:
        raise ModelError(explain_load_error(error, path)) from error


def _exact_precision(model: Any) -> str:
    """Return "f16" for a float16 model on a CPU that computes in float16, and else "f32"."""
    halves = any(
        operator.get_type_name() == "Constant" and operator.get_output_element_type(0).to_string() == "f16"
        for operator in model.get_ops()
    )
    return "f16" if halves and "FP16" in _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES") else "f32"


def _name(port: Any) -> str:
    """Return the name in the ONNX file; a port with casts behind it has other names as well."""
    return str(port.get_node().get_friendly_name()).split("/sink_port_")[0]


def _length(axis: Any) -> int | None:
    return None if axis.is_dynamic else int(axis.get_length())


def _missing() -> MissingPackageError:
    return MissingPackageError("openvino", "compile models with OpenVINO", "make compilers")
