"""Targets that write ONNX files and differ in what they refuse, for tests without any compiler."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from course_lib.errors import MissingPackageError, ModelError
from course_lib.runtimes.compilation import ModelToCompile, Precision
from course_lib.runtimes.onnx_runtime import OnnxRuntime


@dataclass(frozen=True)
class Elsewhere(OnnxRuntime):
    """Builds files that do not run here."""

    name: ClassVar[str] = "elsewhere"

    def why_not_run(self) -> str | None:
        return "Files for elsewhere do not run on this machine; take them there."


@dataclass(frozen=True)
class Absent(OnnxRuntime):
    """A compiler that is not installed."""

    name: ClassVar[str] = "absent"

    def why_unavailable(self) -> str | None:
        return str(MissingPackageError("absent", "compile for it", "make compilers"))


@dataclass(frozen=True)
class Picky(OnnxRuntime):
    """Has float32 only, and takes no network."""

    name: ClassVar[str] = "picky"
    precisions: ClassVar[tuple[Precision, ...]] = ("fp32",)

    def compile(self, model: ModelToCompile, path: Path, precision: Precision = "fp32") -> Path:
        raise ModelError("picky cannot compile the operator Conv of the node conv1.")


FAKE_TARGETS = {"onnxruntime": OnnxRuntime, "elsewhere": Elsewhere, "absent": Absent, "picky": Picky}
