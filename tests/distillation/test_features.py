import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from course_lib.distillation.features import Hints, hint_loss, make_adapter
from course_lib.distillation.method import Lesson
from course_lib.errors import SettingError


def random_maps(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_worked_example() -> None:
    teacher, student = (torch.tensor(maps).reshape(1, 1, 1, 2) for maps in ([3.0, 4.0], [3.0, 3.0]))
    assert hint_loss(student, teacher).item() == pytest.approx(0.04)


@given(st.integers(0, 999))
def test_it_is_numpys_squared_norms(seed: int) -> None:
    student, teacher = random_maps(seed, 3, 4, 5, 5), random_maps(seed + 1, 3, 4, 5, 5)
    difference, size = (np.linalg.norm(maps.numpy().ravel()) for maps in (teacher - student, teacher))
    assert hint_loss(student, teacher).item() == pytest.approx((difference / size) ** 2)


@given(st.integers(0, 999), st.floats(0.01, 100))
def test_the_scale_of_a_layer_does_not_matter(seed: int, scale: float) -> None:
    student, teacher = random_maps(seed, 2, 3, 4, 4), random_maps(seed + 1, 2, 3, 4, 4)
    assert hint_loss(scale * student, scale * teacher).item() == pytest.approx(
        hint_loss(student, teacher).item()
    )
    assert hint_loss(torch.zeros_like(teacher), teacher).item() == pytest.approx(1)
    assert hint_loss(teacher, teacher) == 0


def test_a_silent_teacher_gives_a_number() -> None:
    assert torch.isfinite(hint_loss(torch.ones(1, 1, 2, 2), torch.zeros(1, 1, 2, 2)))


def test_adapters_only_where_channels_differ() -> None:
    assert isinstance(make_adapter((4, 8, 8), (4, 2, 2)), nn.Identity)
    adapter = make_adapter((4, 8, 8), (6, 8, 8))
    assert isinstance(adapter, nn.Conv2d)
    assert adapter(torch.zeros(1, 4, 8, 8)).shape == (1, 6, 8, 8)


def test_the_losses_of_all_pairs_are_added_through_their_adapters() -> None:
    method = Hints((("a", "b"), ("c", "d")), weight=0.5)
    students = [random_maps(0, 2, 4, 6, 6), random_maps(1, 2, 3, 2, 2)]
    teachers = [random_maps(2, 2, 6, 3, 3), random_maps(3, 2, 3, 2, 2)]
    adapters = method.make_adapters([(4, 6, 6), (3, 2, 2)], [(6, 3, 3), (3, 2, 2)]).double()
    scores = torch.zeros(2, 2, requires_grad=True)
    lesson = Lesson(
        0, scores, scores, torch.zeros(2, dtype=torch.int64), nn.Identity(), students, teachers, adapters
    )
    expected = hint_loss(adapters[0](students[0]), teachers[0]) + hint_loss(students[1], teachers[1])
    loss = method.feature_loss(lesson)
    torch.testing.assert_close(loss, 0.5 * expected)
    loss.backward()
    assert adapters[0].weight.grad.abs().sum() > 0


def test_a_weight_below_0_is_refused() -> None:
    with pytest.raises(SettingError) as caught:
        Hints((("a", "b"),), weight=-1)
    assert str(caught.value) == "weight is -1, but a loss is multiplied by it; take 0 or more."
