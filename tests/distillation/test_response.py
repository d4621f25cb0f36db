import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import rel_entr, softmax
from torch import nn
from torch.nn import functional as F

from course_lib.distillation.method import Lesson
from course_lib.distillation.response import Response, soft_loss, soft_targets
from course_lib.errors import SettingError


def lesson_of(student: torch.Tensor, teacher: torch.Tensor, labels: torch.Tensor, epoch: int = 0) -> Lesson:
    return Lesson(epoch, student, teacher, labels, nn.Identity())


def random_lesson(seed: int, scale: float = 3.0) -> Lesson:
    generator = torch.Generator().manual_seed(seed)
    student, teacher = scale * torch.randn(2, 7, 5, generator=generator, dtype=torch.float64)
    return lesson_of(student, teacher, torch.arange(7) % 5)


def test_the_worked_example() -> None:
    student, teacher = torch.tensor([[0.0, 0.0]]), torch.tensor([[2.0, 0.0]])
    total, soft, hard = Response(2, 0.7).losses(lesson_of(student, teacher, torch.tensor([0])))
    p = math.e / (1 + math.e)
    expected = 4 * (p * math.log(2 * p) + (1 - p) * math.log(2 * (1 - p)))
    assert soft.item() == pytest.approx(expected) == pytest.approx(0.444, abs=1e-3)
    assert hard.item() == pytest.approx(math.log(2))
    assert total.item() == pytest.approx(0.519, abs=1e-3)


@given(st.integers(0, 999), st.floats(0.5, 20), st.floats(0, 1))
def test_it_is_torchs_and_scipys_divergence(seed: int, temperature: float, alpha: float) -> None:
    lesson = random_lesson(seed)
    total, soft, _ = Response(temperature, alpha).losses(lesson)
    p, q = (softmax(s.numpy() / temperature, axis=1) for s in (lesson.teacher_scores, lesson.student_scores))
    assert soft.item() == pytest.approx(temperature**2 * rel_entr(p, q).sum(1).mean())
    torchs = F.kl_div(torch.from_numpy(np.log(q)), torch.from_numpy(p), reduction="batchmean")
    assert soft.item() == pytest.approx(temperature**2 * torchs.item())
    cross_entropy = F.cross_entropy(lesson.student_scores, lesson.labels)
    assert total.item() == pytest.approx(alpha * soft.item() + (1 - alpha) * cross_entropy.item())


@given(st.integers(0, 999), st.floats(0.5, 20), st.floats(-5, 5))
def test_only_another_answer_costs(seed: int, temperature: float, shift: float) -> None:
    scores = random_lesson(seed).student_scores
    assert soft_loss(scores + shift, scores, temperature).item() == pytest.approx(0, abs=1e-9)
    assert soft_loss(scores, random_lesson(seed + 1).student_scores, temperature).item() > 0


@given(st.integers(0, 999), st.sampled_from([0.01, 1.0, 100.0, 1000.0]))
def test_rounding_never_brings_it_below_0_and_leaves_the_gradient(seed: int, temperature: float) -> None:
    lesson = random_lesson(seed)
    teacher = lesson.teacher_scores.float()
    student = (teacher + 1e-3 * lesson.student_scores.float()).requires_grad_()
    loss = soft_loss(student, teacher, temperature)
    assert 0 <= loss < math.inf
    loss.backward()
    p, q = (torch.softmax(scores.double() / temperature, 1) for scores in (teacher, student))
    expected = temperature * (q - p) / len(teacher)
    torch.testing.assert_close(student.grad.double(), expected, rtol=1e-2, atol=1e-7 * max(temperature, 1))


def test_its_gradient_hardly_depends_on_a_high_temperature() -> None:
    def gradient(temperature: float) -> torch.Tensor:
        lesson = random_lesson(3)
        student = lesson.student_scores.requires_grad_()
        soft_loss(student, lesson.teacher_scores, temperature).backward()
        return student.grad

    # Hinton's equation 4: at high temperatures it is (z − v) / (number of classes), for scores of mean zero.
    lesson = random_lesson(3)
    z, v = (s - s.mean(1, keepdim=True) for s in (lesson.student_scores, lesson.teacher_scores))
    torch.testing.assert_close(gradient(1e4), (z - v) / 5 / 7, rtol=1e-2, atol=1e-4)


@given(st.integers(0, 99), st.floats(1, 9))
def test_soft_targets_flatten_with_temperature(seed: int, temperature: float) -> None:
    scores = random_lesson(seed).teacher_scores
    targets = soft_targets(scores, temperature)
    torch.testing.assert_close(targets.sum(1), torch.ones(7, dtype=torch.float64))
    assert (soft_targets(scores, 2 * temperature).amax(1) < targets.amax(1)).all()


@pytest.mark.parametrize("temperature", [0, -1.0, math.nan, math.inf, 1e30, 1e-45])
def test_a_temperature_that_gives_no_numbers_is_refused(temperature: float) -> None:
    expected = (
        f"temperature is {temperature:g}, but scores are divided by it; expected 0.01 to 1,000, and 3 to 10 "
        "to distil."
    )
    for make in (lambda: Response(temperature), lambda: soft_targets(torch.zeros(1, 2), temperature)):
        with pytest.raises(SettingError) as caught:
            make()
        assert str(caught.value) == expected


@pytest.mark.parametrize("alpha", [-0.1, 1.01, math.nan])
def test_an_alpha_outside_its_range_is_refused(alpha: float) -> None:
    with pytest.raises(SettingError) as caught:
        Response(alpha=alpha)
    assert str(caught.value) == (
        f"alpha is {alpha}, but it is the share of the soft loss in the whole; take one in [0, 1]."
    )
