"""Is int8 faster than float32 in ONNX Runtime on this CPU, and if not, why?

Every network of the zoo is quantized to 8-bit weights and activations with 512 training images, written as a
QDQ graph, and timed against its float32 file in interleaved rounds on one thread. A ratio is float32's median
latency divided by int8's: above 1, int8 is faster.

The headline is batch 1, what somebody with one picture waits for, and the harder case for int8; batch 32, for
throughput, stands beside it. Where the doctor advises to keep a layer in floating point (a first convolution
of one channel), the headline follows the advice; ``all_int8_ratio`` is without it. On CPUs with AVX2 but
without VNNI weights have 7 bits, so that sums of pairs cannot saturate.
"""

import sys
from typing import Any

import torch
from torch import nn
from tqdm import tqdm

from benchmarks.cli import Target, run
from course_lib.architectures import list_zoo, load_pretrained
from course_lib.benchmarking.machine import record_machine
from course_lib.data import load_dataset
from course_lib.export.onnx_export import build_onnx
from course_lib.export.qdq import build_qdq
from course_lib.pipelines.doctor import DEPLOYED, FLOAT, Diagnosis, diagnose
from course_lib.pipelines.doctor_findings import expensive_layer, pairs_saturate
from course_lib.quantization.models.config import QuantizationConfig, WeightScheme
from course_lib.quantization.models.ptq import quantize_model

TEACHER = "residual"
HEADLINE_BATCH, LARGE_BATCH = 1, 32
ROUNDS = {HEADLINE_BATCH: 1000, LARGE_BATCH: 150}
CALIBRATION_IMAGES = 512


def weight_bits() -> int:
    """Return 8, or 7 where full-range weights would saturate: a fast wrong answer is no gain."""
    return 7 if pairs_saturate(record_machine().cpu_flags) else 8


def build_int8(model: nn.Module, kept_in_float: tuple[str, ...] = ()) -> bytes:
    """Return the QDQ content of a model, calibrated on training images."""
    images = load_dataset("fashion-mnist", "train").inputs(slice(CALIBRATION_IMAGES))
    config = QuantizationConfig(WeightScheme(weight_bits()), kept_in_float=kept_in_float)
    quantized = quantize_model(model, torch.from_numpy(images).split(64), config)
    return build_qdq(quantized, torch.zeros(1, *images.shape[1:]))


def examine(int8: bytes, float32: bytes, batch: int, quick: bool) -> Diagnosis:
    """Return the doctor's report for a batch of training images that were not calibrated on."""
    chosen = slice(CALIBRATION_IMAGES, CALIBRATION_IMAGES + batch)
    images = load_dataset("fashion-mnist", "train").inputs(chosen)
    rounds = ROUNDS[batch] // 10 if quick else ROUNDS[batch]
    return diagnose(int8, images, float_model=float32, runs=rounds)


def model_figures(name: str, quick: bool) -> dict[str, Any]:
    """Return the figures of one network; ratios as value and 95 % interval, SQNR of the larger batch."""
    model = load_pretrained(name).eval()
    float32 = build_onnx(model, torch.zeros(1, 1, 28, 28))
    int8 = build_int8(model)
    plain = {batch: examine(int8, float32, batch, quick) for batch in ROUNDS}
    expensive = expensive_layer(plain[LARGE_BATCH].kernels)  # a large batch tells its share best
    kept = () if expensive is None else (expensive.layer,)
    advised = plain
    if kept:
        int8 = build_int8(model, kept)
        advised = {batch: examine(int8, float32, batch, quick) for batch in ROUNDS}
    large = advised[LARGE_BATCH]
    return {
        **_ratio("ratio", advised[HEADLINE_BATCH]),
        **_ratio(f"ratio_batch_{LARGE_BATCH}", large),
        **_ratio("all_int8_ratio", plain[HEADLINE_BATCH]),
        **_ratio(f"all_int8_ratio_batch_{LARGE_BATCH}", plain[LARGE_BATCH]),
        "kept_in_float": list(kept),
        "weight_bits": weight_bits(),
        "float32_p50_ms": advised[HEADLINE_BATCH].latency.results[FLOAT].p50_ms,
        "int8_p50_ms": advised[HEADLINE_BATCH].latency.results[DEPLOYED].p50_ms,
        "sqnr_float_db": dict(large.sqnr_float_db),
        "sqnr_simulated_db": dict(large.sqnr_simulated_db),
        "size_ratio": len(float32) / len(int8),
        "verdict": list(advised[HEADLINE_BATCH].findings),
        f"verdict_batch_{LARGE_BATCH}": list(large.findings),
    }


def measure(quick: bool) -> dict[str, Any]:
    """Return the ratios of all networks, and the teacher's by themselves."""
    names = tqdm(list_zoo(), unit="network", file=sys.stderr)
    models = {name: model_figures(name, quick) for name in names}
    teacher = models[TEACHER]
    return {
        "teacher_ratio": teacher["ratio"],
        "teacher_ratio_interval": teacher["ratio_interval"],
        f"teacher_ratio_batch_{LARGE_BATCH}": teacher[f"ratio_batch_{LARGE_BATCH}"],
        "teacher_all_int8_ratio": teacher["all_int8_ratio"],
        **{f"{name}_ratio": figures["ratio"] for name, figures in models.items() if name != TEACHER},
        "models": models,
    }


def _ratio(key: str, diagnosis: Diagnosis) -> dict[str, Any]:
    ratio = diagnosis.ratio
    assert ratio is not None  # a float model was given
    return {key: ratio.value, f"{key}_interval": list(ratio.interval)}


if __name__ == "__main__":
    bound = 1.25 if pairs_saturate(record_machine().cpu_flags) else 2.0
    run(measure, {"teacher_ratio": Target(low=bound)})
