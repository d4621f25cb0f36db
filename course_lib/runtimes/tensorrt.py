"""TensorRT: NVIDIA's compiler, which turns a graph into an engine for one kind of GPU.

TensorRT for RTX builds engines ahead of time on any x86 machine, without a GPU. What it builds for is a
compute capability, the generation of the GPU: SM86 is Ampere (RTX 30), SM89 Ada (RTX 40), SM120 Blackwell
(RTX 50). An engine for one of them is of no use to another.

Networks are strongly typed: every tensor has the type that the ONNX file gives it. So float16 needs a float16
file, and int8 a file with QuantizeLinear and DequantizeLinear nodes, symmetric and with biases in float.

The full TensorRT has the same Python interface. It builds for the GPU in the machine, by measuring kernels on
it, and needs NVIDIA's own installer.

Left out: dynamic shapes (optimization profiles), refitting, several compute capabilities in one engine.
"""

from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from course_lib.errors import MissingPackageError, ModelError, UnknownNameError
from course_lib.runtimes.compilation import ModelToCompile, Precision, refuse_precision
from course_lib.runtimes.compiled_files import write_whole
from course_lib.runtimes.onnx_content import check_fixed_shapes, check_opset, read_onnx
from course_lib.runtimes.protocol import ModelSource, check_threads
from course_lib.runtimes.tensorrt_device import why_no_gpu
from course_lib.runtimes.tensorrt_engine import TensorRtModel, load_engine
from course_lib.runtimes.tensorrt_errors import explain_build, explain_parser_errors
from course_lib.runtimes.tensorrt_log import EngineLayer, parse_layers
from course_lib.runtimes.tensorrt_logger import Message, recorded

HIGHEST_OPSET = 25
"""The newest opset that NVIDIA's support matrix names for this generation of TensorRT (11)."""


@dataclass(frozen=True)
class EngineBuild:
    """A built engine, and what the builder said meanwhile.

    ``content`` goes into a file as it is; ``layers`` are the engine's kernels in order.
    """

    content: bytes = field(repr=False)
    messages: tuple[Message, ...] = field(repr=False)
    layers: tuple[EngineLayer, ...] = field(repr=False)

    @property
    def size_bytes(self) -> int:
        """The length of the engine."""
        return len(self.content)


@dataclass(frozen=True)
class TensorRt:
    """The full TensorRT: builds for the GPU of this machine.

    Parameters
    ----------
    compute_capability
        What to build for, such as "SM89"; None for the GPU in this machine.
    package
        The Python package.
    title
        Its name in messages.
    """

    compute_capability: str | None = None
    package: str = "tensorrt"
    title: str = "TensorRT"
    name: str = "tensorrt"
    suffix: str = ".engine"
    precisions: tuple[Precision, ...] = ("fp32", "fp16", "int8")

    def why_unavailable(self) -> str | None:
        """Return None, or one sentence if the package is missing."""
        return None if find_spec(self.package) else str(self._missing())

    def why_not_run(self) -> str | None:
        """Return None if this machine has the GPU that engines of this compiler are built for."""
        wanted = (self.compute_capability,) if self.compute_capability else ()
        return self.why_unavailable() or why_no_gpu(wanted)

    def version(self) -> str:
        """Return the version of the installed package."""
        return str(self._trt().__version__)

    def compile(self, model: ModelToCompile, path: Path, precision: Precision = "fp32") -> Path:
        """Build an engine and write it; see `Compiler.compile`."""
        refuse_precision(self, precision)
        self._trt()
        return write_whole(self.build(model.onnx(precision, "tensorrt")).content, path)

    def build(self, source: ModelSource) -> EngineBuild:
        """Build an engine from an ONNX file or its content.

        Raises
        ------
        ModelError
            If TensorRT does not take this model or does not build it for this compute capability, with its
            own reason.
        UnknownNameError
            If it knows no such compute capability.
        MissingPackageError
            If the package is not installed.
        """
        trt = self._trt()
        graph = read_onnx(source, self.title)
        check_opset(graph, HIGHEST_OPSET, self.title)
        check_fixed_shapes(graph, self.title)
        with recorded(self.package) as (logger, messages):
            try:
                builder = trt.Builder(logger)
            except TypeError as error:  # the full package makes none where there is no driver
                raise ModelError(explain_build(messages, self.title)) from error
            network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
            parser = trt.OnnxParser(network, logger)
            parsed = (
                parser.parse(source) if isinstance(source, bytes) else parser.parse_from_file(str(source))
            )
            if not parsed or parser.num_errors:
                raise ModelError(explain_parser_errors(parser, self.title))
            content = builder.build_serialized_network(network, self._config(trt, builder))
            if content is None:
                raise ModelError(explain_build(messages, self._target()))
            return EngineBuild(
                content=bytes(content),
                messages=tuple(messages),
                layers=parse_layers(message.text for message in messages),
            )

    def load(self, source: ModelSource, *, threads: int = 1) -> TensorRtModel:
        """Make an engine ready to run on the GPU of this machine; see `Runtime.load`.

        ``threads`` is kept and has no effect: a GPU computes with all it has.
        """
        check_threads(threads)
        return load_engine(source, self._trt(), self.package, self.title, threads)

    def _config(self, trt: Any, builder: Any) -> Any:
        config = builder.create_builder_config()
        config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
        if self.compute_capability is not None:
            capabilities = {
                name: each
                for name, each in trt.ComputeCapability.__members__.items()
                if name.startswith("SM")
            }
            if self.compute_capability not in capabilities:
                raise UnknownNameError("compute capability", self.compute_capability, capabilities)
            config.num_compute_capabilities = 1
            config.set_compute_capability(capabilities[self.compute_capability], 0)
        return config

    def _target(self) -> str:
        return f"{self.title} for {self.compute_capability}" if self.compute_capability else self.title

    def _trt(self) -> Any:
        if self.why_unavailable():
            raise self._missing()
        try:
            return import_module(self.package)
        except (ImportError, OSError) as error:  # the bindings without their libraries
            raise self._missing() from error

    def _missing(self) -> MissingPackageError:
        command = "pip install tensorrt" if self.package == "tensorrt" else "make compilers"
        return MissingPackageError(self.package, f"build engines with {self.title}", command)


@dataclass(frozen=True)
class TensorRtRtx(TensorRt):
    """TensorRT for RTX: builds for any RTX GPU ahead of time, without one; see `TensorRt`."""

    compute_capability: str | None = "SM89"
    package: str = "tensorrt_rtx_bindings"
    title: str = "TensorRT for RTX"
    name: str = "tensorrt_rtx"
