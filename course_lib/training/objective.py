"""What a training run minimizes, and on which pictures.

Most runs need only a loss of scores and labels, a `Loss`. An `Objective` may do more: it knows which pictures
of the training set a batch holds and in which epoch, it may look inside the model, make the pictures itself,
and own parameters that are trained along with the model's.

>>> class TwiceAsLarge(Objective):
...     def losses(self, model, batch):
...         loss = cross_entropy(model(batch.pictures), batch.labels, batch.pictures)
...         return 2 * loss, {"cross-entropy": loss}
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.training.augment import Augmentation, augment
from course_lib.training.evaluate import Examples, accuracy

Loss: TypeAlias = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Scores, labels, and the pictures that the scores are for → the mean loss, a scalar."""


def cross_entropy(scores: Tensor, labels: Tensor, pictures: Tensor) -> Tensor:
    """Return the mean cross-entropy of the scores against the labels."""
    return F.cross_entropy(scores, labels)


class Batch(NamedTuple):
    """The pictures of one step, (N, C, H, W), with their labels and places in the training set, both (N,)."""

    epoch: int
    """From 0."""
    indices: Tensor
    labels: Tensor
    pictures: Tensor


class Objective:
    """Cross-entropy on augmented pictures; a subclass replaces what differs."""

    def settings(self) -> Mapping[str, Any]:
        """Return what decides the run besides its `TrainingConfig`: numbers, texts, tuples and dicts.

        A checkpoint is only continued by a run with equal settings.
        """
        return {}

    def parameters_of_its_own(self) -> nn.Module | None:
        """Return a module to be trained and kept in the checkpoint along with the model, or None."""
        return None

    def pictures(
        self,
        inputs: Tensor,
        indices: Tensor,
        epoch: int,
        augmentation: Augmentation,
        generator: torch.Generator,
    ) -> Tensor:
        """Return the pictures of a step; the run's generator is at the state that the last step left."""
        return augment(inputs[indices], augmentation, generator)

    def losses(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Return the loss to be minimized and, for the record, its named parts; all are scalars."""
        loss = cross_entropy(model(batch.pictures), batch.labels, batch.pictures)
        return loss, {}

    def validate(
        self, model: nn.Module, validation: Examples, device: str
    ) -> tuple[float, Mapping[str, float]]:
        """Return the validation accuracy of the averaged model, and named figures for the record."""
        return accuracy(model, validation, device), {}


class ScoresObjective(Objective):
    """The objective of a plain `Loss`."""

    def __init__(self, loss_function: Loss) -> None:
        self.loss_function = loss_function

    def losses(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Return the loss of the model's scores."""
        return self.loss_function(model(batch.pictures), batch.labels, batch.pictures), {}
