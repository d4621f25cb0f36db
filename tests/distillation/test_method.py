import pytest

from course_lib.distillation.labels_only import LabelsOnly
from course_lib.distillation.method import require_alpha, require_temperature, require_weights
from course_lib.distillation.response import Response
from course_lib.errors import SettingError
from course_lib.training import TrainingConfig


def test_bounds_are_allowed_and_nothing_beyond() -> None:
    require_alpha(0)
    require_alpha(1)
    require_temperature(1e-3)
    require_weights(beta=0.0, gamma=1e9)
    for alpha in (-1e-9, 1 + 1e-9):
        with pytest.raises(SettingError, match=r"^alpha is .*take one in \[0, 1\]\.$"):
            require_alpha(alpha)
    with pytest.raises(SettingError, match=r"^temperature is 0, but scores are divided by it"):
        require_temperature(0)


@pytest.mark.parametrize("weight", [-1e-9, float("nan"), float("inf")])
def test_a_weight_below_0_is_refused_by_its_name(weight: float) -> None:
    with pytest.raises(SettingError) as caught:
        require_weights(beta=1.0, gamma=weight)
    assert str(caught.value) == f"gamma is {weight}, but a loss is multiplied by it; take 0 or more."


def test_a_method_needs_nothing_that_it_does_not_say() -> None:
    assert Response().layer_pairs == ()
    assert Response().make_adapters([], []) is None
    assert Response().asks_teacher(0)
    assert Response().reads_scores
    assert Response().settings_mistake(TrainingConfig()) is None
    assert LabelsOnly().soft_temperature is None
