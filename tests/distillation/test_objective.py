import torch
from torch.nn import functional as F

from course_lib.distillation.guards import frozen_teacher
from course_lib.distillation.method import Lesson, Losses
from course_lib.distillation.objective import DistillationObjective
from course_lib.distillation.response import Response
from course_lib.distillation.teacher_cache import TeacherScores
from course_lib.distillation.views import Views
from course_lib.training import Augmentation, Examples, fit
from tests.distillation.small_nets import SmallNet, small_config, small_net


def test_a_lesson_holds_the_teachers_scores_for_the_very_pictures(trained: SmallNet, train: Examples) -> None:
    lessons: list[tuple[Lesson, torch.Tensor]] = []

    class Watched(Response):
        """Keeps what it is shown."""

        def losses(self, lesson: Lesson) -> Losses:
            lessons.append((lesson, shown[-1]))
            return super().losses(lesson)

    student = small_net()
    shown: list[torch.Tensor] = []
    student.register_forward_pre_hook(lambda net, inputs: shown.append(inputs[0]) if net.training else None)
    views = Views(train.inputs, Augmentation(max_shift=1), 2, 0)
    objective = DistillationObjective(student, TeacherScores(frozen_teacher(trained), None), views, Watched())
    fit(student, train, train, small_config(epochs=3).training, loss_function=objective)
    assert [lesson.epoch for lesson, _ in lessons] == [0] * 3 + [1] * 3 + [2] * 3
    for lesson, pictures in lessons:
        torch.testing.assert_close(lesson.teacher_scores, trained(pictures))
        assert not lesson.teacher_scores.requires_grad
    # Epochs 0 and 2 show one view in another order; labels go with their pictures.
    view = views.pictures(0)
    for lesson, pictures in (*lessons[:3], *lessons[6:]):
        places = [int((view - picture).flatten(1).abs().sum(1).argmin()) for picture in pictures]
        assert torch.equal(view[places], pictures)
        assert torch.equal(torch.from_numpy(train.labels)[places], lesson.labels)
    assert not torch.equal(lessons[0][1], lessons[6][1])


def test_its_settings_are_all_that_decides_a_run(trained: SmallNet, train: Examples) -> None:
    views = Views(train.inputs, Augmentation(), 2, 7)
    scores = TeacherScores(frozen_teacher(trained), None)
    settings = DistillationObjective(small_net(), scores, views, Response(3, 0.5)).settings()
    assert settings == {
        "views": 2,
        "views_seed": 7,
        "method": "Response(temperature=3, alpha=0.5)",
        "teacher": scores.digest,
    }
    assert F.softmax(torch.from_numpy(scores.of_view(views, 1)), 1).shape == (48, 3)
