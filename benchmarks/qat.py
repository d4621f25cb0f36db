"""How much accuracy does quantization-aware training win back, and how long does it take?

Networks of the zoo with 4-bit weights and activations, and with 2-bit weights, trained on the 10,000 training
images that ship with the course and judged on the 10,000 test images. All weights, those of the first and the
last layer too, have 4 (2) bits and a scale for each output channel; biases stay in float. At 8 bits: the
input image, which has 256 levels, and with 2-bit weights all activations. The learning rates, and whether
weights are averaged, were chosen on the 2,000 shipped validation images; the test images are read once, at
the end.
"""

import sys
import time
from dataclasses import dataclass
from typing import Any

import torch
from tqdm import tqdm

from benchmarks.cli import Target, run
from course_lib.architectures import load_pretrained
from course_lib.data import load_dataset
from course_lib.quantization.models.config import ActivationScheme, QuantizationConfig, WeightScheme
from course_lib.quantization.models.ptq import quantize_model
from course_lib.quantization.models.qat import finish_qat, imitate, prepare_qat
from course_lib.training import Augmentation, EpochRecord, Examples, TrainingConfig, accuracy, fit

THREADS = 2
CALIBRATION_IMAGES, CALIBRATION_BATCH = 512, 128


@dataclass(frozen=True)
class Case:
    """One network, its bits, and how long and how fast it trains."""

    model: str
    weight_bits: int
    activation_bits: int
    epochs: int
    learning_rate: float

    @property
    def quantization(self) -> QuantizationConfig:
        # Of four codes a symmetric grid would leave one unused.
        weights = WeightScheme(self.weight_bits, symmetric=self.weight_bits > 2, range="mse")
        return QuantizationConfig(weights, ActivationScheme(self.activation_bits))

    def training(self, epochs: int) -> TrainingConfig:
        return TrainingConfig(
            epochs=epochs,
            optimizer="adamw",
            learning_rate=self.learning_rate,
            weight_decay=0.0,
            warmup_epochs=0.5,
            # Averages of weights that jump between two grid points are rounded to either, which the batch
            # norms' averaged statistics do not follow (Nagel et al. 2022); the last weights are better.
            averaging=0.0,
            augmentation=Augmentation(max_shift=2),
            seed=0,
        )


CASES = {
    "w4a4": Case("residual", 4, 4, epochs=20, learning_rate=1e-3),
    "w4a4_depthwise": Case("depthwise", 4, 4, epochs=24, learning_rate=2e-3),
    "w2": Case("residual", 2, 8, epochs=16, learning_rate=3e-3),
}


def examples(split: str, count: int | None = None) -> Examples:
    """Return the first images of a split of the shipped data as model inputs."""
    dataset = load_dataset("fashion-mnist", split)
    return Examples(dataset.inputs(slice(count)), dataset.labels[:count])


def measure_case(name: str, quick: bool) -> dict[str, float]:
    """Train one network and return its accuracies on the test images, in [0, 1], and the seconds it took."""
    case = CASES[name]
    train, validation, test = (
        examples("train", 1000 if quick else None),
        examples("validation"),
        examples("test"),
    )
    config = case.training(1 if quick else case.epochs)
    model = load_pretrained(case.model)
    batches = torch.from_numpy(train.inputs[:CALIBRATION_IMAGES]).split(CALIBRATION_BATCH)
    with tqdm(total=config.epochs, desc=name, unit="epoch", file=sys.stderr) as bar:

        def show(record: EpochRecord) -> None:
            bar.set_postfix(loss=f"{record.loss:.3f}", validation=f"{record.validation_accuracy:.2%}")
            bar.update()

        start = time.perf_counter()
        graph = prepare_qat(model, batches, case.quantization)
        trained = fit(graph, train, validation, config, loss_function=imitate(model), on_epoch=show)
        train_s = time.perf_counter() - start
    return {
        "float_accuracy": accuracy(model, test),
        "rounded_accuracy": accuracy(quantize_model(model, batches, case.quantization), test),
        "trained_accuracy": accuracy(finish_qat(trained.model), test),
        "validation_accuracy": trained.history[-1].validation_accuracy,
        "train_s": train_s,
    }


def measure(quick: bool) -> dict[str, Any]:
    """Return for each case the points of accuracy lost after training, and the seconds of training."""
    torch.set_num_threads(THREADS)
    figures: dict[str, Any] = {}
    cases = {name: measure_case(name, quick) for name in CASES}
    for name, found in cases.items():
        figures[f"{name}_drop_pt"] = 100 * (found["float_accuracy"] - found["trained_accuracy"])
        figures[f"{name}_train_s"] = found["train_s"]
    return {**figures, "cases": cases}


if __name__ == "__main__":
    drops = {"w4a4_drop_pt": 0.5, "w4a4_depthwise_drop_pt": 1.0, "w2_drop_pt": 1.0}
    seconds = {f"{name}_train_s": 300.0 for name in CASES}
    run(measure, {name: Target(high=high) for name, high in {**drops, **seconds}.items()}, threads=THREADS)
