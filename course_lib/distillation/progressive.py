"""Progressive distillation: large teaches medium, medium teaches small, small teaches tiny.

A student can be too small to follow a large teacher's answers; one of a size between learns them first and
passes on what a small network can express (Mirzadeh et al., "Improved knowledge distillation via teacher
assistant", 2020). Whether the detour pays has to be measured against the large teacher teaching tiny
directly.

>>> steps = [Step("medium", partial(create_model, "depthwise"), config),                # doctest: +SKIP
...          Step("tiny", partial(create_model, "tiny"), config)]
>>> large = load_pretrained("residual")                                                 # doctest: +SKIP
>>> medium, tiny = distill_chain(large, steps, train, validation, folder=Path("runs"))  # doctest: +SKIP

With a folder every step keeps its state there, so a chain that was stopped goes on where it was: finished
steps are only read, and their networks are the same to the last bit, so that the caches still hold.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from torch import nn

from course_lib.distillation.config import DistillationConfig
from course_lib.distillation.labels_only import LabelsOnly
from course_lib.distillation.method import Method
from course_lib.distillation.response import Response
from course_lib.distillation.trainer import DistillationRecord, DistillationRun, distill
from course_lib.errors import SettingError
from course_lib.reproducibility import seeded_torch
from course_lib.training.evaluate import Examples


@dataclass(frozen=True)
class Step:
    """One student of a chain.

    Parameters
    ----------
    name
        For files and progress; used once in a chain.
    build
        Makes the untrained student, whose first weights the seed of ``config.training`` decides.
    method
        How its teacher teaches it; a first student without a teacher learns from the labels instead.
    """

    name: str
    build: Callable[[], nn.Module]
    config: DistillationConfig
    method: Method = field(default_factory=Response)


def distill_chain(
    teacher: nn.Module | None,
    steps: Sequence[Step],
    train: Examples,
    validation: Examples,
    *,
    cache: Path | None = None,
    teacher_accuracy: float | None = None,
    device: str = "cpu",
    folder: Path | None = None,
    on_epoch: Callable[[str, DistillationRecord], None] | None = None,
) -> list[DistillationRun]:
    """Train one student after another, each taught by the one before, and return all runs in order.

    Parameters
    ----------
    teacher
        Of the first student; None lets that one learn from the labels.
    cache, teacher_accuracy, device
        As for `distill`; the accuracy is the first teacher's.
    folder
        Where each step keeps the state of its training; for other images, give another.
    on_epoch
        Called with the step's name and the record of each epoch.

    Raises
    ------
    SettingError
        If there are no steps, or two of one name.
    Whatever `distill` raises.
    """
    names = [step.name for step in steps]
    if not steps or len(set(names)) < len(names):
        raise SettingError(
            f"The steps of a chain are called {', '.join(names) or 'nothing, for there are none'}; "
            "give at least one, each with a name of its own."
        )
    runs: list[DistillationRun] = []
    for step in steps:
        with seeded_torch(step.config.training.seed):
            student = step.build()
        run = distill(
            student,
            teacher,
            train,
            validation,
            step.config,
            LabelsOnly() if teacher is None else step.method,
            cache=cache,
            teacher_accuracy=teacher_accuracy,
            device=device,
            checkpoint=None if folder is None else folder / f"{step.name}.pt",
            on_epoch=None if on_epoch is None else partial(on_epoch, step.name),
        )
        runs.append(run)
        teacher, teacher_accuracy = run.model, run.history[-1].validation_accuracy
    return runs
