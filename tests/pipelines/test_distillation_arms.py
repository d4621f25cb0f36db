"""Every arm trains the same student: same first weights, same pictures, same order, as many steps."""

from collections import defaultdict
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor

from course_lib.architectures import create_model
from course_lib.distillation.feature_layers import matching_layers
from course_lib.distillation.features import Hints
from course_lib.distillation.guards import DistillationWarning
from course_lib.distillation.labels_only import LabelsOnly
from course_lib.distillation.regularised import Regularised
from course_lib.distillation.response import Response
from course_lib.distillation.trainer import DistillationRun, distill
from course_lib.pipelines.distillation_arms import (
    ARMS,
    BASELINE,
    LAYERS,
    OTHER_SEED,
    Arm,
    BornAgain,
    Material,
    Mutual,
    Progressive,
    Taught,
)
from course_lib.reproducibility import seeded_torch
from course_lib.training import accuracy
from tests.distillation.small_nets import (
    SmallNet,
    same_weights,
    small_config,
    small_examples,
    trained_teacher,
)

SMALL_ARMS: list[Arm] = [
    Taught(Response()),
    Taught(Hints((("body", "body"),))),
    Taught(Regularised(), weight_decay=0.0),
    BornAgain(),
    Mutual(),
    Progressive(),
]

SEEN: defaultdict[float, list[Tensor]] = defaultdict(list)
"""First weights, told by their sum → the batches that a network with these was trained on."""


class WatchedNet(SmallNet):
    """A student that notes the batches of its training."""

    def __init__(self) -> None:
        super().__init__(2)
        self.origin = float(sum(value.detach().sum() for value in self.parameters()))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            SEEN[self.origin].append(x.clone())
        return super().forward(x)


@pytest.fixture(scope="module")
def teacher() -> SmallNet:
    return trained_teacher()


@pytest.fixture
def material(teacher: SmallNet, tmp_path: Path) -> Material:
    SEEN.clear()
    return Material(
        student=WatchedNet,
        assistant=partial(SmallNet, 3),
        teacher=teacher,
        teacher_accuracy=accuracy(teacher, small_examples()),
        train=small_examples(),
        validation=small_examples(60, seed=1),
        cache=tmp_path / "teacher",
    )


def origin_of(seed: int) -> float:
    with seeded_torch(seed):
        return WatchedNet().origin


def train(arm: Arm, material: Material, folder: Path, seed: int = 3) -> tuple[DistillationRun, int]:
    """Return the run and how many epochs were told of."""
    told: list[None] = []
    run = arm.train(material, small_config(seed=seed), folder, lambda: told.append(None))
    return run, len(told)


@pytest.mark.filterwarnings("ignore::course_lib.distillation.guards.DistillationWarning")
@pytest.mark.parametrize("arm", SMALL_ARMS, ids=lambda arm: type(getattr(arm, "method", arm)).__name__)
def test_only_what_the_student_hears_differs(arm: Arm, material: Material, tmp_path: Path) -> None:
    alone, _ = train(Taught(LabelsOnly()), material, tmp_path / "alone")
    expected = SEEN.pop(origin_of(3))
    assert len(expected) == 6  # two epochs of 48 pictures in batches of 16
    run, told = train(arm, material, tmp_path / "other")
    found = SEEN.pop(origin_of(3))
    assert len(found) == len(expected)
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))
    assert not same_weights(run.model, alone.model)
    assert told == 2 * arm.trainings
    assert run.history[-1].validation_accuracy == accuracy(run.model, material.validation)
    # Whoever else was trained had other first weights.
    assert set(SEEN) <= {origin_of(3 + OTHER_SEED)}


@pytest.mark.filterwarnings("ignore::course_lib.distillation.guards.DistillationWarning")
def test_born_again_is_taught_by_the_lone_student_of_another_seed(material: Material, tmp_path: Path) -> None:
    before, _ = train(Taught(LabelsOnly()), material, tmp_path / "before", seed=3 + OTHER_SEED)
    with seeded_torch(3):
        student = WatchedNet()
    expected = distill(student, before.model, material.train, material.validation, small_config(seed=3))
    run, _ = train(BornAgain(), material, tmp_path / "arm")
    assert same_weights(run.model, expected.model)


def test_the_regularised_arm_counts_large_weights_once(material: Material, tmp_path: Path) -> None:
    once, _ = train(Taught(Regularised(), weight_decay=0.0), material, tmp_path / "once")
    assert once.warnings == ()
    with pytest.warns(DistillationWarning, match="large weights are paid for twice"):
        train(Taught(Regularised()), material, tmp_path / "twice")
    arm = ARMS["regularised"]
    assert isinstance(arm, Taught)
    assert arm.weight_decay == 0


def test_an_arm_that_was_stopped_goes_on(material: Material, tmp_path: Path) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    whole, _ = train(Mutual(), material, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        Mutual().train(material, small_config(seed=3), tmp_path / "parts", stop)
    run, told = train(Mutual(), material, tmp_path / "parts")
    assert told == 1
    assert run.history == whole.history
    assert same_weights(run.model, whole.model)


def test_the_layers_are_those_that_match() -> None:
    student, teacher = create_model("tiny"), create_model("residual")
    assert matching_layers(student, teacher, torch.zeros(1, 1, 28, 28)) == LAYERS


def test_the_order_of_the_arms() -> None:
    assert list(ARMS) == [
        *("alone", "response", "decoupled", "hints", "attention"),
        *("regularised", "self", "mutual", "progressive"),
    ]
    assert ARMS[BASELINE] == Taught(LabelsOnly())
    assert len({repr(arm) for arm in ARMS.values()}) == len(ARMS)
    assert sum(arm.trainings for arm in ARMS.values()) == 11
