"""Compile on first launch: what does the cache save, and can anything spoil it?

- ``speedup``: the median time of a cold build divided by the median time of finding the same file again, all
  hashes checked, with the first of TensorRT for RTX, OpenVINO and ONNX Runtime that is installed;
  ``compilers`` has all of them. Reading and hashing the ONNX file counts on both sides.
- ``builds_under_race``: how often the compiler really ran when 8 processes asked for one file at once.
- ``corruptions_undetected``: of 100 random corruptions (flipped bits, cuts, files and folders that changed
  places, deleted files, changed records), how many did not lead to a new build with the right outputs.

The network is "residual" as an ONNX file, as an application would ship it.
"""

import json
import multiprocessing
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from benchmarks.cli import Target, run
from course_lib.architectures import load_pretrained
from course_lib.benchmarking.intervals import ratio_interval
from course_lib.export.half import to_half
from course_lib.export.onnx_export import build_onnx
from course_lib.pipelines.compile_targets import TARGETS
from course_lib.runtimes.compilation import Compiler, ModelToCompile, Precision
from course_lib.runtimes.engine_cache import EngineCache
from course_lib.runtimes.engine_key import canonical, sha256_of_bytes
from course_lib.runtimes.engine_record import RECORD
from course_lib.runtimes.protocol import LoadedModel, ModelSource

NETWORK, SHAPE = "residual", (1, 1, 28, 28)
COMPILERS = ("tensorrt_rtx_sm89", "openvino", "onnxruntime")
PROCESSES = 8
CORRUPTIONS = 100
ROUNDS, QUICK_ROUNDS, FINDS = 10, 2, 5
GOALS = {
    "builds_under_race": Target(low=1, high=1),
    "corruptions_tried": Target(low=100),
    "corruptions_undetected": Target(high=0),
}
SPAWN = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class ShippedFile:
    """The ``onnx`` function of a model that comes as a float32 file."""

    path: Path

    def __call__(self, precision: Precision, rules: str) -> bytes:
        content = self.path.read_bytes()
        return content if precision == "fp32" else to_half(content)


@dataclass(frozen=True)
class Counted:
    """The compiler of a target; ``log`` gets a line for each build, in whatever process."""

    target: str
    log: Path

    @property
    def compiler(self) -> Compiler:
        return TARGETS[self.target]()

    @property
    def name(self) -> str:
        return self.compiler.name

    @property
    def suffix(self) -> str:
        return self.compiler.suffix

    @property
    def precisions(self) -> tuple[Precision, ...]:
        return self.compiler.precisions

    def why_unavailable(self) -> str | None:
        return self.compiler.why_unavailable()

    def why_not_run(self) -> str | None:
        return self.compiler.why_not_run()

    def version(self) -> str:
        return self.compiler.version()

    def compile(self, model: ModelToCompile, path: Path, precision: Precision = "fp32") -> Path:
        with self.log.open("a") as log:
            log.write("built\n")
        return self.compiler.compile(model, path, precision)

    def load(self, source: ModelSource, *, threads: int = 1) -> LoadedModel:
        return self.compiler.load(source, threads=threads)


def shipped_model(path: Path) -> ModelToCompile:
    """Return the model of a shipped file."""
    return ModelToCompile(NETWORK, np.zeros(SHAPE, np.float32), ShippedFile(path))


def timings(target: str, model: ModelToCompile, folder: Path, quick: bool) -> dict[str, Any]:
    """Return the seconds of building and of finding with one compiler, and their ratio."""
    cache, compiler = EngineCache(folder / f"timed_{target}"), TARGETS[target]()
    cache.find_or_build(compiler, model)  # a compiler's first build also loads the compiler
    cold, cached = [], []
    for _ in range(QUICK_ROUNDS if quick else ROUNDS):
        cache.clear()
        cold.append(cache.find_or_build(compiler, model).seconds)
        found = [cache.find_or_build(compiler, model) for _ in range(FINDS)]
        assert not any(engine.built for engine in found)
        cached.append(median(engine.seconds for engine in found))
    return {
        "speedup": median(cold) / median(cached),
        "speedup_interval": list(ratio_interval(cold, cached)),
        "cold_s": median(cold),
        "cached_s": median(cached),
        "size_bytes": cache.size_bytes(),
        "cold_samples_s": cold,
        "cached_samples_s": cached,
    }


def ask(folder: Path, compiler: Counted, shipped: Path, gate: Any, answers: Any) -> None:
    """Wait until all processes are there, and ask for the file."""
    model = shipped_model(shipped)
    compiler.version()  # what a compiler needs to start is not part of the race
    gate.wait()
    answers.put(EngineCache(folder).find_or_build(compiler, model).built)


def race(compiler: Counted, shipped: Path, folder: Path) -> int:
    """Return how often the compiler ran when all processes asked at once."""
    gate, answers = SPAWN.Barrier(PROCESSES), SPAWN.Queue()
    arguments = (folder / "raced", compiler, shipped, gate, answers)
    processes = [SPAWN.Process(target=ask, args=arguments) for _ in range(PROCESSES)]
    for process in processes:
        process.start()
    said = sum(answers.get(timeout=600) for _ in processes)
    for process in processes:
        process.join()
    builds = len(compiler.log.read_text().splitlines())
    assert said == builds, f"{said} processes say that they built, and the compiler ran {builds} times"
    return builds


def files_of(entry: Path) -> list[Path]:
    """Return the files of an entry that have something in them."""
    return sorted(path for path in entry.rglob("*") if path.is_file() and path.stat().st_size)


def flip_a_bit(entry: Path, other: Path, rng: Random) -> None:
    path = rng.choice(files_of(entry))
    content = bytearray(path.read_bytes())
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)


def cut_a_file(entry: Path, other: Path, rng: Random) -> None:
    path = rng.choice(files_of(entry))
    path.write_bytes(path.read_bytes()[: rng.randrange(path.stat().st_size)])


def delete_a_file(entry: Path, other: Path, rng: Random) -> None:
    rng.choice(files_of(entry)).unlink()


def swap_with_another(entry: Path, other: Path, rng: Random) -> None:
    """Exchange a file of two entries, or the whole entries."""
    one = rng.choice([entry, *files_of(entry)])
    its_place = other / one.relative_to(entry)
    one.rename(entry.parent / "kept")
    its_place.rename(one)
    (entry.parent / "kept").rename(its_place)


def change_the_record(entry: Path, other: Path, rng: Random) -> None:
    """Write another fact, file or form into the record, and half of the time the hash that belongs to it."""
    digest, _, body = (entry / RECORD).read_bytes().partition(b"\n")
    record = json.loads(body)
    part = rng.choice(["facts", "files", "forms"])
    record[part][rng.choice(sorted(record[part]))] = (
        {"bytes": 1, "sha256": "0" * 64} if part == "files" else "0"
    )
    body = canonical(record)
    if rng.random() < 0.5:
        digest = sha256_of_bytes(body).encode()
    (entry / RECORD).write_bytes(digest + b"\n" + body)


KINDS: dict[str, Callable[[Path, Path, Random], None]] = {
    "flipped bit": flip_a_bit,
    "cut": cut_a_file,
    "deleted file": delete_a_file,
    "changed places": swap_with_another,
    "changed record": change_the_record,
}


def corruptions(target: str, model: ModelToCompile, folder: Path) -> dict[str, Any]:
    """Corrupt an entry again and again, and count what the cache does not notice."""
    cache, compiler, rng = EngineCache(folder / "corrupted"), TARGETS[target](), Random(0)
    batch = np.random.default_rng(0).random(SHAPE, np.float32)
    runs = compiler.why_not_run() is None
    entry = cache.find_or_build(compiler, model).path.parent
    expected = compiler.load(entry / f"model{compiler.suffix}").run(batch) if runs else None
    tried, undetected = Counter[str](), Counter[str]()
    for index in tqdm(range(CORRUPTIONS), unit="corruption", file=sys.stderr):
        kind = list(KINDS)[index % len(KINDS)]
        entry, other = (cache.find_or_build(compiler, model, each).path.parent for each in ("fp32", "fp16"))
        KINDS[kind](entry, other, rng)
        loaded, engine = cache.load(compiler, model) if runs else (None, cache.find_or_build(compiler, model))
        right = loaded is None or np.array_equal(loaded.run(batch), expected)
        tried[kind] += 1
        if not (engine.built and right):
            undetected[kind] += 1
            cache.clear()  # so that the next one begins with a sound entry
    return {"tried": dict(tried), "undetected": {kind: undetected[kind] for kind in KINDS}}


def measure(quick: bool) -> Mapping[str, Any]:
    """Return the figures; the quick run builds less often for the times."""
    installed = [name for name in COMPILERS if TARGETS[name]().why_unavailable() is None]
    runnable = [name for name in installed if TARGETS[name]().why_not_run() is None]
    folder = Path(tempfile.mkdtemp(prefix="engine_cache"))
    try:
        shipped = folder / f"{NETWORK}.onnx"
        network = load_pretrained(NETWORK)
        shipped.write_bytes(build_onnx(network, torch.zeros(SHAPE), dynamic_batch=False))
        model = shipped_model(shipped)
        compilers = {name: timings(name, model, folder, quick) for name in installed}
        builds = race(Counted(installed[0], folder / "log"), shipped, folder)
        corrupted = corruptions(runnable[0], model, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return {
        "speedup": compilers[installed[0]]["speedup"],
        "speedup_compiler": installed[0],
        "builds_under_race": builds,
        "corruptions_tried": sum(corrupted["tried"].values()),
        "corruptions_undetected": sum(corrupted["undetected"].values()),
        "corruptions_compiler": runnable[0],
        "processes": PROCESSES,
        "corruptions": corrupted,
        "compilers": compilers,
    }


if __name__ == "__main__":
    run(measure, GOALS)
