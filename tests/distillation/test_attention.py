import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from course_lib.distillation.attention import Attention, attention_loss, attention_map
from course_lib.distillation.method import Lesson
from course_lib.errors import SettingError
from tests.distillation.test_features import random_maps


def test_the_worked_example() -> None:
    # Two channels whose squares add up to (3, 4).
    student = torch.tensor([[[[1.0, 2.0]], [[2**0.5, 0.0]]]])
    teacher = torch.tensor([[[[0.0, 2**0.5]]]])
    torch.testing.assert_close(attention_map(student), torch.tensor([[[[3.0, 4.0]]]]))
    assert attention_loss(student, teacher).item() == pytest.approx(0.2)
    scores = torch.zeros(1, 2)
    lesson = Lesson(0, scores, scores, torch.tensor([0]), nn.Identity(), [student], [teacher])
    assert Attention((("a", "b"),)).feature_loss(lesson).item() == pytest.approx(100)


@given(st.integers(0, 999))
def test_it_agrees_with_numpy(seed: int) -> None:
    student, teacher = random_maps(seed, 3, 4, 5, 5), random_maps(seed + 1, 3, 6, 5, 5)

    def looks(maps: np.ndarray) -> np.ndarray:
        flat = (maps**2).sum(1).reshape(len(maps), -1)
        return flat / np.linalg.norm(flat, axis=1, keepdims=True)

    expected = ((looks(student.numpy()) - looks(teacher.numpy())) ** 2).mean()
    assert attention_loss(student, teacher).item() == pytest.approx(expected)


@given(st.integers(0, 999), st.floats(0.01, 100), st.permutations(range(4)))
def test_scale_sign_and_order_of_channels_do_not_matter(seed: int, scale: float, order: list[int]) -> None:
    maps = random_maps(seed, 2, 4, 3, 3)
    assert attention_loss(-scale * maps[:, order], maps).item() == pytest.approx(0, abs=1e-12)


def test_a_larger_map_is_averaged_down() -> None:
    student, teacher = random_maps(0, 2, 3, 4, 4), random_maps(1, 2, 5, 8, 8)
    smaller = nn.functional.avg_pool2d(attention_map(teacher), 2)
    torch.testing.assert_close(attention_loss(student, teacher), attention_loss(student, smaller.sqrt()))


def test_a_beta_below_0_is_refused() -> None:
    with pytest.raises(SettingError) as caught:
        Attention((("a", "b"),), beta=-1)
    assert str(caught.value) == "beta is -1, but a loss is multiplied by it; take 0 or more."
