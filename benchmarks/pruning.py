"""What does pruning cost in accuracy, and what does it buy in MACs, latency and stored bytes?

The zoo's teacher, judged on the 10,000 test images: with half of its MACs, and with 80 and 90 % of its
weights zero. The settings were chosen on validation images; the test images are read once, at the end.

Fine-tuning uses the 55,000 training images of the full Fashion-MNIST, or, where that is not at hand, the
10,000 that ship with the course, as `training_images` says. It imitates the dense teacher, its scores and its
maps where they kept their shape, so labels are not read.

Zeros: magnitudes that compare between layers choose them (LAMP), in a few rounds.

Half of the MACs: first a whole residual branch goes, the one at full resolution, then channels of the others,
by first-order Taylor importance, the same part of each, in widths that are multiples of 16 where the CPU has
AVX-512 (8 otherwise), the block in which ONNX Runtime lays out channels; a width of 24 would be computed as
32. The tensors between the blocks keep their width. Latency is measured against the dense model in
interleaved rounds on one thread.

Stored size: every tensor of the sparse model written down in the encoding that takes the fewest bytes, over
the bytes of the dense model's.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import torch
from torch import nn
from tqdm import tqdm

from benchmarks.cli import Target, run
from course_lib.architectures import load_pretrained
from course_lib.benchmarking import compare_latency
from course_lib.data import load_dataset
from course_lib.distillation.imitation import Imitation
from course_lib.errors import DataError
from course_lib.explore.pruning_studies import channel_block
from course_lib.export.onnx_export import build_onnx
from course_lib.pipelines.accuracy_comparison import compare_accuracy
from course_lib.pruning import Schedule
from course_lib.pruning.channel_pruner import ChannelPruner
from course_lib.pruning.importance import Importance, taylor
from course_lib.pruning.iterative import IterativeConfig, Pruner, PruningRun, prune_iteratively
from course_lib.pruning.macs_target import macs_of
from course_lib.pruning.ranking import SelectionConfig
from course_lib.pruning.structure.branches import remove_branches
from course_lib.pruning.structure.dependency import DependencyGraph
from course_lib.pruning.weight_pruner import WeightPruner
from course_lib.quantization.encoding import encode
from course_lib.runtimes.onnx_runtime import OnnxRuntime
from course_lib.training import Augmentation, Examples, TrainingConfig

THREADS = 2
TEACHER = "residual"
EXAMPLE = torch.zeros(1, 1, 28, 28)
SCORED_IMAGES, SCORED_BATCH = 1000, 100
QUICK_IMAGES = 300
HEADLINE_BATCH, LARGE_BATCH = 1, 32
LATENCY_ROUNDS = {HEADLINE_BATCH: 1000, LARGE_BATCH: 150}


BRANCH = "blocks.0"
"""At full resolution and narrow, so that a MAC takes longest there; and the network misses it least."""

STAGES = ("stem.0.0", "blocks.1.conv2.0", "blocks.3.conv2.0")
"""What makes the tensors between the blocks."""

MAPS = {
    "macs2x": tuple(f"blocks.{number}.relu" for number in range(1, 5)),
    "sparsity80": ("stem.1", *(f"blocks.{number}.relu" for number in range(5))),
}
MAPS["sparsity90"] = MAPS["sparsity80"]
"""Layers that are to give the teacher's maps; a block's ReLU is seen at its end."""


@dataclass(frozen=True)
class Case:
    """One way to the target: its rounds, how many images each trains on, and how."""

    schedule: Schedule
    round_images: int
    last_images: int
    learning_rate: float
    map_weight: float
    """Of the maps beside the scores; a network with fewer layers needs more guidance than one with zeros."""

    def config(self, images: int, quick: bool) -> IterativeConfig:
        """Return the training on a set of so many images."""
        passes = [1 if quick else round(total / images) for total in (self.round_images, self.last_images)]
        rounds = TrainingConfig(
            epochs=max(1, passes[0]),
            learning_rate=self.learning_rate,
            weight_decay=0.0,
            warmup_epochs=0.5,
            averaging=0.99,
            augmentation=Augmentation(max_shift=2),
            seed=0,
        )
        return IterativeConfig(rounds, replace(rounds, epochs=max(1, passes[1])))


CASES = {
    "macs2x": Case(Schedule(0.5, 1), 0, 1_045_000, learning_rate=0.05, map_weight=5),
    "sparsity80": Case(Schedule(0.8, 3, "cubic"), 55_000, 495_000, learning_rate=0.05, map_weight=1),
    # Goes on from the model with 80 % zeros.
    "sparsity90": Case(
        Schedule(0.9, 2, "linear", initial=0.8), 110_000, 660_000, learning_rate=0.05, map_weight=1
    ),
}


def examples(split: str, count: int | None = None) -> Examples:
    """Return the first images of a split of the shipped data as model inputs."""
    dataset = load_dataset("fashion-mnist", split)
    return Examples(dataset.inputs(slice(count)), dataset.labels[:count])


@cache
def training_set(quick: bool) -> Examples:
    """Return all training images that are at hand, or a few for a quick run."""
    if quick:
        return examples("train", QUICK_IMAGES)
    try:
        dataset = load_dataset("fashion-mnist-full", "train")
    except DataError as error:
        print(f"{error} Fine-tuning goes on with the shipped images.", file=sys.stderr)
        return examples("train")
    return Examples(dataset.inputs(), dataset.labels)


def taylor_of(train: Examples) -> Callable[[DependencyGraph], Importance]:
    """Return the importance by training images, which every round works out for its own network."""
    inputs, labels = (torch.from_numpy(part[:SCORED_IMAGES]).split(SCORED_BATCH) for part in train)
    batches = list(zip(inputs, labels, strict=True))
    return lambda graph: taylor(graph, batches)


def pruner_of(name: str, start: nn.Module, teacher: nn.Module, train: Examples) -> Pruner:
    """Return what a case prunes its start with."""
    schedule = CASES[name].schedule
    if name != "macs2x":
        return WeightPruner(schedule, scope="layer_adaptive")
    left = (1 - schedule.target) * macs_of(teacher, EXAMPLE) / macs_of(start, EXAMPLE)
    selection = SelectionConfig(scope="local", multiple_of=channel_block(), protected=STAGES)
    return ChannelPruner(replace(schedule, target=1 - left), EXAMPLE, taylor_of(train), selection)


def prune(name: str, start: nn.Module, teacher: nn.Module, train: Examples, quick: bool) -> PruningRun:
    """Return the pruned model of one case, its progress shown on stderr."""
    pruner = pruner_of(name, start, teacher, train)
    validation = examples("validation", QUICK_IMAGES if quick else None)
    config = CASES[name].config(len(train.labels), quick)
    assert config.last_tuning is not None
    total = (pruner.rounds - 1) * config.tuning.epochs + config.last_tuning.epochs
    with tqdm(total=total, desc=name, unit="epoch", file=sys.stderr) as bar:

        def show(number: int, record: Any) -> None:
            bar.set_postfix(round=number, validation=f"{record.validation_accuracy:.2%}")
            bar.update()

        loss = Imitation(teacher, MAPS[name], weight=CASES[name].map_weight)
        return prune_iteratively(start, pruner, train, validation, config, loss_function=loss, on_epoch=show)


def stored_fraction(model: nn.Module) -> float:
    """Return the encoded bytes of a model's tensors, over 4 bytes for each of their values."""
    tensors = [tensor for tensor in model.state_dict().values() if tensor.is_floating_point()]
    stored = sum(encode(tensor.numpy()).size_bytes for tensor in tensors)
    return stored / sum(4 * tensor.numel() for tensor in tensors)


def latency_figures(dense: nn.Module, smaller: nn.Module, quick: bool) -> dict[str, Any]:
    """Return how many times faster the smaller model is, as value and 95 % interval, by batch size."""
    models = {
        name: OnnxRuntime().load(build_onnx(model, EXAMPLE))
        for name, model in (("dense", dense), ("smaller", smaller))
    }
    figures: dict[str, Any] = {}
    for batch, rounds in LATENCY_ROUNDS.items():
        images = examples("train", batch).inputs
        calls = {name: partial(model.run, images) for name, model in models.items()}
        compared = compare_latency(
            calls, baseline="dense", runs=rounds // 10 if quick else rounds, items_per_call=batch
        )
        ratio = compared.ratios["smaller"]
        suffix = "" if batch == HEADLINE_BATCH else f"_batch_{batch}"
        figures[f"latency_gain{suffix}"] = 1 / ratio.value
        figures[f"latency_gain{suffix}_interval"] = [1 / ratio.interval.high, 1 / ratio.interval.low]
        figures[f"dense{suffix}_p50_ms"] = compared.results["dense"].p50_ms
        figures[f"smaller{suffix}_p50_ms"] = compared.results["smaller"].p50_ms
    return figures


def widths(model: nn.Module) -> dict[str, int]:
    """Return the number of output channels of each convolution."""
    return {path: layer.out_channels for path, layer in model.named_modules() if isinstance(layer, nn.Conv2d)}


def measure(quick: bool) -> dict[str, Any]:
    """Return the points of accuracy lost, what was won by them, and the seconds of fine-tuning."""
    torch.set_num_threads(THREADS)
    teacher, train = load_pretrained(TEACHER), training_set(quick)
    starts = {"macs2x": remove_branches(teacher, [BRANCH], EXAMPLE), "sparsity80": teacher}
    runs: dict[str, PruningRun] = {}
    seconds: dict[str, float] = {}
    for name in CASES:
        began = time.perf_counter()
        runs[name] = prune(name, starts.get(name) or runs["sparsity80"].model, teacher, train, quick)
        seconds[name] = time.perf_counter() - began
    smaller = runs["macs2x"].model
    macs_gain = macs_of(teacher, EXAMPLE) / macs_of(smaller, EXAMPLE)
    latency = latency_figures(teacher, smaller, quick)
    test = examples("test", QUICK_IMAGES if quick else None)
    compared = compare_accuracy(
        {"dense": teacher, **{name: run.model for name, run in runs.items()}}, test, baseline="dense"
    )
    return {
        **{f"{name}_drop_pt": compared[name].drop_pt for name in runs},
        "macs_gain": macs_gain,
        "latency_gain_over_macs_gain": latency["latency_gain"] / macs_gain,
        f"latency_gain_over_macs_gain_batch_{LARGE_BATCH}": latency[f"latency_gain_batch_{LARGE_BATCH}"]
        / macs_gain,
        "stored_fraction_80": stored_fraction(runs["sparsity80"].model),
        "stored_fraction_90": stored_fraction(runs["sparsity90"].model),
        **{f"{name}_train_s": duration for name, duration in seconds.items()},
        **latency,
        "training_images": len(train.labels),
        "images": compared.images,
        "dense_accuracy": compared["dense"].accuracy,
        "accuracies": {name: compared[name].accuracy for name in runs},
        "drop_intervals_pt": {name: compared[name].advice.interval_pt for name in runs},
        "sqnr_db": {name: compared[name].sqnr_db for name in runs},
        "rounds": {name: [vars(record) for record in run.history] for name, run in runs.items()},
        "widths": widths(smaller),
    }


if __name__ == "__main__":
    run(
        measure,
        {
            "macs2x_drop_pt": Target(high=0.3),
            "sparsity80_drop_pt": Target(high=0.2),
            "sparsity90_drop_pt": Target(high=0.5),
            "macs_gain": Target(low=2),
            "latency_gain_over_macs_gain": Target(low=0.85),
            "stored_fraction_80": Target(high=0.25),
            "macs2x_train_s": Target(high=600),
        },
        threads=THREADS,
    )
