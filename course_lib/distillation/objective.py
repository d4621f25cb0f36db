"""Distillation as `fit` sees it: the pictures of views, and a method's loss on student and teacher."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from course_lib.distillation.digests import array_digest
from course_lib.distillation.feature_layers import captured, map_shapes
from course_lib.distillation.method import Lesson, Method
from course_lib.distillation.teacher_cache import TeacherScores
from course_lib.distillation.views import Views
from course_lib.training.augment import Augmentation
from course_lib.training.evaluate import Examples
from course_lib.training.objective import Batch, Objective


class ViewsObjective(Objective):
    """An objective whose pictures are those of views.

    Parameters
    ----------
    labels
        Of the training pictures, int64 (N,).
    validation
        Where the accuracies in the record come from.
    """

    def __init__(self, views: Views, labels: NDArray[np.int64], validation: Examples) -> None:
        self.views, self.labels, self.validation = views, labels, validation
        self._pictures: tuple[int, Tensor] | None = None

    def settings(self) -> Mapping[str, Any]:
        """Return what decides the views, and the digests of the data."""
        return {
            "views": self.views.count,
            "views_seed": self.views.seed,
            "pictures": self.views.inputs_digest,
            "labels": array_digest(self.labels),
            "validation": (array_digest(self.validation.inputs), array_digest(self.validation.labels)),
        }

    def pictures(
        self,
        inputs: Tensor,
        indices: Tensor,
        epoch: int,
        augmentation: Augmentation,
        generator: torch.Generator,
    ) -> Tensor:
        """Return the pictures of the epoch's view; the generator has no say."""
        view = self.views.of_epoch(epoch)
        if self._pictures is None or self._pictures[0] != view:
            self._pictures = view, self.views.pictures(view).to(inputs.device)
        return self._pictures[1][indices]


class DistillationObjective(ViewsObjective):
    """A method's loss on the pictures of views, with the teacher's scores for them.

    Parameters
    ----------
    student
        On its device, for the shapes of its features; `fit` hands the same network to `losses`.
    labels, validation
        As for `ViewsObjective`.
    """

    def __init__(
        self,
        student: nn.Module,
        scores: TeacherScores | None,
        views: Views,
        method: Method,
        labels: NDArray[np.int64],
        validation: Examples,
    ) -> None:
        super().__init__(views, labels, validation)
        self.scores, self.method = scores, method
        self._teacher_scores: tuple[int, Tensor] | None = None
        self.student_layers = [pair[0] for pair in method.layer_pairs]
        self.teacher_layers = [pair[1] for pair in method.layer_pairs]
        self.adapters: nn.ModuleList | None = None
        if scores is not None and method.layer_pairs:
            picture = torch.from_numpy(views.inputs[:1]).to(scores.device)
            self.adapters = method.make_adapters(
                map_shapes(student, self.student_layers, picture, "student"),
                map_shapes(scores.teacher, self.teacher_layers, picture, "teacher"),
            )

    def settings(self) -> Mapping[str, Any]:
        """Return the method, the data, the views and the teacher's digest."""
        teacher = None if self.scores is None else self.scores.digest
        return {**super().settings(), "method": repr(self.method), "teacher": teacher}

    def parameters_of_its_own(self) -> nn.Module | None:
        """Return the adapters."""
        return self.adapters

    def losses(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Return the method's loss and its soft and hard part."""
        with captured(model, self.student_layers, "student") as student_features:
            student_scores = model(batch.pictures)
        lesson = Lesson(
            epoch=batch.epoch,
            student_scores=student_scores,
            teacher_scores=self._scores_of(batch, student_scores),
            labels=batch.labels,
            student=model,
            student_features=[student_features[path] for path in self.student_layers],
            teacher_features=self._features_of(batch),
            adapters=self.adapters,
        )
        total, soft, hard = self.method.losses(lesson)
        return total, {"soft": soft, "hard": hard}

    def _scores_of(self, batch: Batch, like: Tensor) -> Tensor:
        asked = self.method.reads_scores and self.method.asks_teacher(batch.epoch)
        if self.scores is None or not asked:
            return torch.zeros_like(like)
        # By epoch, not by view: without a folder they are to be computed again, even for a single view.
        if self._teacher_scores is None or self._teacher_scores[0] != batch.epoch:
            known = self.scores.of_view(self.views, self.views.of_epoch(batch.epoch))
            self._teacher_scores = batch.epoch, torch.from_numpy(known).to(like.device)
        return self._teacher_scores[1][batch.indices]

    def _features_of(self, batch: Batch) -> list[Tensor]:
        asked = self.teacher_layers and self.method.asks_teacher(batch.epoch)
        if self.scores is None or not asked:
            return []
        with torch.no_grad(), captured(self.scores.teacher, self.teacher_layers, "teacher") as features:
            self.scores.teacher(batch.pictures)
        return [features[path] for path in self.teacher_layers]
