import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from course_lib.distillation.response import soft_loss
from course_lib.explore.distillation_studies import (
    ASKED,
    CACHED,
    GradientStudy,
    careless_accuracies,
    certainty_bins,
    entropy_curve,
    gradient_study,
    look_of,
    race_cache,
)
from course_lib.reproducibility import seeded_torch
from course_lib.training import Examples

LABELS = np.array([0])


def made_up(count: int, seed: int, classes: int = 4) -> np.ndarray:
    return np.random.default_rng(seed).normal(scale=3, size=(count, classes))


def test_gradients_of_the_example_by_hand() -> None:
    study = gradient_study(np.array([[0.0, 0.0]]), np.array([[2.0, 0.0]]), LABELS, (2.0,))
    difference = 1 / (1 + math.exp(-1)) - 0.5
    assert study.plain[0] == pytest.approx(difference / 2 * math.sqrt(2))
    assert study.multiplied[0] == pytest.approx(4 * study.plain[0])
    assert study.hard == pytest.approx(math.sqrt(0.5))


def test_gradients_are_those_of_the_formula() -> None:
    student, teacher, labels = made_up(20, 0), made_up(20, 1), np.arange(20) % 4
    study = gradient_study(student, teacher, labels, (1.0, 3.0))
    for temperature, found in zip(study.temperatures, study.plain, strict=True):
        p, q = (torch.softmax(torch.from_numpy(each) / temperature, 1) for each in (teacher, student))
        assert found == pytest.approx(float(((q - p) / temperature).norm(dim=1).mean()))


def test_at_high_temperatures_the_plain_gradient_falls_like_the_square() -> None:
    study = gradient_study(made_up(20, 0), made_up(20, 1), np.arange(20) % 4, (500.0, 1000.0))
    assert study.shrinks(500.0, 1000.0) == pytest.approx(4, rel=0.01)
    assert study.multiplied[0] == pytest.approx(study.multiplied[1], rel=0.01)


def test_shrinks_divides_the_first_by_the_last() -> None:
    assert GradientStudy((1.0, 10.0), (0.5, 0.01), (0.5, 1.0), 0.7).shrinks(1.0, 10.0) == pytest.approx(50)


def test_entropy_goes_from_a_label_to_an_even_spread() -> None:
    curve = entropy_curve(np.array([[3.0, 0.0, -3.0]]), (0.01, 1000.0))
    assert curve[0] == (0.01, pytest.approx(0, abs=1e-6))
    assert curve[1] == (1000.0, pytest.approx(1, abs=1e-4))


@given(st.integers(0, 50), st.floats(0.5, 10))
def test_bins_rise_in_certainty_and_count_a_part(seed: int, temperature: float) -> None:
    student, teacher, labels = made_up(30, seed), made_up(30, seed + 1), np.arange(30) % 4
    bins = certainty_bins(student, teacher, labels, temperature, bins=3)
    sure = [each.certainty for each in bins]
    assert sure == sorted(sure)
    assert all(-1e-9 <= each.counted <= each.others + 1e-9 for each in bins)


def test_one_picture_a_bin_counts_its_own_share() -> None:
    student, teacher, labels = made_up(5, 3), made_up(5, 4), np.array([0, 1, 2, 3, 0])
    for each in certainty_bins(student, teacher, labels, 2.0, bins=5):
        assert each.counted == pytest.approx((1 - each.certainty) * each.others, rel=1e-6, abs=1e-9)


def test_the_parts_of_a_bin_add_up_to_the_loss() -> None:
    teacher = np.log(np.array([[0.8, 0.1, 0.1]]))
    student = np.log(np.array([[0.5, 0.4, 0.1]]))
    (only,) = certainty_bins(student, teacher, LABELS, 1.0, bins=1)
    assert (only.certainty, only.others) == (pytest.approx(0.8), pytest.approx(0.2231, abs=1e-4))
    assert only.counted == pytest.approx(0.2 * only.others)
    whole = float(soft_loss(torch.from_numpy(student), torch.from_numpy(teacher), 1.0))
    assert whole == pytest.approx(0.1927 + only.counted, abs=1e-4)


def norm_net() -> nn.Module:
    """Right about the sign of a number by its running mean; a batch of equal ones has a mean of its own."""
    norm = nn.BatchNorm1d(1)
    head = nn.Linear(1, 2)
    head.weight.data, head.bias.data = torch.tensor([[-1.0], [1.0]]), torch.tensor([0.01, 0.0])
    return nn.Sequential(nn.Flatten(), norm, head).eval()


def test_a_teacher_in_training_mode_answers_by_its_neighbours() -> None:
    inputs = np.array([1.0, 2.0, 3.0, 4.0, -1.0, -2.0, -3.0, -4.0], np.float32).reshape(8, 1, 1, 1)
    examples = Examples(inputs, (inputs.ravel() > 0).astype(np.int64))
    teacher = norm_net()
    found = careless_accuracies(teacher, examples, (4, 8))
    assert found == {"4": 0.5, "8": 1.0, "evaluation mode": 1.0}
    assert not teacher.training
    assert float(teacher[1].running_mean) == 0


def test_a_look_is_the_square_of_the_maps_over_the_channels() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 1, bias=False))
    model[0].weight.data = torch.tensor([1.0, 2.0]).reshape(2, 1, 1, 1)
    assert look_of(model, "0", torch.tensor([[[[1.0, -2.0], [0.0, 1.0]]]])) == [[0.25, 1.0], [0.0, 0.25]]


def linear_net() -> nn.Module:
    with seeded_torch(0):
        return nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(72, 3))


def test_epochs_with_and_without_the_cache_take_turns(tmp_path: Path) -> None:
    labels = np.arange(24) % 3
    inputs = np.random.default_rng(0).normal(size=(24, 1, 8, 8)).astype(np.float32)
    examples = Examples(inputs + labels[:, None, None, None].astype(np.float32), labels)
    with pytest.warns():  # what the guards say of an untrained teacher is not the matter here
        race = race_cache(linear_net, linear_net().eval(), examples, examples, tmp_path, runs=2)
    assert list(race.results) == [ASKED, CACHED]
    assert race.baseline == ASKED
    assert [len(each.samples_ms) for each in race.results.values()] == [2, 2]
    assert len(list(tmp_path.glob("*.npz"))) == 2  # the view, and the validation images
