import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import softmax

from course_lib.distillation.decoupled import Decoupled, decoupled_parts
from course_lib.distillation.response import soft_loss
from course_lib.errors import SettingError
from tests.distillation.test_response import lesson_of, random_lesson


def test_the_worked_example() -> None:
    student, teacher = torch.tensor([[0.5, 0.4, 0.1]]).log(), torch.tensor([[0.8, 0.1, 0.1]]).log()
    target, others = decoupled_parts(student, teacher, torch.tensor([0]), 1.0)
    assert target.item() == pytest.approx(0.8 * math.log(1.6) + 0.2 * math.log(0.4))
    assert others.item() == pytest.approx(0.5 * math.log(0.625) + 0.5 * math.log(2.5))
    lesson = lesson_of(student, teacher, torch.tensor([0]), epoch=5)
    total, soft, hard = Decoupled(temperature=1, beta=2, alpha=0.25).losses(lesson)
    assert soft.item() == pytest.approx(0.193 + 2 * 0.223, abs=1e-3)
    assert total.item() == pytest.approx(0.25 * soft.item() + 0.75 * math.log(2))
    assert hard.item() == pytest.approx(math.log(2))


def transcribed(
    student: NDArray[np.float64], teacher: NDArray[np.float64], labels: NDArray[np.int64], temperature: float
) -> tuple[float, float]:
    """Return TCKD and NCKD picture by picture, from the paper's equations 1 to 5."""
    targets, others = [], []
    for z_student, z_teacher, t in zip(student, teacher, labels, strict=True):
        p, q = softmax(z_teacher / temperature), softmax(z_student / temperature)
        targets.append(p[t] * np.log(p[t] / q[t]) + (1 - p[t]) * np.log((1 - p[t]) / (1 - q[t])))
        rest = [i for i in range(len(p)) if i != t]
        p_hat, q_hat = p[rest] / p[rest].sum(), q[rest] / q[rest].sum()
        others.append((p_hat * np.log(p_hat / q_hat)).sum())
    return float(np.mean(targets)), float(np.mean(others))


@given(st.integers(0, 999), st.floats(0.5, 10))
def test_it_agrees_with_a_transcription_of_the_paper(seed: int, temperature: float) -> None:
    lesson = random_lesson(seed)
    arrays = (lesson.student_scores.numpy(), lesson.teacher_scores.numpy(), lesson.labels.numpy())
    expected = transcribed(*arrays, temperature)
    found = decoupled_parts(lesson.student_scores, lesson.teacher_scores, lesson.labels, temperature)
    assert [part.item() for part in found] == pytest.approx(expected, rel=1e-6, abs=1e-12)


@given(st.integers(0, 999), st.floats(0.5, 10), st.integers(0, 4))
def test_the_parts_make_up_the_whole_divergence(seed: int, temperature: float, label: int) -> None:
    lesson = random_lesson(seed)
    student, teacher = lesson.student_scores[:1], lesson.teacher_scores[:1]
    target, others = decoupled_parts(student, teacher, torch.tensor([label]), temperature)
    certain = torch.softmax(teacher / temperature, 1)[0, label]
    whole = soft_loss(student, teacher, temperature) / temperature**2
    torch.testing.assert_close(target + (1 - certain) * others, whole)


def test_two_classes_have_no_others() -> None:
    target, others = decoupled_parts(torch.randn(4, 2), torch.randn(4, 2), torch.tensor([0, 1, 1, 0]), 1.0)
    assert target > 0
    assert others == 0


def test_rounding_leaves_no_part_below_0() -> None:
    lesson = random_lesson(0)
    close = [scores.float() for scores in (lesson.student_scores, lesson.student_scores + 1e-4)]
    parts = [decoupled_parts(*close, lesson.labels, temperature) for temperature in (10, 100, 500, 1000)]
    assert all(part >= 0 for both in parts for part in both)


def test_a_certain_teacher_gives_numbers() -> None:
    teacher = torch.tensor([[200.0, 0.0, 1.0]])
    student = torch.tensor([[0.0, 90.0, 1.0]], requires_grad=True)
    total, _, _ = Decoupled(1.0).losses(lesson_of(student, teacher, torch.tensor([0])))
    total.backward()
    assert torch.isfinite(total)
    assert torch.isfinite(student.grad).all()


def test_the_soft_loss_grows_with_the_epochs() -> None:
    lesson = random_lesson(1)
    method = Decoupled(alpha=1, warmup_epochs=4)
    epochs = [
        lesson_of(lesson.student_scores, lesson.teacher_scores, lesson.labels, epoch) for epoch in range(6)
    ]
    whole = method.losses(epochs[-1])
    shares = [(method.losses(epoch).total / whole.soft).item() for epoch in epochs]
    assert shares == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1])
    assert Decoupled(alpha=1, warmup_epochs=0).losses(epochs[0]).total == whole.soft


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (
            {"temperature": 0},
            "temperature is 0, but scores are divided by it; expected 0.01 to 1,000, and 3 to 10 to distil.",
        ),
        ({"alpha": 2}, "alpha is 2, but it is the share of the soft loss in the whole; take one in [0, 1]."),
        ({"beta": -1}, "beta is -1, but a loss is multiplied by it; take 0 or more."),
        ({"warmup_epochs": -1}, "warmup_epochs is -1, but it counts epochs; take 0 or more."),
    ],
)
def test_settings_outside_their_range_are_refused(setting: dict[str, float], message: str) -> None:
    with pytest.raises(SettingError) as caught:
        Decoupled(**setting)
    assert str(caught.value) == message
