"""What the deck of week 5 shows, measured: grids, channels, observers, repairs, and the zoo as deployed.

Ranges are learnt from training images and accuracy is counted on test images, as in the notebook. It takes
about four minutes on two quiet CPUs, most of it exporting.
"""

from collections.abc import Sequence
from copy import deepcopy
from functools import partial
from typing import Any

import numpy as np
import torch

from course_lib.architectures import list_zoo, load_pretrained
from course_lib.benchmarking import compare_latency
from course_lib.data import load_dataset
from course_lib.explore.model_source import onnx_of
from course_lib.explore.quantizer import QuantizerSetting, study_quantizer
from course_lib.explore.tensors import distribution, from_array
from course_lib.export.dynamic import build_dynamic
from course_lib.export.qdq import build_qdq
from course_lib.pipelines.accuracy_comparison import AccuracyComparison, compare_accuracy
from course_lib.pipelines.claims import Claim
from course_lib.quantization import (
    OBSERVERS,
    PerChannel,
    PerTensor,
    build_codebook,
    cast,
    choose_qparams,
    codebook_size_bytes,
    encode,
    fake_quantize,
    from_codebook,
    quantize,
    sqnr_db,
)
from course_lib.quantization.calibration import StreamingHistogram
from course_lib.quantization.models.capture import layer_inputs
from course_lib.quantization.models.config import ActivationScheme, QuantizationConfig, WeightScheme
from course_lib.quantization.models.dynamic import quantize_dynamic
from course_lib.quantization.models.fold import fold_batch_norms
from course_lib.quantization.models.graph import trace, weight_layers
from course_lib.quantization.models.ptq import quantize_model
from course_lib.runtimes import get_runtime
from course_lib.training import Examples

MODEL, TRANSFORMER = "depthwise", "vision_transformer"
UNEVEN, LARGE = "blocks.0.depthwise.0", "blocks.4.pointwise.0"
"""Layers of the model: channels of very different ranges; many weights."""
OBSERVED = "blocks.1.pointwise.0"
FORMATS = ("float16", "bfloat16", "float8_e4m3", "float8_e5m2")
WIDTHS = range(2, 9)

ONE_SCALE = WeightScheme(granularity=PerTensor())
SHARED = QuantizationConfig(weights=ONE_SCALE)
REPAIRS = {
    "one scale": SHARED,
    "bias corrected": QuantizationConfig(weights=ONE_SCALE, correct_bias=True, samples=128),
    "equalized": QuantizationConfig(weights=ONE_SCALE, equalize=True),
}


def measure_week05() -> dict[str, Any]:
    """Return the results of week 5, name → measured result, as its notebook measures them."""
    torch.set_num_threads(1)
    model, batches = load_pretrained(MODEL), _batches()
    folded = fold_batch_norms(trace(model))
    layers = {path: layer.weight.detach() for path, layer in weight_layers(folded).items()}
    own = QuantizationConfig()
    at_4_bits = {
        name: QuantizationConfig(activations=ActivationScheme(bits=4, observer=name)) for name in OBSERVERS
    }
    deployed = [measure_deployed(name, batches) for name in list_zoo()]
    return {
        "lines": measure_lines(),
        "granularity": _compared(model, {"scale per channel": own, "scale per tensor": SHARED}),
        "channels": measure_channels(layers[UNEVEN]),
        "ranges": measure_ranges(layer_inputs(folded, OBSERVED, torch.cat(batches)).numpy()),
        "observers": _compared(model, at_4_bits),
        "repairs": _compared(model, REPAIRS),
        **{
            kind: {each["name"]: each[kind] for each in deployed}
            for kind in ("size", "speed", "drop", "race")
        },
        **measure_dynamic(batches),
        "formats": measure_formats(model),
        "codebooks": measure_codebooks(layers[LARGE].numpy()),
    }


def measure_lines() -> dict[str, Any]:
    """Return tensor → (bits, dB) of a symmetric grid with one scale."""
    tensors = {name: distribution(name) for name in ("uniform", "normal", "Laplace")}
    tensors["a sine"] = from_array(np.sin(np.linspace(0, 200, 4096, dtype=np.float32)))
    return {
        name: study_quantizer(tensor, QuantizerSetting()).sqnr_by_bits for name, tensor in tensors.items()
    }


def measure_channels(weight: torch.Tensor) -> dict[str, Any]:
    """Return each channel's largest |weight|, and its ratio at 8 bits for two ways of sharing scales."""
    ways = {"one scale": PerTensor(), "a scale per channel": PerChannel()}
    rounded = {
        way: fake_quantize(weight, choose_qparams(weight, 8, symmetric=True, granularity=each))
        for way, each in ways.items()
    }
    return {
        "largest": weight.abs().flatten(1).amax(1).tolist(),
        "ratios_db": {way: list(map(sqnr_db, weight, back)) for way, back in rounded.items()},
    }


def measure_ranges(activation: np.ndarray) -> dict[str, Any]:
    """Return a histogram of activations, and the range that each observer chooses for 4 bits."""
    histogram, watching = StreamingHistogram(128), {name: make(4, False) for name, make in OBSERVERS.items()}
    for batch in np.array_split(activation, 8):
        histogram.add(batch)
        for observer in watching.values():
            observer.observe(batch)
    counts, edges = histogram.arrays()
    chosen = {name: observer.range() for name, observer in watching.items()}
    return {"counts": counts.tolist(), "edges": edges.tolist(), "chosen": chosen}


def measure_deployed(name: str, batches: Sequence[torch.Tensor]) -> dict[str, Any]:
    """Return what int8 does to a network of the zoo in ONNX Runtime: its size, its speed, its accuracy."""
    test = _examples("test")
    quantized = quantize_model(load_pretrained(name), batches)
    files = {"float32": onnx_of(name), "int8": build_qdq(quantized, torch.from_numpy(test.inputs[:2]))}
    runs = {kind: get_runtime("onnxruntime").load(file).run for kind, file in files.items()}
    calls = {kind: partial(run, test.inputs[:1]) for kind, run in runs.items()}
    race = compare_latency(calls, baseline="int8", runs=200)
    gain, lost = race.ratios["float32"], compare_accuracy(runs, test, baseline="float32")["int8"].advice
    smaller = len(files["float32"]) / len(files["int8"])
    return {
        "name": name,
        "race": race,
        "size": Claim("4 times smaller", smaller, "times smaller", low=4.0),
        "speed": Claim("2 to 4 times faster", gain.value, "times faster", 2.0, 4.0, gain.interval),
        "drop": Claim(
            "less than 1 point", lost.drop_pt, "points of accuracy lost", high=1.0, interval=lost.interval_pt
        ),
    }


def measure_dynamic(batches: Sequence[torch.Tensor]) -> dict[str, Any]:
    """Return the latency of the transformer in floating point, static and dynamic."""
    few, model = _examples("test", 2000), load_pretrained(TRANSFORMER)
    example = torch.from_numpy(few.inputs[:2])
    files = {
        "float32": onnx_of(TRANSFORMER),
        "static": build_qdq(quantize_model(model, batches), example),
        "dynamic": build_dynamic(quantize_dynamic(model), example),
    }
    runs = {kind: get_runtime("onnxruntime").load(file).run for kind, file in files.items()}
    calls = {kind: partial(run, few.inputs[:1]) for kind, run in runs.items()}
    return {
        "transformer": compare_latency(calls, baseline="float32", runs=200),
    }


def measure_formats(model: torch.nn.Module) -> AccuracyComparison:
    """Compare the model with its parameters rounded to shorter floating-point formats."""
    versions = {"float32": model, **{name: deepcopy(model) for name in FORMATS}}
    for name in FORMATS:
        for parameter in versions[name].parameters():
            parameter.data = cast(parameter.data, name)
    return compare_accuracy(versions, _examples("test", 2000), baseline="float32")


def measure_codebooks(weight: np.ndarray) -> dict[str, Any]:
    """Return way of storing → (bits a weight, dB), tables and scales included."""
    affine, plain, huffman = [], [], []
    for bits in WIDTHS:
        grid = choose_qparams(weight, bits, symmetric=True, granularity=PerChannel())
        stored = encode(quantize(weight, grid), grid, "dense").size_bytes
        affine.append((8 * stored / weight.size, sqnr_db(weight, fake_quantize(weight, grid))))
        book = build_codebook(weight, bits)
        ratio = sqnr_db(weight, from_codebook(book))
        plain.append((8 * codebook_size_bytes(book, huffman=False) / weight.size, ratio))
        huffman.append((8 * codebook_size_bytes(book, huffman=True) / weight.size, ratio))
    return {"affine, per channel": affine, "codebook": plain, "codebook and Huffman": huffman}


def _compared(model: torch.nn.Module, configs: dict[str, QuantizationConfig]) -> AccuracyComparison:
    versions = {name: quantize_model(model, _batches(), config) for name, config in configs.items()}
    return compare_accuracy({"float32": model, **versions}, _examples("test", 2000), baseline="float32")


def _examples(split: str, count: int | None = None) -> Examples:
    images = load_dataset("fashion-mnist", split)
    return Examples(images.inputs(slice(count)), images.labels[:count])


def _batches() -> Sequence[torch.Tensor]:
    return torch.from_numpy(_examples("train", 512).inputs).split(64)
