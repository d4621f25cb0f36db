"""LiteRT (once TensorFlow Lite): the runtime of Android, of microcontrollers and of much else that is small.

`litert_torch` traces a module with torch.export, lowers it to LiteRT's operators and writes one flatbuffer,
the ``.tflite`` file. The interpreter walks through its operators; those that XNNPACK has are handed over to
it as one piece ("delegated"), which is where the speed on CPUs comes from. ``LiteRt(xnnpack=False)`` runs
the interpreter's own kernels instead, so that the delegate's effect can be measured.

=========  ==============================================================================================
fp32       float32 throughout
fp16       weights of convolutions and linear layers stored as float16; CPUs compute in float32
int8       weights and activations as integers, by `course_lib.runtimes.litert_int8`
=========  ==============================================================================================

Left out: delegates for GPUs and neural processors, which exist on phones only; signatures; shapes that
change.
"""

from copy import deepcopy
from dataclasses import dataclass, field
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import torch
from torch import nn

from course_lib.errors import MissingPackageError, ModelError
from course_lib.runtimes.batch_checks import check_batch, check_single
from course_lib.runtimes.compilation import (
    ModelToCompile,
    Precision,
    calibration_of,
    module_of,
    refuse_precision,
)
from course_lib.runtimes.compiled_files import read_compiled, write_whole
from course_lib.runtimes.conversion_errors import refused_model
from course_lib.runtimes.protocol import Array, ModelSource, check_threads
from course_lib.runtimes.quiet import caught_output, quiet_conversion

PACKAGES = ("ai_edge_litert", "litert_torch", "ai_edge_quantizer")
SIGNATURE = b"TFL3"  # bytes 4 to 8 of every file


@dataclass(frozen=True)
class LiteRtModel:
    """An interpreter with its tensors in place; calls from several threads take turns."""

    interpreter: Any = field(repr=False)
    threads: int
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]
    input_shape: tuple[int | None, ...] | None
    input: dict[str, Any] = field(repr=False)
    output: dict[str, Any] = field(repr=False)
    turn: Lock = field(default_factory=Lock, repr=False)

    def run(self, batch: Array) -> Array:
        """Return the output for one batch; see `LoadedModel.run`.

        Where the file takes and returns integers, the batch is quantized and the output scaled back here.
        """
        check_single(self.input_names, self.output_names)
        check_batch(batch, "float32", self.input_shape)
        with self.turn:
            self.interpreter.set_tensor(self.input["index"], _to_grid(batch, self.input))
            self.interpreter.invoke()
            found: Array = self.interpreter.get_tensor(self.output["index"])  # a copy
        return _from_grid(found, self.output)


@dataclass(frozen=True)
class LiteRt:
    """Compiles modules to ``.tflite`` files and runs them.

    Parameters
    ----------
    xnnpack
        Whether operators are delegated to XNNPACK while running.
    float_inputs
        Whether an int8 file takes and returns float32 and converts by itself. Microcontrollers take files
        whose input and output are int8 as well: pass False.
    """

    xnnpack: bool = True
    float_inputs: bool = True
    name: str = "litert"
    suffix: str = ".tflite"
    precisions: tuple[Precision, ...] = ("fp32", "fp16", "int8")

    def why_unavailable(self) -> str | None:
        """Return None, or one sentence if a package is missing."""
        missing = [package for package in PACKAGES if not find_spec(package)]
        return str(_missing(missing[0])) if missing else None

    def why_not_run(self) -> str | None:
        """Return None where the package is installed: it runs on every CPU."""
        return self.why_unavailable()

    def version(self) -> str:
        """Return the versions of the interpreter and of the converter."""
        self._check_installed()
        return f"{version('ai-edge-litert')} (litert-torch {version('litert-torch')})"

    def compile(self, model: ModelToCompile, path: Path, precision: Precision = "fp32") -> Path:
        """Build a ``.tflite`` file; see `Compiler.compile`."""
        refuse_precision(self, precision)
        module = module_of(self, model)
        calibration = calibration_of(self, model) if precision == "int8" else None
        self._check_installed()
        with quiet_conversion() as caught:
            try:
                content = convert(module, model.example_inputs)
                if precision != "fp32":
                    from course_lib.runtimes.litert_int8 import half_weights, quantize_static

                    content = (
                        half_weights(content)
                        if calibration is None
                        else quantize_static(content, calibration, float_inputs=self.float_inputs)
                    )
            except Exception as error:  # the converter raises whatever went wrong inside it
                raise refused_model(self.name, model.name, error, caught.text()) from error
        return write_whole(content, path)

    def load(self, source: ModelSource, *, threads: int = 1) -> LiteRtModel:
        """Make an interpreter for a ``.tflite`` file or its content; see `Runtime.load`."""
        check_threads(threads)
        content, label = read_compiled(source, "LiteRt", ".tflite", SIGNATURE)
        self._check_installed()
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        kernels = OpResolverType.AUTO if self.xnnpack else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        try:
            with caught_output():
                interpreter = Interpreter(
                    model_content=content, num_threads=threads, experimental_op_resolver_type=kernels
                )
                interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            reason = str(error).strip().split("\n")[0].rstrip(".")
            raise ModelError(
                f"{label} cannot be loaded by LiteRT ({reason}); compile it again with LiteRt().compile."
            ) from error
        inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
        return LiteRtModel(
            interpreter=interpreter,
            threads=threads,
            input_names=tuple(value["name"] for value in inputs),
            output_names=tuple(value["name"] for value in outputs),
            input_shape=tuple(int(axis) for axis in inputs[0]["shape"]),
            input=inputs[0],
            output=outputs[0],
        )

    def _check_installed(self) -> None:
        for package in PACKAGES:
            if not find_spec(package):
                raise _missing(package)


def convert(module: nn.Module, example_inputs: Array) -> bytes:
    """Return the float32 ``.tflite`` file of a module; called inside `quiet_conversion`."""
    import litert_torch

    litert_torch.config.show_progress = False  # in a notebook it displays its steps past all redirections
    traced = litert_torch.convert(deepcopy(module).eval(), (torch.from_numpy(example_inputs.copy()),))
    return bytes(traced.model_content())


def _to_grid(batch: Array, detail: dict[str, Any]) -> Array:
    scale, zero_point = detail["quantization"]
    if detail["dtype"] == np.float32:
        return batch
    limits = np.iinfo(detail["dtype"])
    levels = np.rint(batch / np.float32(scale)) + zero_point
    grid: Array = np.clip(levels, limits.min, limits.max).astype(detail["dtype"])
    return grid


def _from_grid(values: Array, detail: dict[str, Any]) -> Array:
    scale, zero_point = detail["quantization"]
    if detail["dtype"] == np.float32:
        return values
    real: Array = (values.astype(np.float32) - np.float32(zero_point)) * np.float32(scale)
    return real


def _missing(package: str) -> MissingPackageError:
    return MissingPackageError(package.replace("_", "-"), "compile for LiteRT", "make compilers")
