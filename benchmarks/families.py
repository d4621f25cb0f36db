"""Which family of networks gives the most for its cost? The zoo, measured again from its checkpoints.

Every shipped network of about 30,000 to 60,000 parameters is one record of ``families``, the smaller and
larger ones of ``others``: accuracy on the test images with its 95 % Wilson interval, MACs and parameters as
counted, latency of ONNX Runtime for one picture (one thread, all networks in turns, as a ratio to "depthwise"
too), the peak of the live activations, and the bytes of the ONNX file. ``equal_to_recorded`` says whether
correct answers, MACs and parameters are those on the networks' cards; the quick run reads 1,000 test images,
so that it compares MACs and parameters only.

The families share one training budget (`course_lib.pipelines.recipes.FAMILY`); "depthwise" was trained for
40 epochs and "plain_conv" for 24.
"""

import sys
from typing import Any

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from benchmarks.cli import Target, run
from course_lib.architectures import input_shape, list_zoo, load_card, load_pretrained
from course_lib.benchmarking.compare import LatencyComparison, compare_latency
from course_lib.benchmarking.intervals import proportion_interval
from course_lib.benchmarking.macs import profile_layers
from course_lib.data import Dataset, load_dataset
from course_lib.edge.memory_plan import plan_memory
from course_lib.export.onnx_export import build_onnx
from course_lib.runtimes.onnx_runtime import OnnxRuntime
from course_lib.training import predict

BASELINE = "depthwise"
BUDGET = range(29_000, 60_001)
ROUNDS, QUICK_ROUNDS = 1000, 100
QUICK_IMAGES = 1_000
THREADS = 1
TARGETS = {"compared": Target(low=8), "equal_to_recorded": Target(low=1)}


def examine(name: str, model: nn.Module, test: Dataset, images: int) -> dict[str, Any]:
    """Return what is measured of one network by itself: accuracy, MACs, parameters, memory."""
    inputs, labels = test.inputs(slice(images)), test.labels[:images]
    example = torch.zeros(1, *input_shape(name))
    profile = profile_layers(model, example)
    correct = int((predict(model, inputs).argmax(1) == labels).sum())
    interval = proportion_interval(correct, len(labels))
    return {
        "name": name,
        "correct": correct,
        "total": len(labels),
        "accuracy": correct / len(labels),
        "accuracy_low": interval.low,
        "accuracy_high": interval.high,
        "macs": profile.macs,
        "params": profile.params,
        "peak_activation_bytes": plan_memory(model, example).peak_bytes,
    }


def race(files: dict[str, bytes], rounds: int) -> LatencyComparison:
    """Time one picture through the ONNX files in turns."""
    runtime = OnnxRuntime()
    calls = {}
    for name, content in files.items():
        loaded = runtime.load(content, threads=THREADS)
        picture = np.zeros((1, *input_shape(name)), np.float32)
        calls[name] = lambda loaded=loaded, picture=picture: loaded.run(picture)
    return compare_latency(calls, baseline=BASELINE, runs=rounds, threads=THREADS)


def is_as_recorded(record: dict[str, Any]) -> bool:
    """Return whether a record has the MACs, the parameters and, over all images, the answers of its card."""
    card = load_card(record["name"])
    counted = (record["macs"], record["params"]) == (card.macs, card.params)
    return counted and (record["total"] != card.total or record["correct"] == card.correct)


def measure(quick: bool) -> dict[str, Any]:
    """Return the records, and whether they are those of the cards."""
    torch.set_num_threads(THREADS)
    test = load_dataset("fashion-mnist", "test")
    records, files = [], {}
    for name in tqdm(list_zoo(), unit="network", file=sys.stderr):
        model = load_pretrained(name)
        records.append(examine(name, model, test, QUICK_IMAGES if quick else len(test)))
        files[name] = build_onnx(model, torch.zeros(1, *input_shape(name)))
    compared = race(files, QUICK_ROUNDS if quick else ROUNDS)
    for record in records:
        record |= _latency(compared, record["name"]) | {"size_bytes": len(files[record["name"]])}
    families = [record for record in records if record["params"] in BUDGET]
    return {
        "compared": len(families),
        "most_accurate": max(families, key=lambda record: record["accuracy"])["name"],
        "fastest": min(families, key=lambda record: record["p50_ms"])["name"],
        "equal_to_recorded": all(is_as_recorded(record) for record in records),
        "families": families,
        "others": [record for record in records if record["params"] not in BUDGET],
    }


def _latency(compared: LatencyComparison, name: str) -> dict[str, Any]:
    ratio = compared.ratios[name]
    return {
        "p50_ms": compared.results[name].p50_ms,
        "ratio_to_depthwise": ratio.value,
        "ratio_interval": list(ratio.interval),
    }


if __name__ == "__main__":
    run(measure, TARGETS, threads=THREADS)
