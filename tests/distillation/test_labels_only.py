import torch
from torch.nn import functional as F

from course_lib.distillation.labels_only import LabelsOnly
from tests.distillation.test_response import random_lesson


def test_the_loss_is_the_cross_entropy() -> None:
    lesson = random_lesson(0)
    total, soft, hard = LabelsOnly().losses(lesson)
    assert torch.equal(total, F.cross_entropy(lesson.student_scores, lesson.labels))
    assert torch.equal(hard, total)
    assert soft == 0
    assert not LabelsOnly().asks_teacher(0)
