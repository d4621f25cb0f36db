"""What every compiler offers: one model in, a file for its own runtime out.

A compiler is a runtime that also builds the file that it loads. All of them take the same description of a
model, so that one loop builds for every target:

>>> compiler = get_runtime("openvino")  # doctest: +SKIP
>>> path = compiler.compile(model, Path("model.xml"), "fp16")  # doctest: +SKIP
>>> scores = compiler.load(path, threads=2).run(images)  # doctest: +SKIP

=========  ==============================================================================================
fp32       float32 weights and activations
fp16       float16 weights and activations inside; the model still takes and returns float32
int8       weights and activations as 8-bit integers; the model still takes and returns float32
=========  ==============================================================================================
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, get_args, runtime_checkable

import numpy as np

from course_lib.errors import DataError, ModelError, SettingError, UnknownNameError
from course_lib.runtimes.protocol import Array, LoadedModel, ModelSource

if TYPE_CHECKING:
    from torch import nn

Precision = Literal["fp32", "fp16", "int8"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)

MIN_CALIBRATION = 32
"""Fewer inputs than this do not show the range of a layer's values."""


@dataclass(frozen=True)
class ModelToCompile:
    """A model in the forms that compilers take.

    Parameters
    ----------
    name
        For messages and reports.
    example_inputs
        (N, …), float32. N is the batch that the compiled file will take, normally 1.
    onnx
        Function of a precision and a set of rules that returns the content of an ONNX file whose shapes are
        all fixed. With "fp16", weights and activations are float16, inputs and outputs float32. With "int8",
        the graph holds QuantizeLinear and DequantizeLinear nodes by the rules "onnxruntime" or "tensorrt"
        (symmetric grids, float biases). It raises ExportError with one sentence where it cannot.
    module
        The same model in PyTorch, float32 and in eval mode, or None if only an ONNX file was given.
    calibration
        (M, …), float32 with M ≥ 32: inputs as they will come, for the ranges of int8; None if there are none.

    Raises
    ------
    DataError
        If the example inputs or the calibration inputs have another type, no batch axis, or shapes that
        differ beyond the batch, or if the calibration inputs are fewer than 32.
    """

    name: str
    example_inputs: Array = field(repr=False)
    onnx: Callable[[Precision, str], bytes] = field(repr=False)
    module: "nn.Module | None" = field(default=None, repr=False)
    calibration: Array | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for title, values in (("example", self.example_inputs), ("calibration", self.calibration)):
            if values is not None and (
                not isinstance(values, np.ndarray)
                or values.dtype != np.float32
                or values.ndim < 2
                or 0 in values.shape
            ):
                kind = getattr(values, "dtype", type(values).__name__)
                shape = getattr(values, "shape", "no shape")
                raise DataError(
                    f"The {title} inputs of {self.name} are {kind} with {shape}; pass a float32 array of "
                    "at least two axes, the batch first and not empty."
                )
        if self.calibration is None:
            return
        if self.calibration.shape[1:] != self.example_inputs.shape[1:]:
            raise DataError(
                f"The calibration inputs of {self.name} have shape {self.calibration.shape} and the example "
                f"inputs {self.example_inputs.shape}; they may differ in the batch only."
            )
        if len(self.calibration) < MIN_CALIBRATION:
            raise DataError(
                f"{self.name} has {len(self.calibration)} calibration inputs; "
                f"pass at least {MIN_CALIBRATION}, drawn from the training set."
            )


@runtime_checkable
class Compiler(Protocol):
    """A runtime that builds its own files; its options are fields of the object, set when it is made."""

    @property
    def name(self) -> str:
        """The name under which `get_runtime` finds it."""

    @property
    def suffix(self) -> str:
        """How the name of a compiled file (or folder) ends, such as ".tflite"."""

    @property
    def precisions(self) -> tuple[Precision, ...]:
        """The precisions that it builds."""

    def why_unavailable(self) -> str | None:
        """Return None if it is installed, and otherwise one sentence with the command that installs it."""

    def why_not_run(self) -> str | None:
        """Return None if compiled files run on this machine, and otherwise one sentence that says why not."""

    def version(self) -> str:
        """Return the version of the installed compiler, which decides whether a cached file still holds."""

    def compile(self, model: ModelToCompile, path: Path, precision: Precision = "fp32") -> Path:
        """Build a file at ``path``, whole or not at all, and return its path.

        Further files that belong to it may lie beside it, so each file wants a folder of its own.

        Raises
        ------
        SettingError
            If it does not build this precision.
        ModelError, ExportError
            If it cannot take this model, with the compiler's own reason.
        MissingPackageError
            If it is not installed.
        """

    def load(self, source: ModelSource, *, threads: int = 1) -> LoadedModel:
        """Make a compiled file ready to run; see `Runtime.load`."""


def refuse_precision(compiler: Compiler, precision: str) -> None:
    """Raise one sentence unless ``compiler`` builds ``precision``."""
    if precision not in PRECISIONS:
        raise UnknownNameError("precision", precision, PRECISIONS)
    if precision not in compiler.precisions:
        raise SettingError(
            f"{compiler.name} does not build {precision}; it builds {', '.join(compiler.precisions)}."
        )


def module_of(compiler: Compiler, model: ModelToCompile) -> "nn.Module":
    """Return the model's PyTorch module, for the compilers that start from one.

    Raises
    ------
    ModelError
        If only an ONNX file was given.
    """
    if model.module is None:
        raise ModelError(
            f"{compiler.name} compiles PyTorch modules and {model.name} is an ONNX file; "
            "pass the module that the file was exported from."
        )
    return model.module


def calibration_of(compiler: Compiler, model: ModelToCompile) -> Array:
    """Return the model's calibration inputs, for int8.

    Raises
    ------
    ModelError
        If it has none.
    """
    if model.calibration is None:
        raise ModelError(
            f"{compiler.name} needs inputs to find the ranges of int8 and {model.name} comes with none; "
            f"pass at least {MIN_CALIBRATION} calibration inputs."
        )
    return model.calibration
