"""What the deck of week 4 shows, measured: zeros, removed channels, rounds of pruning, tickets, factors.

Training images choose and train, validation images watch, and test images judge, as in the notebook. It
takes about eight minutes on two quiet CPUs, half of it for the lottery tickets. These and the rounds of
pruning keep their state in ``runs``, so that a recording that was stopped goes on from there. They train on
two threads; all that is timed runs on one.
"""

import json
import math
from pathlib import Path
from typing import Any

import torch

from benchmarks.lottery import FOLDER as LOTTERY_FOLDER
from benchmarks.lottery import experiment
from course_lib.architectures import load_pretrained
from course_lib.benchmarking import MachineRecord
from course_lib.data import load_dataset
from course_lib.explore.channel_graph import ChannelGraph
from course_lib.explore.model_source import ZOO_INPUT, onnx_of
from course_lib.explore.pruning_studies import (
    DENSE,
    channel_block,
    file_with_zeros,
    masked_accuracies,
    one_shot_accuracies,
    race_files,
    race_without_channels,
    rankings,
    stored_bytes,
)
from course_lib.lowrank.extent import Extent, dense_macs
from course_lib.lowrank.factorize import LowRankConfig, factorize
from course_lib.lowrank.spatial import spatial_choices
from course_lib.lowrank.svd import svd_choices
from course_lib.lowrank.tucker import tucker_choices
from course_lib.pipelines.accuracy_comparison import AccuracyComparison, VersionAccuracy, compare_accuracy
from course_lib.pipelines.sparsity_pays import measure_sparsity_pays
from course_lib.pruning import Schedule, magnitude_masks
from course_lib.pruning.channel_pruner import ChannelPruner
from course_lib.pruning.gating_speed import measure_gating_speed
from course_lib.pruning.importance import taylor
from course_lib.pruning.iterative import IterativeConfig, Pruner, PruningRun, prune_iteratively
from course_lib.pruning.masked import bake_masks, hold_masks, prunable_weights
from course_lib.pruning.selection import SelectionConfig
from course_lib.pruning.sensitivity import channel_sensitivity
from course_lib.pruning.structure.dependency import DependencyGraph
from course_lib.pruning.weight_pruner import WeightPruner
from course_lib.quantization.models.advice import Advice
from course_lib.training import Augmentation, Examples, TrainingConfig, accuracy

MODEL, TEACHER = "depthwise", "residual"
FOLDER = Path("runs/week04")
RECORD = Path(__file__).parent.parent / "benchmarks" / "results" / "pruning.json"
SPARSITIES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
RATIOS = (0.1, 0.2, 0.3, 0.4, 0.5)
FLOOR = 0.95
"""The rounds stop below this part of the dense network's accuracy: a rule of thumb."""
GOALS = {
    "macs2x": ("half of the MACs", 0.3),
    "sparsity80": ("80 % zeros", 0.2),
    "sparsity90": ("90 % zeros", 0.5),
}
"""Case of the benchmark → its name on the slide, and the points that it may lose."""
EXAMPLE = torch.zeros(1, *ZOO_INPUT)
TRAINING_THREADS = 2


def measure_week04(quick: bool = False) -> dict[str, Any]:
    """Return the results of week 4, name → measured result; a quick run only shows that it works."""
    few = 100 if quick else 2000
    torch.set_num_threads(1)
    model, test = load_pretrained(MODEL), _examples("test", few)
    measured = {
        "dense_accuracy": accuracy(model, test),
        "masks": masked_accuracies(model, test, SPARSITIES),
        "stored": measure_stored(model),
        **measure_races(model, quick),
        **measure_channels(model, test, few),
        **measure_break_even(quick),
        **measure_factors(few),
        "best": recorded_best(),
        "gating": measure_gating_speed(((32, 14), (64, 28), (256, 28)), runs=10 if quick else 40),
    }
    torch.set_num_threads(TRAINING_THREADS)
    tickets = experiment(quick, FOLDER / "quick_lottery" if quick else LOTTERY_FOLDER)
    return {**measured, **measure_rounds(model, quick), "lottery": tickets}


def measure_stored(model: torch.nn.Module) -> dict[str, dict[str, int]]:
    """Return sparsity → way of storing → bytes."""
    weights = prunable_weights(model)
    found = {}
    for sparsity in (0.0, *SPARSITIES):
        pruned = bake_masks(hold_masks(model, magnitude_masks(weights, sparsity)))
        found[str(sparsity)] = stored_bytes(prunable_weights(pruned).values())
    return found


def measure_races(model: torch.nn.Module, quick: bool) -> dict[str, Any]:
    """Time zeros, and removed channels in two networks, against the network as it was."""
    image, runs = _examples("test", 1).inputs, 20 if quick else 200
    graphs = {
        name: ChannelGraph(load_pretrained(name), onnx_of(name), ZOO_INPUT) for name in (MODEL, TEACHER)
    }
    zeros = {DENSE: onnx_of(MODEL)}
    zeros |= {f"{each:.0%} zeros": file_with_zeros(graphs[MODEL], model, each) for each in (0.5, 0.8, 0.95)}
    config = SelectionConfig(multiple_of=channel_block())
    ratios = (0.25, 0.5, 0.75)
    return {
        "zeros_race": race_files(zeros, image, runs=runs),
        "removed": {
            name: race_without_channels(graph, image, ratios, config=config, runs=runs)
            for name, graph in graphs.items()
        },
        "any_width": race_without_channels(graphs[MODEL], image, ratios, runs=runs),
    }


def measure_channels(model: torch.nn.Module, test: Examples, few: int) -> dict[str, Any]:
    """Compare rankings of channels, and the layers, without training."""
    graph, scored = DependencyGraph(model, EXAMPLE), _examples("train", 512)
    ranked = rankings(graph, scored, seeds=(0, 1, 2))
    watched = _examples("validation", few)
    return {
        "rankings": one_shot_accuracies(graph, ranked, RATIOS, test),
        "layers": list(channel_sensitivity(graph, watched, ranked["Taylor"])),
    }


def measure_rounds(model: torch.nn.Module, quick: bool) -> dict[str, Any]:
    """Prune and fine-tune: weights at once and in rounds of as many epochs, channels down to the floor."""
    train, validation = (
        _examples("train", 200 if quick else None),
        _examples("validation", 200 if quick else None),
    )
    images = torch.from_numpy(train.inputs[:500]).split(100)
    batches = list(zip(images, torch.from_numpy(train.labels[:500]).split(100), strict=True))

    def run(name: str, pruner: Pruner, epochs: int, floor: float = 0.0) -> PruningRun:
        config = IterativeConfig(tuning(1 if quick else epochs), accuracy_floor=floor)
        kept = FOLDER / ("quick_" * quick + name)
        return prune_iteratively(model, pruner, train, validation, config, checkpoint=kept)

    by_taylor = ChannelPruner(
        Schedule(0.8, 8, "linear"),
        EXAMPLE,
        lambda graph: taylor(graph, batches),
        SelectionConfig(multiple_of=channel_block(), max_ratio_per_group=0.5),
        importance_name="taylor, 500 training images",
    )
    weights = {
        "at once": run("one_shot", WeightPruner(Schedule(0.9, 1, "one_shot")), 8),
        "four rounds": run("cubic", WeightPruner(Schedule(0.9, 4, "cubic")), 2),
    }
    channels = run("channels", by_taylor, 2, FLOOR)
    return {
        "rounds_dense": channels.dense_accuracy,
        "floor": FLOOR,
        "weight_rounds": {name: each.history for name, each in weights.items()},
        "channel_rounds": channels.history,
    }


def tuning(epochs: int) -> TrainingConfig:
    """Return how a round is fine-tuned."""
    return TrainingConfig(
        epochs=epochs,
        optimizer="adamw",
        learning_rate=2e-3,
        weight_decay=0.0,
        warmup_epochs=0.5,
        averaging=0.98,
        augmentation=Augmentation(max_shift=2),
    )


def recorded_best() -> AccuracyComparison:
    """Return what half an hour of fine-tuning kept, as ``python -m benchmarks pruning`` recorded it."""
    found = json.loads(RECORD.read_text(encoding="utf-8"))
    dense = found["dense_accuracy"]
    versions = {"dense": VersionAccuracy("dense", dense, Advice(False, 0.0, (0.0, 0.0), 0.0), math.inf)}
    for key, (name, goal) in GOALS.items():
        drop, interval = found[f"{key}_drop_pt"], tuple(found["drop_intervals_pt"][key])
        advice = Advice(drop > goal, drop, interval, goal)
        versions[name] = VersionAccuracy(name, found["accuracies"][key], advice, found["sqnr_db"][key])
    machine = MachineRecord(**found["machine"])
    return AccuracyComparison(machine=machine, baseline="dense", images=found["images"], versions=versions)


def measure_break_even(quick: bool) -> dict[str, Any]:
    """Measure from how many zeros on sparse formats are faster: for one column, and for 64."""
    sizes = (64, 128) if quick else (128, 256, 512, 1024)
    return {
        f"break_even_{columns}": measure_sparsity_pays(sizes, columns=columns, runs=8 if quick else 30)
        for columns in (1, 64)
    }


def measure_factors(few: int) -> dict[str, Any]:
    """Return the choices for one convolution, and the accuracy of the teacher's factors by energy kept."""
    teacher, test = load_pretrained(TEACHER), _examples("test", few)
    layer = largest_convolution(teacher)
    extent = Extent((1, 7, 7), (1, 7, 7))
    offers = {"svd": svd_choices, "spatial": spatial_choices, "tucker": tucker_choices}
    energies = (0.99, 0.95, 0.9, 0.8)
    images = torch.from_numpy(_examples("train", 64).inputs)
    made = {each: factorize(teacher, images, LowRankConfig(energy_kept=each)) for each in energies}
    versions = {f"{each:.0%} kept": found.model for each, found in made.items()}
    return {
        "ranks": {name: offer(layer, [extent]) for name, offer in offers.items()},
        "ranks_macs": dense_macs(layer, [extent]),
        "factors": compare_accuracy({"dense": teacher, **versions}, test, baseline="dense"),
        "factors_macs": {
            f"{each:.0%} kept": found.macs_after / found.macs_before for each, found in made.items()
        },
    }


def largest_convolution(model: torch.nn.Module) -> torch.nn.Conv2d:
    """Return the last of the convolutions with the most weights; the teacher's works on 7×7 pixels."""
    convolutions = [layer for layer in model.modules() if isinstance(layer, torch.nn.Conv2d)]
    return max(reversed(convolutions), key=lambda layer: layer.weight.numel())


def _examples(split: str, count: int | None = None) -> Examples:
    images = load_dataset("fashion-mnist", split)
    return Examples(images.inputs(slice(count)), images.labels[:count])
