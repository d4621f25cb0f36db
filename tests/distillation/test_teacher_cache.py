"""Scores on disk: found again, never mistaken for others, computed anew where damaged."""

import copy
import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from course_lib.distillation.guards import DistillationWarning
from course_lib.distillation.teacher_cache import TeacherScores, model_digest
from course_lib.distillation.views import Views, array_digest
from course_lib.training import Augmentation, Examples, predict
from tests.distillation.small_nets import SmallNet


class Counted:
    """Counts the batches that go through a model."""

    def __init__(self, model: nn.Module) -> None:
        self.batches = 0
        model.register_forward_hook(self._count)

    def _count(self, *ignored: object) -> None:
        self.batches += 1


@pytest.fixture
def teacher(trained: SmallNet) -> SmallNet:
    """Return a copy that a test may watch and change."""
    return copy.deepcopy(trained)


@pytest.fixture
def views(train: Examples) -> Views:
    """Return two views."""
    return Views(train.inputs, Augmentation(), 2, 0)


def test_a_digest_by_hand() -> None:
    values = np.array([[1.0, 2.0]], dtype=np.float32)
    expected = hashlib.sha256(b"float32 (1, 2)" + b"\x00\x00\x80\x3f\x00\x00\x00\x40").hexdigest()
    assert array_digest(values) == expected
    assert array_digest(values.T) != expected


def test_scores_are_the_teachers_and_asked_for_once(teacher: SmallNet, views: Views, tmp_path: Path) -> None:
    expected = [predict(teacher, views.pictures(view).numpy()) for view in (0, 1)]
    watch = Counted(teacher)
    for _ in range(3):
        scores = TeacherScores(teacher, tmp_path / "cache")
        for view in (1, 0):
            np.testing.assert_array_equal(scores.of_view(views, view), expected[view])
    assert watch.batches == 2
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_without_a_folder_the_teacher_is_asked_every_time(teacher: SmallNet, views: Views) -> None:
    watch = Counted(teacher)
    scores = TeacherScores(teacher, None)
    np.testing.assert_array_equal(scores.of_view(views, 0), scores.of_view(views, 0))
    assert watch.batches == 2


def test_inputs_as_they_are_have_a_file_of_their_own(
    teacher: SmallNet, views: Views, train: Examples, tmp_path: Path
) -> None:
    scores = TeacherScores(teacher, tmp_path)
    scores.of_view(views, 0)
    np.testing.assert_array_equal(scores.of_inputs(train.inputs), predict(teacher, train.inputs))
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("change", ["weight", "statistics", "layer", "input", "augmentation", "seed", "view"])
def test_other_scores_have_another_file(
    teacher: SmallNet, train: Examples, tmp_path: Path, change: str
) -> None:
    TeacherScores(teacher, tmp_path).of_view(Views(train.inputs, Augmentation(), 2, 0), 0)
    other = copy.deepcopy(teacher)
    inputs = train.inputs.copy()
    if change == "weight":
        other.head.bias.data[0] += 1e-3
    if change == "statistics":
        other.stem[1].running_mean += 1e-3
    if change == "layer":
        other.relu = nn.LeakyReLU()
    if change == "input":
        inputs[3, 0, 2, 1] += 1
    augmentation = Augmentation(erase=0.1) if change == "augmentation" else Augmentation()
    views = Views(inputs, augmentation, 2, seed=int(change == "seed"))
    watch = Counted(other)
    TeacherScores(other, tmp_path).of_view(views, int(change == "view"))
    assert watch.batches == 1
    assert len(list(tmp_path.iterdir())) == 2


def test_training_does_not_leave_the_digest(teacher: SmallNet) -> None:
    assert model_digest(teacher) == model_digest(copy.deepcopy(teacher))
    teacher.to(memory_format=torch.channels_last)
    assert model_digest(teacher) == model_digest(
        copy.deepcopy(teacher).to(memory_format=torch.contiguous_format)
    )


@pytest.mark.parametrize("damage", ["empty", "text", "cut", "bit", "shape", "name", "pickle"])
def test_a_damaged_file_is_computed_again(
    teacher: SmallNet, views: Views, tmp_path: Path, damage: str
) -> None:
    scores = TeacherScores(teacher, tmp_path)
    expected = scores.of_view(views, 0)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    if damage == "shape":
        np.savez(path, scores=expected[:-1])
    elif damage == "name":
        np.savez(path, other=expected)
    elif damage == "pickle":
        np.savez(path, scores=np.array([object()]))
    else:
        middle = len(whole) // 2
        flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
        path.write_bytes({"empty": b"", "text": b"hello", "cut": whole[:middle], "bit": flipped}[damage])
    with pytest.warns(DistillationWarning) as caught:
        again = scores.of_view(views, 0)
    assert str(caught[0].message) == (
        f"The file {path.name} of teacher scores is damaged; it is computed again."
    )
    np.testing.assert_array_equal(again, expected)
    np.testing.assert_array_equal(TeacherScores(teacher, tmp_path).of_view(views, 0), expected)
    assert len(list(tmp_path.iterdir())) == 1


def test_an_interrupted_write_leaves_no_file(
    teacher: SmallNet, views: Views, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(file: object, scores: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", full)
        with pytest.raises(OSError, match="No space left"):
            TeacherScores(teacher, tmp_path).of_view(views, 0)
    assert list(tmp_path.iterdir()) == []
