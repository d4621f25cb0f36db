"""Is the sensitivity analysis exact, how much faster is it than the usual way, and what do its answers buy?

The usual way copies the model for each layer and bit width, exchanges one weight and runs the copy on all
images. Both give the same bits of output; they are timed in turns, with the Fisher score beside them. Then
the integer programme gives the teacher at most 4 bits a weight on average, chosen on training images, and its
model is compared with 4 bits everywhere on the 10,000 test images.
"""

import copy
import sys
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any, TypeAlias

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import nn
from torch.nn import functional as F
from tqdm import tqdm

from benchmarks.cli import Target, run
from course_lib.architectures import load_pretrained
from course_lib.data import Dataset, load_dataset
from course_lib.quantization.models.branching import BranchingModel
from course_lib.quantization.models.fisher import FisherScore, fisher_scores
from course_lib.quantization.models.graph import weight_layers
from course_lib.quantization.models.layerwise import nearest_per_channel, quantized_weights
from course_lib.quantization.models.mixed_precision import allocate, apply_bits, log_rule, weight_bits
from course_lib.quantization.models.sensitivity import (
    BATCH_SIZE,
    SensitivityTable,
    layer_sensitivity,
)
from course_lib.training.evaluate import Examples, predict

TEACHER = "residual"
BITS = (2, 3, 4, 5, 6, 7, 8)
BUDGET_BITS = 4
"""Bits a weight, on average over all weights."""
ALPHA = 0.72
"""Of the rule bits = base + α · log(S): a bit divides S by 4, so 1 / ln 4 makes all layers' S alike."""

Outputs: TypeAlias = dict[tuple[str, int], torch.Tensor]
"""(path, bits) → the model's scores for all images."""


def naive_outputs(model: nn.Module, inputs: torch.Tensor, bits: Sequence[int]) -> Outputs:
    """Return the scores of whole runs that each have one weight quantized, (N, number of classes)."""
    outputs = {}
    for path in weight_layers(model):
        for width in bits:
            changed = copy.deepcopy(model)
            layer = changed.get_submodule(path)
            layer.weight = nn.Parameter(nearest_per_channel(layer.weight, width))
            with torch.inference_mode():
                outputs[path, width] = torch.cat([changed(batch) for batch in inputs.split(BATCH_SIZE)])
    return outputs


def cached_outputs(model: nn.Module, inputs: torch.Tensor, bits: Sequence[int]) -> Outputs:
    """Return what `naive_outputs` does, by branching."""
    branching = BranchingModel(model)
    weights = quantized_weights(branching.layers, bits, None, nearest_per_channel)
    pieces: dict[tuple[str, int], list[torch.Tensor]] = {}
    with torch.inference_mode():
        for batch in inputs.split(BATCH_SIZE):
            for path, width, output in branching.run(batch, weights):
                pieces.setdefault((path, width), []).append(output)
    return {key: torch.cat(outputs) for key, outputs in pieces.items() if key[0]}


def measure(quick: bool) -> dict[str, Any]:
    """Return the figures of the analysis, and the accuracies of what is chosen by it."""
    timed_images, images, rounds = (100, 1000, 1) if quick else (200, 4000, 5)
    model, train = load_pretrained(TEACHER), load_dataset("fashion-mnist", "train")
    order = np.random.default_rng(0).permutation(len(train))
    examples = _examples(train, order[:images])
    bar = tqdm(total=1.0, desc="sensitivity", file=sys.stderr, bar_format="{l_bar}{bar}| {elapsed}")
    table = layer_sensitivity(model, examples, BITS, on_progress=lambda share: bar.update(share - bar.n))
    bar.close()
    scores = fisher_scores(model, examples, BITS)
    return {
        **_timings(model, _examples(train, order[:timed_images]), rounds),
        **_correlations(table, scores),
        **_allocations(model, table, scores),
        "layers": len(table.losses()),
        "calibration_images": images,
    }


def _examples(dataset: Dataset, chosen: np.ndarray) -> Examples:
    return Examples(dataset.inputs(chosen), dataset.labels[chosen])


def _timings(model: nn.Module, examples: Examples, rounds: int) -> dict[str, Any]:
    inputs, labels = torch.from_numpy(examples.inputs), torch.from_numpy(examples.labels)

    def naive() -> dict[tuple[str, int], float]:
        outputs = naive_outputs(model, inputs, BITS)
        return {key: float(F.cross_entropy(value, labels)) for key, value in outputs.items()}

    ways: dict[str, Callable[[], object]] = {
        "naive": naive,
        "cached": lambda: layer_sensitivity(model, examples, BITS),
        "fisher": lambda: fisher_scores(model, examples, BITS),
    }
    ways["fisher"]()  # the first run of each kind of step prepares it
    expected, found = naive_outputs(model, inputs, BITS), cached_outputs(model, inputs, BITS)
    identical = expected.keys() == found.keys() and all(
        torch.equal(expected[key], found[key]) for key in found
    )
    samples: dict[str, list[float]] = {name: [] for name in ways}
    for _ in tqdm(range(rounds), desc="timing", file=sys.stderr):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            samples[name].append(time.perf_counter() - start)
    return {
        "identical": identical,
        "speedup": _median_ratio(samples["naive"], samples["cached"]),
        "fisher_speedup": _median_ratio(samples["naive"], samples["fisher"]),
        "samples_s": samples,
    }


def _median_ratio(numerators: list[float], denominators: list[float]) -> float:
    return median(top / bottom for top, bottom in zip(numerators, denominators, strict=True))


def _correlations(table: SensitivityTable, scores: list[FisherScore]) -> dict[str, Any]:
    """Return the rank correlations of the scores with the exact losses, over all layers and bit widths."""
    rises = [row.loss_increase for row in table.rows]
    divergences = [row.divergence for row in table.rows]
    predicted = [score.loss_increase for score in scores]
    quadratic = [score.quadratic for score in scores]
    diagonal = [score.diagonal for score in scores]
    at_bits = {width: [place for place, row in enumerate(table.rows) if row.bits == width] for width in BITS}

    def correlation(exact: list[float], scored: list[float], places: Any = slice(None)) -> float:
        return float(spearmanr(*np.array([exact, scored])[:, places]).statistic)

    return {
        "fisher_spearman": correlation(rises, predicted),
        "fisher_spearman_without_linear": correlation(rises, quadratic),
        "fisher_spearman_diagonal": correlation(rises, diagonal),
        "fisher_spearman_divergence": correlation(divergences, quadratic),
        "fisher_spearman_divergence_diagonal": correlation(divergences, diagonal),
        "fisher_spearman_at_bits": {
            width: correlation(rises, predicted, places) for width, places in at_bits.items()
        },
        "fisher_spearman_divergence_at_bits": {
            width: correlation(divergences, quadratic, places) for width, places in at_bits.items()
        },
    }


def _allocations(model: nn.Module, table: SensitivityTable, scores: list[FisherScore]) -> dict[str, Any]:
    """Return test accuracy and loss at 4 bits everywhere, and with what programme and rule choose."""
    costs = weight_bits(model, BITS)
    weights = sum(row[BITS[0]] for row in costs.values()) / BITS[0]
    budget = BUDGET_BITS * weights
    predicted: dict[str, dict[int, float]] = {path: {} for path in costs}
    for score in scores:
        predicted[score.layer][score.bits] = score.quadratic
    chosen = {
        "uniform": dict.fromkeys(costs, BUDGET_BITS),
        "ilp": allocate(costs, table.divergences(), budget).bits,
        "ilp_by_loss": allocate(costs, table.losses(), budget).bits,
        "ilp_by_fisher": allocate(costs, predicted, budget).bits,
        "log_rule": _log_rule_within(scores, costs, budget),
    }
    test = load_dataset("fashion-mnist", "test")
    models = {"float": model, **{name: apply_bits(model, bits) for name, bits in chosen.items()}}
    figures: dict[str, Any] = {}
    for name, candidate in tqdm(models.items(), desc="test set", file=sys.stderr):
        outputs = predict(candidate, test.all_inputs)
        figures[f"{name}_accuracy"] = float((outputs.argmax(1) == test.labels).mean())
        figures[f"{name}_loss"] = float(
            F.cross_entropy(torch.from_numpy(outputs), torch.from_numpy(test.labels))
        )
    bits_per_weight = {
        name: sum(costs[path][width] for path, width in bits.items()) / weights
        for name, bits in chosen.items()
    }
    return {
        "ilp_beats_uniform": figures["ilp_accuracy"] > figures["uniform_accuracy"],
        **figures,
        "ilp_bits_per_weight": bits_per_weight["ilp"],
        "bits_per_weight": bits_per_weight,
        "bits_by_layer": chosen,
    }


def _log_rule_within(
    scores: list[FisherScore], costs: dict[str, dict[int, float]], budget: float
) -> dict[str, int]:
    """Return the rule's bits for the largest base, in steps of 0.05, that keeps the budget."""
    sensitivities = {score.layer: score.quadratic for score in scores if score.bits == BUDGET_BITS}
    for base in np.arange(20, -20, -0.05):
        bits = log_rule(sensitivities, float(base), ALPHA, BITS)
        if sum(costs[path][width] for path, width in bits.items()) <= budget:
            break
    return bits


if __name__ == "__main__":
    run(
        measure,
        {
            "identical": Target(low=1),
            "speedup": Target(low=2),
            "fisher_spearman": Target(low=0.9),
            "fisher_speedup": Target(low=8),
            "ilp_beats_uniform": Target(low=1),
        },
        threads=torch.get_num_threads(),
    )
