"""The ways in which the distillation study trains the same student; only what it hears differs.

Whatever the arm, the student of a seed starts from the same weights, sees the same pictures in the same order
and takes equally many steps. What an arm spends on others (a generation before, a peer, an assistant) comes
on top, and is no part of the student's budget.

>>> run = Taught(Response()).train(material, config, Path("runs/one"), lambda: None)    # doctest: +SKIP
>>> run.history[-1].validation_accuracy                                                 # doctest: +SKIP
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from torch import nn

from course_lib.distillation.attention import Attention
from course_lib.distillation.config import DistillationConfig
from course_lib.distillation.decoupled import Decoupled
from course_lib.distillation.features import Hints
from course_lib.distillation.labels_only import LabelsOnly
from course_lib.distillation.method import Method
from course_lib.distillation.mutual import MutualRecord, learn_together
from course_lib.distillation.progressive import Step, distill_chain
from course_lib.distillation.regularised import Regularised
from course_lib.distillation.response import Response
from course_lib.distillation.trainer import DistillationRecord, DistillationRun, distill
from course_lib.reproducibility import seeded_torch
from course_lib.training import Examples

OTHER_SEED = 100
"""Added to the student's seed for a peer or a generation before it, which are to start from other weights."""

LAYERS = (("blocks.0", "blocks.2"), ("blocks", "blocks"))
"""The last layers of "tiny" and "residual" at 14 × 14 and at 7 × 7; `matching_layers` finds the same."""


@dataclass(frozen=True)
class Material:
    """What all runs of the study share.

    Parameters
    ----------
    student, assistant
        Make untrained networks; the assistant's size lies between the student's and the teacher's.
    teacher, teacher_accuracy
        Trained, and what it is known to reach, in [0, 1].
    cache
        Folder of the teacher's scores.
    """

    student: Callable[[], nn.Module]
    assistant: Callable[[], nn.Module]
    teacher: nn.Module
    teacher_accuracy: float
    train: Examples
    validation: Examples
    cache: Path


class Arm(ABC):
    """One arm of the study; its printed form is kept in the records."""

    @property
    def trainings(self) -> int:
        """Return how many networks are trained one after the other, of the study's epochs each."""
        return 1

    @abstractmethod
    def train(
        self, material: Material, config: DistillationConfig, folder: Path, on_epoch: Callable[[], None]
    ) -> DistillationRun:
        """Train the student of the configuration's seed.

        Parameters
        ----------
        folder
            For the state after each epoch, from which an interrupted run goes on.
        on_epoch
            Called after each epoch of each training, for progress.
        """


@dataclass(frozen=True)
class Taught(Arm):
    """By the study's teacher and a method, or alone by `LabelsOnly`.

    Parameters
    ----------
    weight_decay
        In place of the study's, for a method that has its own.
    """

    method: Method
    weight_decay: float | None = None

    def train(
        self, material: Material, config: DistillationConfig, folder: Path, on_epoch: Callable[[], None]
    ) -> DistillationRun:
        """Train the student."""
        if self.weight_decay is not None:
            config = replace(config, training=replace(config.training, weight_decay=self.weight_decay))
        return distill(
            _seeded(material.student, config.training.seed),
            material.teacher if self.method.needs_teacher else None,
            material.train,
            material.validation,
            config,
            self.method,
            cache=material.cache,
            teacher_accuracy=material.teacher_accuracy,
            checkpoint=folder / "student.pt",
            on_epoch=lambda record: on_epoch(),
        )


@dataclass(frozen=True)
class BornAgain(Arm):
    """By a network of the student's own architecture, trained from the labels with another seed."""

    method: Method = field(default_factory=Response)

    @property
    def trainings(self) -> int:
        """Return 2: the generation before, and the student."""
        return 2

    def train(
        self, material: Material, config: DistillationConfig, folder: Path, on_epoch: Callable[[], None]
    ) -> DistillationRun:
        """Train both generations; return the later one."""
        other = replace(config.training, seed=config.training.seed + OTHER_SEED)
        steps = [
            Step("generation-0", material.student, replace(config, training=other)),
            Step("generation-1", material.student, config, self.method),
        ]
        return _last_of_chain(None, steps, material, folder, on_epoch)


@dataclass(frozen=True)
class Progressive(Arm):
    """By the assistant, which the study's teacher has taught on the same images."""

    method: Method = field(default_factory=Response)

    @property
    def trainings(self) -> int:
        """Return 2: the assistant, and the student."""
        return 2

    def train(
        self, material: Material, config: DistillationConfig, folder: Path, on_epoch: Callable[[], None]
    ) -> DistillationRun:
        """Train both; return the student."""
        steps = [
            Step("assistant", material.assistant, config, self.method),
            Step("student", material.student, config, self.method),
        ]
        return _last_of_chain(material.teacher, steps, material, folder, on_epoch)


@dataclass(frozen=True)
class Mutual(Arm):
    """By a peer of the same architecture from other first weights, which learns at the same time."""

    temperature: float = 1.0
    weight: float = 1.0

    def train(
        self, material: Material, config: DistillationConfig, folder: Path, on_epoch: Callable[[], None]
    ) -> DistillationRun:
        """Train both; return the student, with losses that are means over the two."""
        seed = config.training.seed
        run = learn_together(
            [_seeded(material.student, each) for each in (seed, seed + OTHER_SEED)],
            material.train,
            material.validation,
            config,
            temperature=self.temperature,
            weight=self.weight,
            checkpoint=folder / "students.pt",
            on_epoch=lambda record: on_epoch(),
        )
        history = tuple(map(_of_the_first, run.history))
        return DistillationRun(run.models[0], history, run.environment, warnings=())


ARMS: dict[str, Arm] = {
    "alone": Taught(LabelsOnly()),
    "response": Taught(Response()),
    "decoupled": Taught(Decoupled()),
    "hints": Taught(Hints(LAYERS, Response())),
    "attention": Taught(Attention(LAYERS, Response())),
    # The task at full weight beside the teacher; with alpha + beta = 1 it would be "response" once more.
    "regularised": Taught(Regularised(alpha=1.0, beta=0.5, gamma=2.5e-5), weight_decay=0.0),
    "self": BornAgain(),
    "mutual": Mutual(),
    "progressive": Progressive(),
}
"""Name → arm, in the order in which each seed trains them."""

BASELINE = "alone"


def _seeded(build: Callable[[], nn.Module], seed: int) -> nn.Module:
    with seeded_torch(seed):
        return build()


def _last_of_chain(
    teacher: nn.Module | None,
    steps: list[Step],
    material: Material,
    folder: Path,
    on_epoch: Callable[[], None],
) -> DistillationRun:
    return distill_chain(
        teacher,
        steps,
        material.train,
        material.validation,
        cache=material.cache,
        teacher_accuracy=None if teacher is None else material.teacher_accuracy,
        folder=folder,
        on_epoch=lambda name, record: on_epoch(),
    )[-1]


def _of_the_first(record: MutualRecord) -> DistillationRecord:
    return DistillationRecord(
        record.epoch, record.loss, record.soft_loss, record.hard_loss, record.accuracies[0]
    )
