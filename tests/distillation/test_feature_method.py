import pytest
import torch
from torch.nn import functional as F

from course_lib.distillation.attention import Attention
from course_lib.distillation.feature_method import FeatureMethod, to_smaller_size
from course_lib.distillation.features import Hints
from course_lib.distillation.method import Lesson
from course_lib.distillation.response import Response
from course_lib.errors import SettingError
from tests.distillation.test_response import random_lesson

LAYERS = (("stem", "stem"),)


class Two(FeatureMethod):
    """Features that always cost 2."""

    def feature_loss(self, lesson: Lesson) -> torch.Tensor:
        return torch.tensor(2.0)


def test_features_stand_beside_the_labels() -> None:
    lesson = random_lesson(0)
    total, soft, hard = Two(LAYERS).losses(lesson)
    assert hard == F.cross_entropy(lesson.student_scores, lesson.labels)
    assert soft == 2
    assert total == 2 + hard
    assert not Two(LAYERS).reads_scores
    assert Two(LAYERS).soft_temperature is None


def test_features_stand_beside_the_response() -> None:
    lesson, response = random_lesson(0), Response(3, 0.4)
    method = Two(LAYERS, response)
    total, soft, hard = method.losses(lesson)
    alone = response.losses(lesson)
    assert total == 2 + alone.total
    assert soft == 2 + 0.4 * alone.soft
    assert hard == alone.hard
    assert method.reads_scores
    assert method.soft_temperature == 3


def test_maps_are_averaged_to_the_smaller_size() -> None:
    wide = torch.arange(16.0).reshape(1, 1, 4, 4)
    small, same = to_smaller_size(wide, torch.zeros(1, 3, 2, 4))
    assert small.tolist() == [[[[2, 3, 4, 5], [10, 11, 12, 13]]]]
    assert same.shape == (1, 3, 2, 4)
    tall, broad = to_smaller_size(torch.ones(1, 1, 6, 2), torch.ones(1, 2, 3, 4))
    assert tall.shape[2:] == broad.shape[2:] == (3, 2)


@pytest.mark.parametrize("method", [Hints, Attention])
def test_no_layers_are_refused(method: type[FeatureMethod]) -> None:
    with pytest.raises(SettingError) as caught:
        method(())
    assert str(caught.value) == (
        "layers is empty, so there is nothing to compare; give pairs (path in the student, path in the "
        "teacher), or take those of matching_layers."
    )


@pytest.mark.parametrize(
    ("layers", "shown"),
    [(("0", "2"), "'0'"), ((("a", "b"), ("c",)), "('c',)"), (("ab",), "'ab'"), (((0, 2),), "(0, 2)")],
)
def test_layers_that_are_no_pairs_are_refused(layers: tuple[tuple[str, str], ...], shown: str) -> None:
    with pytest.raises(SettingError) as caught:
        Hints(layers)
    assert str(caught.value) == (
        f"layers holds {shown}, but pairs are compared; give (path in the student, path in the teacher) for "
        "each."
    )
