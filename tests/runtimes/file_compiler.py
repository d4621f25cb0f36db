"""A compiler that only writes files: fast, the same everywhere, and able to fail in the middle."""

import errno
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from course_lib.runtimes.compilation import ModelToCompile, Precision, refuse_precision
from course_lib.runtimes.protocol import Array, ModelSource


@dataclass(frozen=True)
class FileModel:
    """What `FileCompiler` loads; running it gives the input back."""

    content: bytes
    threads: int
    input_names: tuple[str, ...] = ("input",)
    output_names: tuple[str, ...] = ("logits",)
    input_shape: tuple[int | None, ...] | None = None

    def run(self, batch: Array) -> Array:
        return batch


@dataclass(frozen=True)
class FileCompiler:
    """Writes two files; ``log`` gets a line for each build, so that builds in any process are counted."""

    level: int = 1
    log: Path | None = field(default=None)
    seconds: float = 0.0
    full_disk: bool = False
    number: str = "1.0"
    name: str = "files"
    suffix: str = ".main"
    precisions: tuple[Precision, ...] = ("fp32", "int8")

    def why_unavailable(self) -> str | None:
        return None

    def why_not_run(self) -> str | None:
        return None

    def version(self) -> str:
        return self.number

    def compile(self, model: ModelToCompile, path: Path, precision: Precision = "fp32") -> Path:
        refuse_precision(self, precision)
        if self.log is not None:
            with self.log.open("a") as log:
                log.write("built\n")
        path.write_bytes(model.onnx(precision, "tensorrt"))
        time.sleep(self.seconds)
        if self.full_disk:
            raise OSError(errno.ENOSPC, "No space left on device")
        path.with_suffix(".weights").write_text(json.dumps([self.level, precision]))
        return path

    def load(self, source: ModelSource, *, threads: int = 1) -> FileModel:
        assert isinstance(source, Path)
        return FileModel(source.read_bytes(), threads)


@dataclass(frozen=True)
class FixedForms:
    """A model's ``onnx`` function without any exporter."""

    text: str = "weights"

    def __call__(self, precision: Precision, rules: str) -> bytes:
        return f"{self.text} {precision} {'' if precision == 'fp32' else rules}".encode()


def file_model(
    text: str = "weights", shape: Sequence[int] = (1, 3), calibration: float = 0.0
) -> ModelToCompile:
    """Return a model whose forms are a few words."""
    zeros = np.zeros(shape, np.float32)
    return ModelToCompile(
        "words", zeros, FixedForms(text), calibration=np.full((32, *shape[1:]), calibration, np.float32)
    )
