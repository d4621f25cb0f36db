"""What the deck of week 6 shows, measured: few bits, roundings, training, sensitivities, bits under a budget.

Training images choose, validation images watch, and test images judge, as in the notebook. All on one thread,
as the footnotes say.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch

from benchmarks.qat import CASES, examples
from benchmarks.sensitivity import naive_outputs
from course_lib.architectures import list_zoo, load_pretrained
from course_lib.benchmarking import compare_latency
from course_lib.quantization.models.config import (
    QuantizationConfig,
    Rounding,
    WeightRange,
    WeightScheme,
)
from course_lib.quantization.models.fisher import fisher_scores
from course_lib.quantization.models.mixed_precision import allocate, apply_bits, log_rule, weight_bits
from course_lib.quantization.models.ptq import quantize_model
from course_lib.quantization.models.qat import Estimator, imitate, prepare_qat
from course_lib.quantization.models.sensitivity import SensitivityTable, layer_sensitivity
from course_lib.training import Examples, accuracy, fit

WIDTHS = (2, 3, 4, 5, 6, 8)
LOW_WIDTHS = (2, 3, 4)
AVERAGE = 4
"""Bits a weight that a choice of bits may take."""
ALPHA = 1 / np.log(4)

WAYS: dict[str, tuple[WeightRange, Rounding, bool]] = {
    "nearest": ("mse", "nearest", False),
    "bias corrected": ("mse", "nearest", True),
    "GPTQ": ("mse", "gptq", False),
    "AdaRound": ("mse", "adaround", False),
}
"""Name → how the ends of the grid are found, how weights are rounded, whether biases are corrected."""

CASE, EPOCHS = CASES["w4a4_depthwise"], 3
"""What is trained, and for how many epochs: as in the benchmark, but fewer, so that a lesson can wait for it,
and with averaged weights, whose curve is calmer."""


def measure_week06() -> dict[str, Any]:
    """Return the results of week 6, name → measured result, as its notebook measures them."""
    torch.set_num_threads(1)
    model, test, few = load_pretrained(CASE.model), examples("test"), examples("train", 1000)
    table = layer_sensitivity(model, few, WIDTHS)
    transformer = load_pretrained("vision_transformer")
    return {
        "float_accuracy": accuracy(model, test),
        "roundings": measure_roundings(model, test),
        **measure_training(model),
        "sensitivity": table,
        "fisher": fisher_scores(model, few, WIDTHS),
        "transformer": layer_sensitivity(transformer, examples("train", 200), (2, 3, 4)),
        **measure_choices(model, table, test),
        "screening": measure_screening(),
    }


def measure_roundings(model: torch.nn.Module, test: Examples) -> dict[str, list[tuple[int, float]]]:
    """Return way of rounding → (bits, accuracy on the test images)."""
    batches = _batches()

    def judged(bits: int, ends: WeightRange, rounding: Rounding, correct_bias: bool) -> float:
        scheme = WeightScheme(bits, range=ends, rounding=rounding)
        config = QuantizationConfig(scheme, None, correct_bias=correct_bias)
        return accuracy(quantize_model(model, batches, config), test)

    curves = {way: [(bits, judged(bits, *how)) for bits in LOW_WIDTHS] for way, how in WAYS.items()}
    whole = [(bits, judged(bits, "minmax", "nearest", False)) for bits in WIDTHS]
    return {"nearest, min-max grid": whole, **curves}


def measure_training(model: torch.nn.Module) -> dict[str, Any]:
    """Train with 4-bit weights and activations; return the epochs, and what there was before."""
    train, validation = examples("train"), examples("validation")

    def history(estimator: Estimator) -> Any:
        graph = prepare_qat(model, _batches(), CASE.quantization, estimator=estimator)
        return fit(
            graph,
            train,
            validation,
            replace(CASE.training(EPOCHS), averaging=0.99),
            loss_function=imitate(model),
        ).history

    return {
        "training": {"LSQ": history("lsq"), "straight through": history("ste")},
        "validation": {
            "float": accuracy(model, validation),
            "calibrated": accuracy(quantize_model(model, _batches(), CASE.quantization), validation),
        },
    }


def measure_choices(model: torch.nn.Module, table: SensitivityTable, test: Examples) -> dict[str, Any]:
    """Return what three ways choose for the same budget, and the accuracy of each."""
    costs, losses = weight_bits(model, WIDTHS), table.divergences()
    budget = sum(row[AVERAGE] for row in costs.values())

    def cost(bits: Mapping[str, int]) -> float:
        return sum(costs[path][width] for path, width in bits.items())

    sensitivities = {path: row[AVERAGE] for path, row in losses.items()}
    rules = [log_rule(sensitivities, base, ALPHA, WIDTHS) for base in np.arange(-5, 25, 0.05)]
    choices = {
        "same bits": dict.fromkeys(costs, AVERAGE),
        "rule of thumb": max((bits for bits in rules if cost(bits) <= budget), key=cost),
        "programme": allocate(costs, losses, budget).bits,
    }
    judged = {name: accuracy(apply_bits(model, bits), test) for name, bits in choices.items()}
    return {"choices": choices, "choice_accuracies": {"float": accuracy(model, test), **judged}}


def measure_screening() -> dict[str, Any]:
    """Time the three ways to the sensitivities of all layers, in turns, for every network of the zoo."""
    images = examples("train", 50)
    return {name: _screening(load_pretrained(name), images) for name in list_zoo()}


def _screening(model: torch.nn.Module, images: Examples) -> Any:
    ways = {
        "one by one": partial(naive_outputs, model, torch.from_numpy(images.inputs), LOW_WIDTHS),
        "prefix kept": partial(layer_sensitivity, model, images, LOW_WIDTHS),
        "Fisher": partial(fisher_scores, model, images, LOW_WIDTHS),
    }
    return compare_latency(ways, baseline="one by one", runs=8, warmup=1)


def _batches() -> tuple[torch.Tensor, ...]:
    return torch.from_numpy(examples("train", 512).inputs).split(128)
