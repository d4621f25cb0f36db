"""Scores on disk: found again, never mistaken for others, computed anew where damaged."""

import copy
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pytest
from torch import nn

from course_lib.distillation.guards import DistillationWarning
from course_lib.distillation.teacher_cache import TeacherScores
from course_lib.distillation.views import Views
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


def test_damage_in_any_header_is_noticed_or_does_no_harm(
    teacher: SmallNet, views: Views, tmp_path: Path
) -> None:
    scores = TeacherScores(teacher, tmp_path)
    expected = scores.of_view(views, 0)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    data = len(expected.tobytes())
    headers = [*range(len(whole) - data - 100, len(whole)), *range(200)]
    warned = 0
    for place in headers:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x41]) + whole[place + 1 :])
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            np.testing.assert_array_equal(scores.of_view(views, 0), expected)
        warned += bool(caught)
    assert warned > len(headers) / 2


@pytest.mark.parametrize("obstacle", ["full disk", "no folder", "no permission"])
def test_where_nothing_can_be_written_the_run_goes_on(
    teacher: SmallNet, views: Views, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, obstacle: str
) -> None:
    folder = tmp_path / "cache"
    if obstacle == "no folder":
        folder.write_text("a file")
    else:
        folder.mkdir()

    def fail(*ignored: object, **also_ignored: object) -> None:
        raise {"full disk": OSError(28, "No space left on device")}.get(
            obstacle, PermissionError(13, "Permission denied")
        )

    if obstacle == "full disk":
        monkeypatch.setattr(np, "savez", fail)
    if obstacle == "no permission":
        monkeypatch.setattr(tempfile, "mkstemp", fail)
    reason = {"full disk": "No space left on device", "no folder": "File exists"}.get(
        obstacle, "Permission denied"
    )
    with pytest.warns(DistillationWarning) as caught:
        found = TeacherScores(teacher, folder).of_view(views, 0)
    assert [str(warning.message) for warning in caught] == [
        f"The teacher's scores cannot be kept in {folder} ({reason}), so they are computed each time; give a "
        "folder with room that you may write to."
    ]
    np.testing.assert_array_equal(found, predict(teacher, views.pictures(0).numpy()))
    assert obstacle == "no folder" or list(folder.iterdir()) == []
