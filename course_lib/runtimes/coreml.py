"""Core ML: Apple's runtime, which spreads a model over CPU, GPU and neural engine.

`coremltools` turns the exported module into an ML program, a graph in Apple's intermediate language MIL,
and writes a package: a folder with the graph (``model.mlmodel``) and the weights (``weight.bin``).
Converting works on every system, predicting on macOS only.

=========  ==============================================================================================
fp32       float32 throughout; the neural engine computes in float16 and does not take these
fp16       float16 weights and activations with a cast at either end: Core ML's own default
int8       weights as 8-bit integers with one scale a channel, computed with in float16. Activations stay
           float16: to quantize them coremltools runs the model, which it can on macOS only
=========  ==============================================================================================

``CoreMl(palette_bits=4)`` stores weights as indices into a palette instead.

What is checked where: on macOS a package is loaded and run like any other model. Elsewhere `load_reference`
reads the written package back, graph and weights, and computes it with PyTorch. That proves the conversion,
the compression and the file; it says nothing about Core ML's kernels, their rounding or their speed.
"""

import sys
from copy import deepcopy
from dataclasses import dataclass, field
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from course_lib.errors import MissingPackageError, ModelError, SettingError
from course_lib.registry import look_up
from course_lib.runtimes.batch_checks import check_batch, check_single
from course_lib.runtimes.compilation import ModelToCompile, Precision, module_of, refuse_precision
from course_lib.runtimes.compiled_files import write_whole_folder
from course_lib.runtimes.conversion_errors import refused_model
from course_lib.runtimes.protocol import Array, ModelSource, check_threads
from course_lib.runtimes.quiet import quiet_conversion

COMPUTE_UNITS = {
    "all": "ALL",
    "cpu_only": "CPU_ONLY",
    "cpu_and_gpu": "CPU_AND_GPU",
    "cpu_and_neural_engine": "CPU_AND_NE",
}
INPUT, OUTPUT = "input", "logits"


@dataclass(frozen=True)
class CoreMlModel:
    """A package loaded by Core ML. It chooses its threads itself; ``threads`` is what was asked for."""

    model: Any = field(repr=False)
    threads: int
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]
    input_shape: tuple[int | None, ...] | None

    def run(self, batch: Array) -> Array:
        """Return the output for one batch; see `LoadedModel.run`."""
        check_single(self.input_names, self.output_names)
        check_batch(batch, "float32", self.input_shape)
        output: Array = self.model.predict({self.input_names[0]: batch})[self.output_names[0]]
        return output


@dataclass(frozen=True)
class CoreMl:
    """Compiles modules to ``.mlpackage`` folders, and runs them on macOS.

    Parameters
    ----------
    compute_units
        What may run the model: "all", "cpu_only", "cpu_and_gpu" or "cpu_and_neural_engine".
    palette_bits
        1, 2, 3, 4, 6 or 8: how many bits an index into the palette of 2^bits weights takes; None for none.
    """

    compute_units: str = "all"
    palette_bits: int | None = None
    name: str = "coreml"
    suffix: str = ".mlpackage"
    precisions: tuple[Precision, ...] = ("fp32", "fp16", "int8")

    def why_unavailable(self) -> str | None:
        """Return None, or one sentence if the package is missing."""
        return None if find_spec("coremltools") else str(_missing())

    def why_not_run(self) -> str | None:
        """Return None on macOS with the package, and otherwise one sentence."""
        if sys.platform != "darwin":
            return (
                "Core ML runs models on macOS only; copy the .mlpackage folder to a Mac, or compute it with "
                "load_reference to check its parity."
            )
        return self.why_unavailable()

    def version(self) -> str:
        """Return the version of the installed package."""
        self._check_installed()
        return version("coremltools")

    def compile(self, model: ModelToCompile, path: Path, precision: Precision = "fp32") -> Path:
        """Build an ``.mlpackage`` folder; see `Compiler.compile`."""
        self._check_options(precision)
        module = module_of(self, model)
        if Path(path).suffix != self.suffix:
            raise SettingError(
                f"A Core ML package is a folder that ends in {self.suffix}, not {Path(path).name}."
            )
        self._check_installed()
        with quiet_conversion() as caught:
            try:
                package = convert(module, model.example_inputs, half=precision != "fp32")
                if precision == "int8" or self.palette_bits is not None:
                    from course_lib.runtimes.coreml_weights import palettize, quantize_weights

                    package = (
                        quantize_weights(package)
                        if self.palette_bits is None
                        else palettize(package, self.palette_bits)
                    )
            except Exception as error:  # the converter raises whatever went wrong inside it
                raise refused_model(self.name, model.name, error, caught.text()) from error
            return write_whole_folder(lambda folder: _save(package, folder), path)

    def load(self, source: ModelSource, *, threads: int = 1) -> CoreMlModel:
        """Load an ``.mlpackage`` folder on macOS; see `Runtime.load`."""
        check_threads(threads)
        units = look_up(COMPUTE_UNITS, "choice of compute units", self.compute_units)
        path = package_path(source)
        self._check_installed()
        if reason := self.why_not_run():
            raise ModelError(reason)
        with quiet_conversion():
            import coremltools

            try:
                model = coremltools.models.MLModel(
                    str(path), compute_units=getattr(coremltools.ComputeUnit, units)
                )
            except Exception as error:  # coremltools raises plain RuntimeError and Exception
                raise ModelError(
                    f"The package {path} cannot be loaded by Core ML ({error}); compile it again."
                ) from error
        return CoreMlModel(model, threads, *names_and_shape(model.get_spec()))

    def _check_options(self, precision: str) -> None:
        refuse_precision(self, precision)
        if self.palette_bits is None:
            return
        from course_lib.runtimes.coreml_weights import PALETTE_BITS

        if self.palette_bits not in PALETTE_BITS:
            raise SettingError(f"palette_bits must be one of {PALETTE_BITS}, not {self.palette_bits}.")
        if precision == "int8":
            raise SettingError(
                'Weights are stored either as 8-bit integers or by a palette; pass precision "fp16" with '
                f"palette_bits={self.palette_bits}, or leave palette_bits out."
            )

    def _check_installed(self) -> None:
        if self.why_unavailable():
            raise _missing()


def convert(module: nn.Module, example_inputs: Array, *, half: bool) -> Any:
    """Return the ML program of a module, in memory; called inside `quiet_conversion`."""
    import coremltools

    inputs = torch.from_numpy(example_inputs.copy())
    with torch.no_grad():
        traced = torch.export.export(deepcopy(module).eval(), (inputs,), strict=False)
        traced = traced.run_decompositions({torch.ops.aten.channel_shuffle.default: _channel_shuffle})
    return coremltools.convert(
        traced,
        convert_to="mlprogram",
        compute_precision=coremltools.precision.FLOAT16 if half else coremltools.precision.FLOAT32,
        inputs=[coremltools.TensorType(name=INPUT, shape=example_inputs.shape, dtype=np.float32)],
        outputs=[coremltools.TensorType(name=OUTPUT, dtype=np.float32)],
        minimum_deployment_target=coremltools.target.iOS17,
        skip_model_load=True,
    )


def package_path(source: ModelSource) -> Path:
    """Return the path of a package that is there; ModelError if it is not."""
    if not isinstance(source, str | Path):
        raise ModelError(
            f"Core ML takes the path of an .mlpackage folder, not {type(source).__name__}; "
            "write one with CoreMl().compile(model, path)."
        )
    path = Path(source)
    if not (path / "Manifest.json").is_file():
        raise ModelError(
            f"There is no Core ML package at {path}; write it with CoreMl().compile(model, path)."
        )
    return path


def names_and_shape(spec: Any) -> tuple[tuple[str, ...], tuple[str, ...], tuple[int | None, ...]]:
    """Return the names of the inputs and of the outputs, and the first input's shape."""
    inputs, outputs = spec.description.input, spec.description.output
    return (
        tuple(value.name for value in inputs),
        tuple(value.name for value in outputs),
        tuple(int(axis) for axis in inputs[0].type.multiArrayType.shape),
    )


def _channel_shuffle(values: torch.Tensor, groups: int) -> torch.Tensor:
    """Spell the operator out in reshapes, for the converter does not know it."""
    batch, channels, *rest = values.shape
    return values.reshape(batch, groups, channels // groups, *rest).transpose(1, 2).reshape(values.shape)


def _save(package: Any, folder: Path) -> None:
    package.save(str(folder))
    (folder / "executorch_debug_handle_mapping.json").unlink(missing_ok=True)  # for Apple's own tests


def _missing() -> MissingPackageError:
    return MissingPackageError("coremltools", "compile for Core ML", "make compilers")
