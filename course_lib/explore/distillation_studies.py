"""What the lesson on distillation measures: gradients, certainty, a careless teacher, looks, the cache.

Each function takes trained networks, or their scores, and returns measured results; the notebook and the deck
call the same ones. Scores are float arrays of shape (N, number of classes).

Worked example, `gradient_study` of one picture: teacher (2, 0), student (0, 0), label 0, T = 2. The soft
targets are (0.731, 0.269) and (0.5, 0.5), so the gradient of KL is ∓0.231 / 2, of length 0.163; that of T²·KL
is four times as long, 0.653, and that of the cross-entropy is (−0.5, 0.5), of length 0.707.
"""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.benchmarking import LatencyComparison, compare_latency
from course_lib.distillation.attention import attention_map
from course_lib.distillation.config import DistillationConfig
from course_lib.distillation.decoupled import decoupled_parts
from course_lib.distillation.feature_layers import captured
from course_lib.distillation.guards import frozen_teacher, relative_entropy
from course_lib.distillation.response import soft_loss, soft_targets
from course_lib.distillation.trainer import distill
from course_lib.training import Examples, TrainingConfig

Scores: TypeAlias = NDArray[np.float64] | NDArray[np.float32]

ASKED, CACHED = "teacher asked again", "scores from the disk"
BINS = 5


@dataclass(frozen=True)
class GradientStudy:
    """How long the gradients by the student's scores are, as means over pictures.

    Parameters
    ----------
    temperatures
        T, rising.
    plain, multiplied
        Of KL and of T² · KL, one a temperature.
    hard
        Of the cross-entropy with the labels, which knows no temperature.
    """

    temperatures: tuple[float, ...]
    plain: tuple[float, ...]
    multiplied: tuple[float, ...]
    hard: float

    def shrinks(self, first: float, last: float) -> float:
        """Return how many times shorter the plain gradient is at the last temperature than at the first."""
        at = dict(zip(self.temperatures, self.plain, strict=True))
        return at[first] / at[last]


def gradient_study(
    student: Scores, teacher: Scores, labels: NDArray[np.int64], temperatures: Sequence[float]
) -> GradientStudy:
    """Measure the gradients of both losses at these temperatures; see `GradientStudy`."""
    wanted, truth = torch.from_numpy(np.ascontiguousarray(teacher)), torch.from_numpy(labels)

    def length(loss: Callable[[Tensor], Tensor]) -> float:
        scores = torch.from_numpy(np.array(student)).requires_grad_(True)
        (gradient,) = torch.autograd.grad(loss(scores) * len(truth), scores)
        return float(gradient.norm(dim=1).mean())

    multiplied = tuple(length(lambda scores, t=t: soft_loss(scores, wanted, t)) for t in temperatures)  # type: ignore[misc]
    plain = tuple(size / t**2 for size, t in zip(multiplied, temperatures, strict=True))
    hard = length(lambda scores: F.cross_entropy(scores, truth))
    return GradientStudy(tuple(temperatures), plain, multiplied, hard)


def entropy_curve(scores: Scores, temperatures: Sequence[float]) -> list[tuple[float, float]]:
    """Return (T, mean entropy of the soft targets as a part of the largest one), as the guards count it."""
    single = np.ascontiguousarray(scores, np.float32)
    return [(float(each), relative_entropy(single, each)) for each in temperatures]


@dataclass(frozen=True)
class CertaintyBin:
    """Pictures of which the teacher is about equally sure.

    Parameters
    ----------
    certainty
        Mean of the teacher's p at the label.
    others
        NCKD: how far apart teacher and student are on the other classes.
    counted
        What of it the response loss counts, (1 − p) · NCKD.
    """

    certainty: float
    others: float
    counted: float


def certainty_bins(
    student: Scores, teacher: Scores, labels: NDArray[np.int64], temperature: float, bins: int = BINS
) -> list[CertaintyBin]:
    """Return equally many pictures a bin, the least certain teacher first."""
    own, wanted, truth = (torch.from_numpy(np.ascontiguousarray(each)) for each in (student, teacher, labels))
    sure = soft_targets(wanted, temperature).gather(1, truth[:, None])[:, 0]
    found = []
    for some in torch.tensor_split(sure.argsort(), bins):
        parts = decoupled_parts(own[some], wanted[some], truth[some], temperature)
        whole = soft_loss(own[some], wanted[some], temperature) / temperature**2
        found.append(CertaintyBin(float(sure[some].mean()), float(parts.others), float(whole - parts.target)))
    return found


def careless_accuracies(
    teacher: nn.Module, examples: Examples, batch_sizes: Sequence[int]
) -> dict[str, float]:
    """Return what a teacher in training mode gets right, by the size of its batches; in the end as it should.

    Batch norm then takes mean and variance from the batch, so that the other pictures have a say.
    """
    labels = torch.from_numpy(examples.labels)
    found = {}
    with torch.no_grad():
        for size in batch_sizes:
            careless = deepcopy(teacher).train()
            batches = torch.split(torch.from_numpy(examples.inputs), size)
            right = torch.cat([careless(batch).argmax(1) for batch in batches]) == labels
            found[f"{size}"] = float(right.float().mean())
    answers = frozen_teacher(teacher)(torch.from_numpy(examples.inputs)).argmax(1)
    return {**found, "evaluation mode": float((answers == labels).float().mean())}


def look_of(model: nn.Module, layer: str, picture: Tensor) -> list[list[float]]:
    """Return where a layer looks in one picture, (1, C, H, W): its attention map with a largest 1."""
    with torch.no_grad(), captured(model, [layer]) as features:
        model(picture)
    attention = attention_map(features[layer])[0, 0]
    rows: list[list[float]] = (attention / attention.max()).tolist()
    return rows


def race_cache(
    student: Callable[[], nn.Module],
    teacher: nn.Module,
    train: Examples,
    validation: Examples,
    folder: Path,
    *,
    runs: int = 3,
) -> LatencyComparison:
    """Time an epoch of distillation with a teacher that is asked again, and with its scores on the disk.

    Parameters
    ----------
    student
        Makes the untrained student.
    folder
        For the scores; the rounds before the first sample fill it.
    """
    config = DistillationConfig(TrainingConfig(epochs=1), views=1)
    learner = student()

    def epoch(cache: Path | None) -> object:
        return distill(learner, teacher, train, validation, config, cache=cache)

    calls = {ASKED: partial(epoch, None), CACHED: partial(epoch, folder)}
    return compare_latency(calls, baseline=ASKED, warmup=1, runs=runs, items_per_call=len(train.labels))
