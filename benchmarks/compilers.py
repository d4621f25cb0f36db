"""One model, every target: does each compiler build the zoo, and does what it built compute the same?

Every network of the zoo is compiled for ONNX Runtime, OpenVINO, LiteRT, ExecuTorch, Core ML, and TensorRT for
RTX for three generations of GPUs, in fp32 and int8; torchvision's resnet18, mobilenet_v2 and efficientnet_b0
for pictures of 224×224 in fp32. A cell is a network on a target in a precision that the target offers.
``built_fraction`` counts those whose compiler wrote a file, ``parity_max`` is the worst absolute difference
from eager PyTorch over the fp32 cells that run on this machine. Latencies in the table are ratios to ONNX
Runtime in fp32 from interleaved rounds. Each cell that failed stands in ``failures`` with the compiler's own
reason, and ``not_installed`` names the targets whose compiler is missing; their cells count as not built.

Each network is compiled by a process of its own (`course_lib.pipelines.compile`), so a compiler that crashes
takes no other network with it. Reports are kept in runs/compilers: the same command goes on after an
interruption with the networks that are not finished, and starts anew when code or versions have changed.
"""

import hashlib
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks.cli import Target, run
from course_lib.architectures import list_zoo
from course_lib.errors import MeasurementError

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "runs" / "compilers"
TARGETS = (
    *("onnxruntime", "openvino", "litert", "executorch", "coreml"),
    *("tensorrt_rtx_sm86", "tensorrt_rtx_sm89", "tensorrt_rtx_sm120"),
)
LARGE = ("torchvision:resnet18", "torchvision:mobilenet_v2", "torchvision:efficientnet_b0")
QUICK_MODELS, QUICK_TARGETS = ("tiny",), ("onnxruntime", "openvino", "tensorrt_rtx_sm89")
ROUNDS, QUICK_ROUNDS = 200, 20
TIME_LIMIT_S = 900
"""Of one network, which takes one or two minutes on quiet cores; if one hangs, the others have time left."""
THREADS = 1
PACKAGES = (
    *("torch", "onnx", "onnxruntime", "openvino", "litert-torch", "ai-edge-litert", "executorch"),
    *("coremltools", "tensorrt-rtx-cu12-bindings"),
)
CODE = (
    *("export/*.py", "runtimes/*.py", "architectures/**/*.py", "quantization/**/*.py"),
    *("pipelines/compile*.py", "pipelines/model_forms.py", "pipelines/onnx_source.py"),
    *("pipelines/quantized_file.py", "pipelines/untrained.py"),
)
"""What decides how a network is compiled; a change of it makes reports out of date."""

GOALS = {"built_fraction": Target(low=0.95), "parity_max": Target(high=1e-4)}

Job = tuple[str, tuple[str, ...], tuple[str, ...], int]
"""Model, targets, precisions, rounds."""


def jobs(quick: bool) -> list[Job]:
    """Return what is to be compiled, one entry for each network."""
    if quick:
        return [(name, QUICK_TARGETS, ("fp32",), QUICK_ROUNDS) for name in QUICK_MODELS]
    zoo: list[Job] = [(name, TARGETS, ("fp32", "int8"), ROUNDS) for name in list_zoo()]
    return [*zoo, *((name, TARGETS, ("fp32",), ROUNDS // 4) for name in LARGE)]


def measure(quick: bool) -> dict[str, Any]:
    """Return the counts and the table; the quick run compiles one network for the quicker targets."""
    state = fingerprint()
    cells: list[dict[str, Any]] = []
    bar = tqdm(jobs(quick), unit="network", file=sys.stderr)
    for job in bar:
        bar.set_description(job[0])
        cells += [{"model": job[0], **cell} for cell in compiled(job, state)]
    return summary(cells)


def compiled(job: Job, state: str) -> list[dict[str, Any]]:
    """Return the cells of one network, read from a finished report or made now."""
    model, targets, precisions, rounds = job
    facts = json.dumps([state, *job])
    path = FOLDER / f"{hashlib.sha256(facts.encode()).hexdigest()[:16]}.json"
    ended = ""
    if not path.is_file() or _read(path)["unfinished"]:
        command = [sys.executable, "-m", "course_lib.pipelines.compile", model]
        command += ["--targets", ",".join(targets), "--precisions", ",".join(precisions)]
        command += ["--runs", str(rounds), "--threads", str(THREADS), "--json", str(path)]
        try:
            done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=TIME_LIMIT_S)
            ended = f"ended with status {done.returncode}: {_last_line(done.stderr)}"
        except subprocess.TimeoutExpired:
            ended = f"was stopped after {TIME_LIMIT_S} s"
        if not path.is_file():
            raise MeasurementError(f"Compiling {model} {ended}; see why with: {' '.join(command[1:])}")
    return filled_up(_read(path)["cells"], targets, precisions, ended)


def filled_up(
    cells: Sequence[Mapping[str, Any]], targets: Sequence[str], precisions: Sequence[str], ended: str
) -> list[dict[str, Any]]:
    """Return the cells of a report, with those that a crash has left out as failures."""
    known = {(cell["target"], cell["precision"]) for cell in cells}
    missing = [(target, each) for target in targets for each in precisions if (target, each) not in known]
    return [
        *map(dict, cells),
        *(
            {"target": target, "precision": precision, "built": False, "offered": True, "installed": True}
            | {"why_not": f"The process {ended}."}
            for target, precision in missing
        ),
    ]


def summary(cells: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the figures over all cells."""
    offered = [cell for cell in cells if cell["offered"]]
    parities = [cell.get("max_absolute") for cell in offered if cell["precision"] == "fp32"]
    compared = [parity for parity in parities if parity is not None]
    equal = [cell.get("argmax_agreement") for cell in offered if cell["precision"] == "int8"]
    agreements = [agreement for agreement in equal if agreement is not None]
    missing = sorted({cell["target"] for cell in offered if not cell["installed"]})
    return {
        "cells": len(offered),
        "built": sum(cell["built"] for cell in offered),
        "built_fraction": sum(cell["built"] for cell in offered) / len(offered),
        "parity_max": max(compared, default=None),
        "parity_cells": len(compared),
        "int8_argmax_agreement_min": min(agreements, default=None),
        "not_installed": missing,
        "failures": [
            {key: cell[key] for key in ("model", "target", "precision", "why_not")}
            for cell in offered
            if not cell["built"] and cell["installed"]
        ],
        "not_run": dict(Counter(cell["why_not"] for cell in offered if cell["built"] and cell["why_not"])),
        "table": [_table_entry(cell) for cell in cells],
    }


def _table_entry(cell: Mapping[str, Any]) -> dict[str, Any]:
    keys = ("model", "target", "precision", "built", "why_not", "version", "build_s", "size_bytes")
    measured = ("max_absolute", "argmax_agreement", "read_back_absolute", "p50_ms", "ratio")
    return {key: cell.get(key) for key in (*keys, *measured)}


def fingerprint() -> str:
    """Return a hash of the versions and of the library's code, which decide what a report holds."""
    digest = hashlib.sha256()
    for package in PACKAGES:
        try:
            digest.update(f"{package} {version(package)}\n".encode())
        except PackageNotFoundError:
            digest.update(f"no {package}\n".encode())
    for pattern in CODE:
        for path in sorted((ROOT / "course_lib").glob(pattern)):
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _read(path: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return report


def _last_line(stderr: bytes) -> str:
    lines = stderr.decode(errors="replace").strip().splitlines()
    return lines[-1].strip() if lines else "it said nothing"


if __name__ == "__main__":
    run(measure, GOALS, threads=THREADS)
