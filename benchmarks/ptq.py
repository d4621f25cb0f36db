"""How much accuracy does post-training quantization cost, and how far down do better roundings reach?

Three networks of the zoo with 8-bit weights and activations, as ONNX Runtime executes them with its default
options, against their float32 files on the 10,000 test images; beside them NNCF's and ONNX Runtime's own
quantization of the same files with the same calibration images. Then weights alone at 4, 3 and 2 bits,
simulated, on the grids that clip for the smallest squared error: rounded to nearest, with corrected biases,
by GPTQ and by AdaRound. Drops are points of accuracy; a negative one is a gain.

Calibration and rounding see training images that ship with the course. The share of the weights' noise, the
observer and the rounding were chosen on the 2,000 validation images; the test images are read once, at the
end. On CPUs with AVX2 but without VNNI weights are stored as unsigned integers, whose sums cannot saturate.
"""

import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from benchmarks.cli import Target, run
from benchmarks.ptq_peers import HOW_TO_GET_NNCF, NDArray, peers
from course_lib.architectures import load_pretrained
from course_lib.benchmarking.machine import record_machine
from course_lib.data import load_dataset
from course_lib.export.onnx_export import build_onnx
from course_lib.export.qdq import WeightType, build_qdq
from course_lib.pipelines.doctor_findings import pairs_saturate
from course_lib.quantization.error import sqnr_db
from course_lib.quantization.models.balance import balance_channels
from course_lib.quantization.models.config import (
    ActivationScheme,
    QuantizationConfig,
    Rounding,
    WeightScheme,
)
from course_lib.quantization.models.ptq import quantize_model
from course_lib.quantization.models.quantizers import QuantizedModel
from course_lib.runtimes.onnx_runtime import OnnxRuntime
from course_lib.training.evaluate import Examples, predict

THREADS = 2
MODELS = ("residual", "depthwise", "vision_transformer")
CONV_NETS = ("residual", "depthwise")
BITS = (4, 3, 2)
METHODS: dict[str, tuple[Rounding, bool]] = {
    "nearest": ("nearest", False),
    "bias_corrected": ("nearest", True),
    "gptq": ("gptq", False),
    "adaround": ("adaround", False),
}
"""Name → rounding of the weights, and whether biases are corrected."""

EXAMPLE = torch.zeros(1, 1, 28, 28)
BATCH = 250


@dataclass(frozen=True)
class Effort:
    """How many images are used, and for what.

    Parameters
    ----------
    test_images
        Images that accuracy and SQNR are taken on.
    calibration_images
        Training images that ranges are learnt from.
    samples
        How many of these the roundings look at.
    rounding
        Of the 8-bit weights.
    low_bit_models
        Networks whose weights are rounded to few bits; the figures on top are those of the first.
    """

    test_images: int
    calibration_images: int
    samples: int
    rounding: Rounding
    low_bit_models: tuple[str, ...]


FULL = Effort(10_000, 4096, 1024, "adaround", ("residual", "depthwise"))
QUICK = Effort(1_000, 256, 64, "gptq", ("tiny",))


def weight_type() -> WeightType:
    """Return the type of stored weights that this processor computes exactly with."""
    return "uint8" if pairs_saturate(record_machine().cpu_flags) else "int8"


def quantize_w8a8(model: nn.Module, images: NDArray, effort: Effort) -> QuantizedModel:
    """Return a network with 8-bit weights and activations: balanced, rounded and with corrected biases."""
    inputs = torch.from_numpy(images)
    config = QuantizationConfig(
        WeightScheme(rounding=effort.rounding),
        ActivationScheme(by_gradient=True),
        correct_bias=True,
        samples=effort.samples,
    )
    balanced = balance_channels(model, inputs[: effort.samples])
    return quantize_model(balanced, inputs.split(BATCH), config)


def deployed_scores(content: bytes, images: NDArray) -> NDArray:
    """Return what ONNX Runtime computes for the images with its default options."""
    session = OnnxRuntime().load(content, threads=THREADS)
    starts = range(0, len(images), BATCH)
    return np.concatenate([session.run(images[start : start + BATCH]) for start in starts])


def w8a8_figures(name: str, effort: Effort, images: NDArray, test: Examples) -> dict[str, Any]:
    """Return drops in points and SQNRs of the scores, of ours and of the peers."""
    model = load_pretrained(name).eval()
    float32 = build_onnx(model, EXAMPLE)
    expected = deployed_scores(float32, test.inputs)
    quantized = quantize_w8a8(model, images, effort)
    int8 = build_qdq(quantized, EXAMPLE, weight_type=weight_type())
    figures = _against(expected, deployed_scores(int8, test.inputs), test.labels)
    others = {
        peer: _against(expected, deployed_scores(quantize(float32, images), test.inputs), test.labels)
        for peer, quantize in peers().items()
    }
    best = min(others, key=lambda peer: others[peer]["drop_pt"])
    return {
        **figures,
        "best_peer_drop_pt": others[best]["drop_pt"],
        "best_peer": best,
        "float_accuracy": float((expected.argmax(1) == test.labels).mean()),
        "sqnr_simulated_db": sqnr_db(expected, predict(quantized, test.inputs)),
        "peers": others,
    }


def low_bit_figures(name: str, effort: Effort, images: NDArray, test: Examples) -> dict[str, Any]:
    """Return bits → method → accuracy in [0, 1] and SQNR of the scores, weights only."""
    model = load_pretrained(name).eval()
    expected = predict(model, test.inputs)
    batches = torch.from_numpy(images[: effort.samples]).split(BATCH)
    figures: dict[str, Any] = {str(bits): {} for bits in BITS}
    for bits in BITS:
        for method, (rounding, correct_bias) in METHODS.items():
            config = QuantizationConfig(
                WeightScheme(bits, range="mse", rounding=rounding),
                activations=None,
                correct_bias=correct_bias,
                samples=effort.samples,
            )
            scores = predict(quantize_model(model, batches, config), test.inputs)
            figures[str(bits)][method] = {
                "accuracy": float((scores.argmax(1) == test.labels).mean()),
                "sqnr_db": sqnr_db(expected, scores),
            }
    return figures


def measure(quick: bool) -> dict[str, Any]:
    """Return the figures of 8 bits, of few bits, and the gains of AdaRound over rounding to nearest."""
    torch.set_num_threads(THREADS)
    effort = QUICK if quick else FULL
    images = load_dataset("fashion-mnist", "train").inputs(slice(effort.calibration_images))
    test = load_dataset("fashion-mnist", "test")
    examples = Examples(test.inputs(slice(effort.test_images)), test.labels[: effort.test_images])
    work = [(w8a8_figures, name) for name in MODELS]
    work += [(low_bit_figures, name) for name in effort.low_bit_models]
    bar = tqdm(work, unit="network", file=sys.stderr)
    results = [(figures_of, name, figures_of(name, effort, images, examples)) for figures_of, name in bar]
    w8a8 = {name: figures for figures_of, name, figures in results if figures_of is w8a8_figures}
    low_bits = {name: figures for figures_of, name, figures in results if figures_of is low_bit_figures}

    gains = {name: _gains(figures) for name, figures in low_bits.items()}
    summary: dict[str, Any] = {}
    for name, figures in w8a8.items():
        summary[f"{name}_drop_pt"] = figures["drop_pt"]
        summary[f"{name}_sqnr_db"] = figures["sqnr_db"]
        summary[f"{name}_behind_best_peer_pt"] = figures["drop_pt"] - figures["best_peer_drop_pt"]
    return {
        **summary,
        **gains[effort.low_bit_models[0]],
        "adaround_model": effort.low_bit_models[0],
        "weight_type": weight_type(),
        "peers": ", ".join(peers()) if "nncf" in peers() else HOW_TO_GET_NNCF,
        "test_images": effort.test_images,
        "w8a8": w8a8,
        "weights_only": low_bits,
        "adaround_gains": gains,
    }


def _against(expected: NDArray, scores: NDArray, labels: np.ndarray) -> dict[str, float]:
    right, still_right = (int((each.argmax(1) == labels).sum()) for each in (expected, scores))
    return {"drop_pt": 100 * (right - still_right) / len(labels), "sqnr_db": sqnr_db(expected, scores)}


def _gains(figures: dict[str, Any]) -> dict[str, float]:
    """Return what AdaRound gains over nearest: decibels at 3 bits, points of accuracy at 2."""
    three, two = figures["3"], figures["2"]
    return {
        "adaround_w3_gain_db": three["adaround"]["sqnr_db"] - three["nearest"]["sqnr_db"],
        "adaround_w2_gain_pt": 100 * (two["adaround"]["accuracy"] - two["nearest"]["accuracy"]),
    }


if __name__ == "__main__":
    targets = {f"{name}_drop_pt": Target(high=0.3) for name in MODELS}
    targets |= {f"{name}_behind_best_peer_pt": Target(high=0.1) for name in MODELS}
    targets |= {f"{name}_sqnr_db": Target(low=38) for name in CONV_NETS}
    gains = {"adaround_w3_gain_db": Target(low=6), "adaround_w2_gain_pt": Target(low=20)}
    run(measure, {**targets, **gains}, threads=THREADS)
