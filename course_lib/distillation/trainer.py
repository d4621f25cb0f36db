"""The one trainer of distillation: a student, a teacher or none, a method, and `fit` around them.

>>> teacher = load_pretrained("residual")                                               # doctest: +SKIP
>>> with seeded_torch(0):                                                               # doctest: +SKIP
...     student = create_model("tiny")
>>> config = DistillationConfig(TrainingConfig(epochs=24), views=24)                    # doctest: +SKIP
>>> run = distill(student, teacher, train, validation, config, Response(4, 0.7), cache=Path("runs/teacher"))
...                                                                                     # doctest: +SKIP
>>> run.history[-1].validation_accuracy                                                 # doctest: +SKIP

The teacher works on a copy in evaluation mode. Its scores are computed once for each view and, with a cache
folder, read from there by every later run. Methods that compare features run the teacher at every step, for
maps are too large to be kept.
"""

import warnings
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from course_lib.distillation import guards
from course_lib.distillation.config import DistillationConfig
from course_lib.distillation.examples import require_examples, require_labels
from course_lib.distillation.labels_only import LabelsOnly
from course_lib.distillation.method import Method
from course_lib.distillation.objective import DistillationObjective
from course_lib.distillation.response import Response
from course_lib.distillation.teacher_cache import TeacherScores
from course_lib.distillation.views import Views
from course_lib.errors import SettingError
from course_lib.reproducibility import seeded_torch
from course_lib.training.evaluate import Examples, predict
from course_lib.training.fit import EpochRecord, fit


@dataclass(frozen=True)
class DistillationRecord:
    """What one epoch gave, counted from 1: means of the losses, and the validation accuracy in [0, 1].

    ``loss`` is what was minimized; ``soft_loss`` and ``hard_loss`` are its parts before weighting.
    """

    epoch: int
    loss: float
    soft_loss: float
    hard_loss: float
    validation_accuracy: float


@dataclass(frozen=True)
class DistillationRun:
    """A student in evaluation mode, the record of each epoch, and the sentences of the guards."""

    model: nn.Module
    history: tuple[DistillationRecord, ...]
    environment: dict[str, str]
    warnings: tuple[str, ...]


def distill(
    student: nn.Module,
    teacher: nn.Module | None,
    train: Examples,
    validation: Examples,
    config: DistillationConfig,
    method: Method | None = None,
    *,
    cache: Path | None = None,
    teacher_accuracy: float | None = None,
    device: str = "cpu",
    checkpoint: Path | None = None,
    on_epoch: Callable[[DistillationRecord], None] | None = None,
) -> DistillationRun:
    """Train a copy of the student and return its averaged version.

    Parameters
    ----------
    student
        With its first weights (see `seeded_torch`); left as it is.
    teacher
        A trained network for the same inputs and classes; left as it is. None for the lone student.
    method
        How to distil; `Response` by default, and `LabelsOnly` without a teacher.
    cache
        A folder of teacher scores that runs may share; without one they are computed in every epoch.
    teacher_accuracy
        What the teacher is known to reach, in [0, 1]; to notice that it was made for other inputs.
    checkpoint
        A file for the state after each epoch; when it exists the run continues from it.
    on_epoch
        Called after each epoch, for progress and live plots.

    Raises
    ------
    ModelError
        If student and teacher differ in inputs or classes, or a layer's features cannot be compared.
    UnknownNameError
        If the method names a layer that does not exist.
    SettingError
        If the method needs a teacher and there is none, or the last batch is too small for batch norm.
    DataError
        If images or labels are not what `Examples` says, not finite, or outside the classes.
    CheckpointError
        As `fit`; other settings or images, another method or teacher count as another configuration.

    Warns
    -----
    DistillationWarning
        See `guards`.
    """
    method = method or (LabelsOnly() if teacher is None else Response())
    if teacher is None and method.needs_teacher:
        raise SettingError(
            f"{type(method).__name__} needs a teacher but got None; pass a trained network, or LabelsOnly()."
        )
    require_examples(train, "training")
    require_examples(validation, "validation")
    learner = deepcopy(student).to(device)
    frozen = guards.frozen_teacher(teacher, device) if teacher is not None and method.needs_teacher else None
    classes = guards.require_pair(learner, frozen, train.inputs, device)
    require_labels(train, "training", classes)
    require_labels(validation, "validation", classes)
    guards.require_last_batch(learner, train.inputs, config.training.batch_size, device)
    scores = None if frozen is None else TeacherScores(frozen, cache, device)
    sentences: tuple[str, ...] = ()
    if teacher is not None and scores is not None:
        sentences = _mistakes(learner, teacher, scores, validation, method, teacher_accuracy)
    if unfit := method.settings_mistake(config.training):
        sentences += (unfit,)
    for sentence in sentences:
        warnings.warn(sentence, guards.DistillationWarning, stacklevel=2)
    training = config.training
    views = Views(train.inputs, training.augmentation, config.views, config.views_seed)
    with seeded_torch(training.seed):
        objective = DistillationObjective(learner, scores, views, method, train.labels, validation)

    def show(record: EpochRecord) -> None:
        if on_epoch:
            on_epoch(_record(record))

    trained = fit(
        learner,
        train,
        validation,
        training,
        loss_function=objective,
        device=device,
        checkpoint=checkpoint,
        on_epoch=show,
    )
    return DistillationRun(
        trained.model, tuple(map(_record, trained.history)), trained.environment, sentences
    )


def _mistakes(
    student: nn.Module,
    teacher: nn.Module,
    scores: TeacherScores,
    validation: Examples,
    method: Method,
    teacher_accuracy: float | None,
) -> tuple[str, ...]:
    """Return what the guards have to say, measured on the validation pictures."""
    taught = scores.of_inputs(validation.inputs)
    own = predict(student, validation.inputs, scores.device)
    found = [
        guards.train_mode_mistake(teacher),
        guards.inputs_mistake(taught, validation.labels, teacher_accuracy),
        guards.student_mistake(own, taught, validation.labels),
    ]
    if method.soft_temperature is not None:
        found.append(guards.temperature_mistake(taught, method.soft_temperature))
    return tuple(sentence for sentence in found if sentence)


def _record(record: EpochRecord) -> DistillationRecord:
    return DistillationRecord(
        record.epoch, record.loss, record.parts["soft"], record.parts["hard"], record.validation_accuracy
    )
