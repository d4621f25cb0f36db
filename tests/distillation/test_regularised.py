from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from course_lib.distillation.guards import DistillationWarning
from course_lib.distillation.method import Lesson
from course_lib.distillation.regularised import Regularised, squared_norm
from course_lib.distillation.response import Response
from course_lib.distillation.trainer import distill
from course_lib.errors import SettingError
from course_lib.training import Examples, TrainingConfig
from tests.distillation.small_nets import SmallNet, small_config, small_net
from tests.distillation.test_response import random_lesson


def test_the_worked_example() -> None:
    layer = nn.Linear(2, 1)
    layer.weight.data = torch.tensor([[3.0, 4.0]])
    assert squared_norm(layer).item() == 25
    lesson = Lesson(0, torch.zeros(1, 2), torch.tensor([[2.0, 0.0]]), torch.tensor([0]), layer)
    total, soft, hard = Regularised(0.3, 0.7, 0.001, temperature=2).losses(lesson)
    assert total.item() == pytest.approx(0.544, abs=1e-3)
    assert (soft.item(), hard.item()) == pytest.approx((0.444, 0.693), abs=1e-3)


@given(st.integers(0, 999), st.floats(0, 1), st.floats(0.5, 10))
def test_without_gamma_it_is_the_response_loss(seed: int, share: float, temperature: float) -> None:
    lesson = random_lesson(seed)
    layer = nn.Linear(2, 2)
    lesson = replace(lesson, student=layer)
    found = Regularised(1 - share, share, 0, temperature).losses(lesson)
    expected = Response(temperature, share).losses(lesson)
    assert found.total.item() == pytest.approx(expected.total.item())


def test_gamma_is_half_a_weight_decay(trained: SmallNet, train: Examples) -> None:
    decayed = distill(
        small_net(), trained, train, train, small_config(weight_decay=0.02), Regularised(gamma=0)
    )
    in_the_loss = distill(
        small_net(), trained, train, train, small_config(weight_decay=0), Regularised(gamma=0.01)
    )
    for one, other in zip(decayed.model.parameters(), in_the_loss.model.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
    free = distill(small_net(), trained, train, train, small_config(weight_decay=0), Regularised(gamma=0))
    assert not torch.allclose(free.model.body.weight, decayed.model.body.weight, rtol=1e-4)


def test_paying_twice_is_warned_of(trained: SmallNet, train: Examples) -> None:
    assert Regularised(gamma=0).settings_mistake(TrainingConfig()) is None
    assert Regularised().settings_mistake(TrainingConfig(weight_decay=0)) is None
    with pytest.warns(DistillationWarning) as caught:
        run = distill(
            small_net(), trained, train, train, small_config(1, weight_decay=5e-4), Regularised(gamma=1e-4)
        )
    assert run.warnings == (str(caught[0].message),)
    assert run.warnings == (
        "gamma is 0.0001 and weight_decay 0.0005, so large weights are paid for twice; set weight_decay=0, "
        "of which gamma = weight_decay / 2 takes the place.",
    )


@pytest.mark.parametrize("name", ["alpha", "beta", "gamma"])
def test_a_weight_below_0_is_refused(name: str) -> None:
    with pytest.raises(SettingError) as caught:
        Regularised(**{name: -0.5})
    assert str(caught.value) == f"{name} is -0.5, but a loss is multiplied by it; take 0 or more."


def test_a_network_without_matrices_has_no_norm() -> None:
    assert squared_norm(nn.BatchNorm2d(3)) == 0
