"""What the deck of week 2 shows, measured: blocks, rules, scaled networks, the zoo, memory, a conversion.

Blocks and networks are timed on one thread; the converted network is fine-tuned on two, and keeps its state
in ``runs``, so that a recording that was stopped goes on from there. Test images judge. It takes some
minutes on two quiet CPUs, most of it for the fine-tuning and for exports that nobody made before.
"""

from pathlib import Path
from typing import Any

import torch

from course_lib.architectures import create_model, list_zoo, load_pretrained
from course_lib.architectures.blocks.catalogue import BlockShape
from course_lib.architectures.conversion import to_mobile_blocks
from course_lib.data import load_dataset
from course_lib.edge.memory_plan import plan_memory
from course_lib.edge.zoo_study import study_networks
from course_lib.explore.architecture_studies import (
    Gain,
    kernel_times_us,
    moved_numbers,
    pointwise,
    race_blocks,
    race_scaled,
    separable_gains,
    settings_for,
)
from course_lib.explore.blocks import BlockEngine
from course_lib.explore.model_source import ZOO_INPUT, onnx_of
from course_lib.explore.pruning_studies import race_files
from course_lib.pipelines.accuracy_comparison import compare_accuracy
from course_lib.training import Augmentation, Examples, TrainingConfig, fit

FOLDER = Path("runs/week02")
SHAPE = BlockShape(48, 48, resolution=14, groups=3)
"""What the blocks are compared at: all of them can have it."""
RULES = {
    "128 → 128": pointwise(128, 128, 28),
    "32 → 512": pointwise(32, 512, 28),
    "128 → 512, 4 groups": pointwise(128, 512, 28, groups=4),
}
"""Three 1×1 convolutions with equal MACs."""
SCALED = "mobilenet_v2"
WIDTHS = ((1, 3), (0.75, 3), (0.5, 3))
DEPTHS = ((1, 3), (1, 2), (1, 1))
PLANNED = ("residual", "mobilenet_v2", "depthwise")
QUICK_ZOO = ("depthwise", "plain_conv", "residual", "tiny")
CONVERTED, EPOCHS = "residual", 8
EXAMPLE = torch.zeros(1, *ZOO_INPUT)
TRAINING_THREADS = 2


def measure_week02(quick: bool = False) -> dict[str, Any]:
    """Return the results of week 2, name → measured result; a quick run only shows that it works."""
    torch.set_num_threads(1)
    runs = 12 if quick else 300
    engine, settings = BlockEngine(), settings_for(SHAPE)
    image = _examples("test", 1).inputs
    zoo = QUICK_ZOO if quick else list_zoo()
    return {
        "separable": measure_separable(runs, quick),
        "blocks": race_blocks(settings, runs=runs),
        "kernels": {name: kernel_times_us(engine.measured(each)) for name, each in settings.items()},
        "rules": race_blocks(RULES, runs=runs),
        "rules_moved": moved_numbers(RULES),
        "zoo": study_networks({name: onnx_of(name) for name in zoo}, image, runs=runs),
        "widths": race_scaled(SCALED, WIDTHS[1:] if quick else WIDTHS, runs=runs),
        "depths": race_scaled(SCALED, DEPTHS[1:] if quick else DEPTHS, runs=runs),
        "memory": {
            name: plan_memory(create_model(name).eval(), EXAMPLE, bytes_per_value=1) for name in PLANNED
        },
        **measure_conversion(quick),
    }


def measure_separable(runs: int, quick: bool) -> dict[str, list[Gain]]:
    """Return kernel and resolution → what separable blocks gain at several numbers of channels."""
    channels = (16, 64) if quick else (8, 16, 32, 64, 128)
    lines = {"3×3 at 28×28": (3, 28), "3×3 at 7×7": (3, 7), "5×5 at 28×28": (5, 28)}
    return {
        label: separable_gains(
            {f"{each}": BlockShape(each, 2 * each, resolution=side, kernel=kernel) for each in channels},
            runs=runs,
        )
        for label, (kernel, side) in lines.items()
    }


def measure_conversion(quick: bool) -> dict[str, Any]:
    """Exchange the blocks of a trained network, fine-tune what came out, and compare accuracy and latency."""
    count = 200 if quick else None
    train, validation, test = (_examples(split, count) for split in ("train", "validation", "test"))
    before = load_pretrained(CONVERTED)
    untrained = to_mobile_blocks(before, EXAMPLE).model
    files = {"residual blocks": onnx_of(CONVERTED), "mobile blocks": onnx_of(untrained)}
    race = race_files(files, test.inputs[:1], runs=12 if quick else 300)
    FOLDER.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(TRAINING_THREADS)
    config = tuning(1 if quick else EPOCHS)
    again = to_mobile_blocks(before, EXAMPLE).model  # `fit` trains in place
    state = FOLDER / f"{'quick_' * quick}conversion.pt"
    trained = fit(again, train, validation, config, checkpoint=state)
    learnt = f"{config.epochs} epoch{'s' * (config.epochs > 1)}"
    versions = {
        "residual blocks": before,
        "mobile blocks, untrained": untrained,
        f"mobile blocks, {learnt}": trained.model,
    }
    accuracies = compare_accuracy(versions, test, baseline="residual blocks")
    torch.set_num_threads(1)
    return {"conversion": accuracies, "conversion_race": race}


def tuning(epochs: int) -> TrainingConfig:
    """Return how the converted network is fine-tuned."""
    return TrainingConfig(
        epochs=epochs,
        optimizer="adamw",
        learning_rate=3e-3,
        weight_decay=0.0,
        warmup_epochs=0.5,
        averaging=0.98,
        augmentation=Augmentation(max_shift=2),
    )


def _examples(split: str, count: int | None = None) -> Examples:
    images = load_dataset("fashion-mnist", split)
    return Examples(images.inputs(slice(count)), images.labels[:count])
