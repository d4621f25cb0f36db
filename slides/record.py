"""Measure what the decks show: ``python -m slides.record`` or, for one deck, ``… week01_measure_first``.

It takes some minutes. Close other programs first: the figures will say which machine this was, not
what else it did meanwhile. `slides.figures` then draws from the recordings.

With ``--quick`` the newer decks try whether all of their measurements work, with few runs; what comes out
goes to ``runs/slides`` and is for nobody's slides.
"""

import os
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from scipy.sparse import csr_array

from course_lib.architectures import list_zoo, load_card, load_pretrained
from course_lib.benchmarking import (
    compare_latency,
    measure_energy,
    measure_latency,
    measure_peak_memory,
    measure_throughput,
    record_machine,
)
from course_lib.benchmarking.macs import profile_layers
from course_lib.data import load_dataset
from course_lib.edge import Candidate, EdgeLimits, EdgeWeights
from course_lib.explore import CompressionEngine, CompressionSetting
from course_lib.explore.model_source import onnx_of
from course_lib.pipelines.export import export_with_parity
from course_lib.pruning import apply_mask, magnitude_mask
from course_lib.registry import look_up
from course_lib.reproducibility import torch_generator
from course_lib.runtimes import get_runtime
from course_lib.runtimes.onnx_runtime import OnnxRuntime
from slides.record_week02 import measure_week02
from slides.record_week03 import measure_week03
from slides.record_week04 import measure_week04
from slides.record_week05 import measure_week05
from slides.record_week06 import measure_week06
from slides.record_week07 import measure_week07
from slides.record_week08 import measure_week08
from slides.recording import FOLDER, new_recording

MODEL = "depthwise"
ASSUMED_W = 15.0
"""Power assumed where the machine has no readable energy counter."""

EAGER, PLAIN, OPTIMIZED = "eager PyTorch", "ONNX Runtime, graph as exported", "ONNX Runtime"


def measure_week01() -> dict[str, Any]:
    """Return the results of week 1, name → measured result, as its notebook measures them."""
    torch.set_num_threads(1)
    images = load_dataset("fashion-mnist")
    image = images.inputs(slice(0, 1))
    model = load_pretrained(MODEL)
    eager = partial(get_runtime("eager").load(model).run, image)
    with tempfile.TemporaryDirectory() as folder:
        examples = torch.from_numpy(images.inputs(slice(0, 8)))
        path, _ = export_with_parity(model, examples, Path(folder) / "model.onnx")
        plain = OnnxRuntime(optimization="off").load(path)
        optimized = get_runtime("onnxruntime").load(path)
    contestants = {EAGER: eager, PLAIN: partial(plain.run, image), OPTIMIZED: partial(optimized.run, image)}
    engine = CompressionEngine(MODEL, images)
    levels = (0.0, 0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
    return {
        "latency": measure_latency(eager, runs=300, name=EAGER),
        "repeats": [measure_latency(eager, runs=40, name="the same model") for _ in range(8)],
        "a_against_a": compare_latency({"A": eager, "A again": eager}, baseline="A", runs=200),
        "layers": profile_layers(model, torch.from_numpy(image), runs=100, name=MODEL),
        "steps": compare_latency(contestants, baseline=EAGER, runs=200),
        "throughput": measure_throughput(
            optimized.run,
            images.inputs(slice(0, 256)),
            batch_sizes=(1, 2, 4, 8, 16, 32, 64, 128, 256),
            runs=50,
        ),
        "sparsity": [engine.exact(CompressionSetting(sparsity=level)) for level in levels],
        "kernels": measure_kernels(),
        "candidates": measure_candidates(image),
        "weights": EdgeWeights(per_ms=1.0, per_mj=0.02, per_kb=0.002, per_cost=1.0),
        "limits": EdgeLimits(macs=5e6, accuracy=0.91),
    }


def measure_kernels() -> Any:
    """Time a matrix product, the same with 90 % zeros, and with these zeros in a sparse format."""
    weight, x = torch.randn(2, 512, 512, generator=torch_generator(seed=0))
    zeroed = apply_mask(weight, magnitude_mask(weight, 0.9))
    sparse, columns = csr_array(zeroed.numpy()), x.numpy()
    kernels = {
        "dense": lambda: weight @ x,
        "dense kernel, 90% zeros": lambda: zeroed @ x,
        "sparse format, 90% zeros": lambda: sparse @ columns,
    }
    return compare_latency(kernels, baseline="dense", runs=200)


def measure_candidates(image: Any) -> list[Candidate]:
    """Measure every network of the zoo as something to install on a device."""
    files = {name: onnx_of(name) for name in list_zoo()}
    calls = {name: partial(get_runtime("onnxruntime").load(file).run, image) for name, file in files.items()}
    race = compare_latency(calls, baseline=MODEL, runs=200)
    return [
        Candidate(
            name=name,
            latency_ms=race.results[name].p50_ms,
            energy_mj=1000 * measure_energy(calls[name], power_w=ASSUMED_W).energy_per_call_j,
            bandwidth_bytes=len(file),
            cost=0.2 if len(file) < 256_000 else 0.8,  # a price list made up for the lesson
            memory_bytes=measure_peak_memory(partial(_load_and_run, file, image)).peak_memory_bytes,
            macs=load_card(name).macs,
            accuracy=load_card(name).accuracy,
        )
        for name, file in files.items()
    ]


def _load_and_run(file: bytes, image: Any) -> Any:
    return get_runtime("onnxruntime").load(file).run(image)


DECKS: dict[str, Callable[[], dict[str, Any]]] = {
    "week01_measure_first": measure_week01,
    "week02_efficient_architectures": measure_week02,
    "week03_knowledge_distillation": measure_week03,
    "week04_pruning_and_low_rank": measure_week04,
    "week05_post_training_quantization": measure_week05,
    "week06_quantization_aware_training": measure_week06,
    "week07_onnx_runtime": measure_week07,
    "week08_edge_compilers": measure_week08,
}
"""Deck → the function that measures what it shows."""

QUICK: dict[str, Callable[[], dict[str, Any]]] = {
    "week07_onnx_runtime": partial(measure_week07, quick=True),
    "week08_edge_compilers": partial(measure_week08, quick=True),
}
"""Decks that can be tried quickly."""

TRIALS = FOLDER.parent.parent / "runs" / "slides"


def main(arguments: list[str]) -> None:
    """Record the decks named, or all of them; with ``--quick`` only try those that can be."""
    names = [name for name in arguments if name != "--quick"]
    decks, folder = (QUICK, TRIALS) if "--quick" in arguments else (DECKS, FOLDER)
    load = os.getloadavg()[0]
    if load > 0.5:
        print(f"The machine is busy (load {load:.1f}); a quiet one gives better figures.", file=sys.stderr)
    for name in names or decks:
        measure = look_up(decks, "deck", name)
        path = new_recording(name, record_machine(threads=1, seed=0), measure()).save(folder)
        print(f"{name}: recorded in {path.name}")


if __name__ == "__main__":
    main(sys.argv[1:])
