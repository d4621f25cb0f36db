"""What decides whether a compiled file may be used: the facts behind a name in the engine cache.

A compiled file is right for one model, one compiler of one version with its options, one precision and one
device. All of them go into the facts; the key is the SHA-256 of the facts, so that a change of any gives
another name. Compilers ask for the model in forms of their own (half precision, quantized by the rules of a
target); a `FormRecorder` notes the hash of each form that a build really used.
"""

import hashlib
import json
import platform
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any

from course_lib import __version__
from course_lib.benchmarking.machine import record_machine, select_flags
from course_lib.errors import SettingError
from course_lib.runtimes.compilation import Compiler, ModelToCompile, Precision
from course_lib.runtimes.tensorrt_device import gpu_capability

Facts = Mapping[str, Any]

CPU_FILE = Path("/proc/cpuinfo")


def engine_facts(compiler: Compiler, model: ModelToCompile, precision: Precision) -> Facts:
    """Return what a compiled file depends on, as plain values for JSON.

    The model counts by the content of its float32 ONNX file and the shape of its inputs, for int8 also by
    its calibration inputs; a compiler's options are the fields of its dataclass. One that builds for the GPU
    in the machine depends on that GPU, too.

    Raises
    ------
    SettingError
        If the compiler is not a dataclass, so that its options cannot be told.
    ExportError
        If the model has no ONNX form.
    """
    if not is_dataclass(compiler):
        raise SettingError(
            f"The options of {compiler.name} cannot be told apart, because {type(compiler).__name__} is no "
            "dataclass; make its options fields of a frozen dataclass."
        )
    for_gpu_here = getattr(compiler, "compute_capability", "") is None
    calibration = model.calibration if precision == "int8" else None
    return {
        "model": sha256_of_bytes(model.onnx("fp32", "onnxruntime")),
        "inputs": list(model.example_inputs.shape),
        "calibration": None if calibration is None else sha256_of_bytes(calibration.tobytes()),
        "compiler": compiler.name,
        "version": compiler.version(),
        "options": {each.name: repr(getattr(compiler, each.name)) for each in fields(compiler)},
        "precision": precision,
        "device": device_name(),
        "gpu": gpu_capability() if for_gpu_here else None,
        "course": __version__,
    }


def key_of(facts: Facts) -> str:
    """Return the name of these facts: 64 hexadecimal digits."""
    return sha256_of_bytes(canonical(facts))


def canonical(value: Any) -> bytes:
    """Return a value as JSON that is equal for equal values."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def sha256_of_bytes(content: bytes) -> str:
    """Return the SHA-256 of a content as 64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


@cache
def device_name() -> str:
    """Return the model of this CPU with its instruction sets, for compilers choose kernels by them.

    Linux tells in a millisecond; elsewhere the machine record is made, which takes about a second.
    """
    lines = CPU_FILE.read_text(errors="replace").splitlines() if CPU_FILE.is_file() else []
    told = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    model = told.get("model name") or told.get("CPU part")
    flags = select_flags((told.get("flags") or told.get("Features") or "").split())
    if model is None:
        machine = record_machine()
        model, flags = machine.cpu, machine.cpu_flags
    return f"{sys.platform} {platform.machine()}, {model} ({' '.join(flags)})"


@dataclass
class FormRecorder:
    """A model's ``onnx`` function that notes what it gave: "fp16 tensorrt" → SHA-256."""

    source: Callable[[Precision, str], bytes]
    digests: dict[str, str] = field(default_factory=dict)

    def __call__(self, precision: Precision, rules: str) -> bytes:
        content = self.source(precision, rules)
        self.digests[f"{precision} {rules}"] = sha256_of_bytes(content)
        return content
