import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import entropy
from torch import nn

from course_lib.distillation import guards
from course_lib.errors import ModelError, SettingError
from course_lib.training import Examples
from tests.distillation.small_nets import SmallNet, small_net


def scores_with(
    correct: int, total: int = 90, classes: int = 3
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return scores that are right for the first ``correct`` pictures, and the labels."""
    labels = np.arange(total) % classes
    answers = np.where(np.arange(total) < correct, labels, (labels + 1) % classes)
    return np.eye(classes, dtype=np.float32)[answers], labels


def test_the_frozen_teacher_is_a_copy(trained: SmallNet) -> None:
    teacher = small_net().train()
    frozen = guards.frozen_teacher(teacher)
    assert not any(module.training for module in frozen.modules())
    assert not any(parameter.requires_grad for parameter in frozen.parameters())
    assert all(module.training for module in teacher.modules())
    assert all(parameter.requires_grad for parameter in teacher.parameters())


def test_training_mode_is_noticed_in_any_layer(trained: SmallNet) -> None:
    assert guards.train_mode_mistake(trained) is None
    teacher = small_net().eval()
    teacher.stem[1].train()
    assert guards.train_mode_mistake(teacher) == (
        "The teacher came in training mode, in which batch norm and dropout make its answers depend on "
        "the rest of the batch; a copy of it in evaluation mode teaches instead."
    )


def test_networks_of_other_classes_are_refused(train: Examples) -> None:
    assert guards.require_pair(small_net(), small_net(1), train.inputs) == 3
    with pytest.raises(ModelError) as caught:
        guards.require_pair(small_net(), small_net(classes=5), train.inputs)
    assert str(caught.value) == (
        "The teacher tells 5 classes apart and the student 3, but their scores are compared class by "
        "class; build both for the same classes."
    )


def test_a_single_class_is_refused(train: Examples) -> None:
    with pytest.raises(ModelError) as caught:
        guards.require_pair(small_net(classes=1), None, train.inputs)
    assert str(caught.value) == (
        "The student gives 1 score for a picture, but a softmax over it is always certain; build networks "
        "for two or more classes."
    )


def test_a_picture_left_over_is_refused_where_batch_norm_cannot_train_on_it(train: Examples) -> None:
    flat = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(64, 3), nn.BatchNorm1d(3))
    with pytest.raises(SettingError) as caught:
        guards.require_last_batch(flat, train.inputs[:33], 16, "cpu")
    assert str(caught.value) == (
        "33 training pictures in batches of 16 end in a batch of one, in which batch norm finds no spread; "
        "take another batch_size, or leave a picture out."
    )
    with pytest.raises(SettingError, match=r"^32 training pictures in batches of 1 end in a batch of one"):
        guards.require_last_batch(flat, train.inputs[:32], 1, "cpu")
    before = torch.get_rng_state()
    guards.require_last_batch(flat, train.inputs[:32], 16, "cpu")
    guards.require_last_batch(flat[:3], train.inputs[:33], 16, "cpu")
    guards.require_last_batch(small_net(), train.inputs[:33], 16, "cpu")  # a map has places enough
    assert torch.equal(torch.get_rng_state(), before)


def test_networks_of_other_inputs_are_refused(train: Examples) -> None:
    colour = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 36, 3))
    with pytest.raises(ModelError) as caught:
        guards.require_pair(small_net(), colour, train.inputs)
    text = str(caught.value)
    assert text.startswith("The teacher does not take inputs of shape (1, 8, 8) (Given groups=1")
    assert text.endswith("); all networks of a run must be made for the same inputs.")
    with pytest.raises(ModelError, match="The student does not take"):
        guards.require_pair(colour, small_net(), train.inputs)


def test_a_teacher_below_its_record_is_noticed() -> None:
    scores, labels = scores_with(correct=72)
    assert guards.inputs_mistake(scores, labels) is None
    assert guards.inputs_mistake(scores, labels, record=0.81) is None
    assert guards.inputs_mistake(scores, labels, record=0.95) == (
        "The teacher is right on 80.0% of the student's validation inputs, but on record with 95.0%; "
        "check that both networks get their inputs scaled and shifted alike."
    )


def test_a_teacher_near_chance_is_noticed_without_a_record() -> None:
    assert guards.inputs_mistake(*scores_with(correct=36)) == (
        "The teacher is right on 40.0% of the student's validation inputs, where guessing the commonest "
        "class gives 33.3%; check that both networks get their inputs scaled and shifted alike."
    )
    assert guards.inputs_mistake(*scores_with(correct=42)) is None


def test_a_student_better_than_its_teacher_is_noticed() -> None:
    (worse, labels), (better, _) = scores_with(correct=60), scores_with(correct=81)
    assert guards.student_mistake(worse, better, labels) is None
    assert guards.student_mistake(worse, worse, labels) is None
    assert guards.student_mistake(better, worse, labels) == (
        "The student starts at 90.0% and its teacher is at 66.7% on the validation images, so there is "
        "little to learn from it; exchange the two, or take a better teacher."
    )


@given(st.integers(0, 999), st.floats(0.3, 30))
def test_the_entropy_is_scipys(seed: int, temperature: float) -> None:
    scores = np.random.default_rng(seed).normal(scale=4, size=(6, 5)).astype(np.float32)
    targets = torch.softmax(torch.from_numpy(scores).double() / temperature, 1).numpy()
    expected = entropy(targets, axis=1).mean() / math.log(5)
    assert guards.relative_entropy(scores, temperature) == pytest.approx(expected)
    assert guards.relative_entropy(scores, temperature) < guards.relative_entropy(scores, 2 * temperature)


def test_temperatures_that_leave_nothing_are_noticed() -> None:
    # Two classes, scores (0, ln 3): probabilities 3/4 and 1/4 at T = 1, which is 0.811 bits.
    scores = np.array([[0, math.log(3)]], dtype=np.float32)
    assert guards.relative_entropy(scores, 1.0) == pytest.approx(0.8113, abs=1e-4)
    assert guards.temperature_mistake(scores, 1.0) is None
    assert guards.temperature_mistake(scores, 10.0) == (
        "At temperature 10 the soft targets have 99.8% of the largest possible entropy: they are nearly "
        "uniform and hardly tell the classes apart; take a lower temperature."
    )
    assert guards.temperature_mistake(scores, 0.1) == (
        "At temperature 0.1 the soft targets have 0.0% of the largest possible entropy: they are nearly "
        "one-hot and say little more than a label; take a higher temperature."
    )
