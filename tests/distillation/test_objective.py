import copy

import torch

from course_lib.distillation.digests import array_digest
from course_lib.distillation.features import Hints
from course_lib.distillation.guards import frozen_teacher
from course_lib.distillation.method import Lesson, Losses
from course_lib.distillation.objective import DistillationObjective
from course_lib.distillation.response import Response
from course_lib.distillation.teacher_cache import TeacherScores
from course_lib.distillation.views import Views
from course_lib.training import Augmentation, Batch, Examples, fit
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
    scores = TeacherScores(frozen_teacher(trained), None)
    objective = DistillationObjective(student, scores, views, Watched(), train.labels, train)
    fit(student, train, train, small_config(epochs=3).training, loss_function=objective)
    assert [lesson.epoch for lesson, _ in lessons] == [0] * 3 + [1] * 3 + [2] * 3
    for lesson, pictures in lessons:
        torch.testing.assert_close(lesson.teacher_scores, trained(pictures))
    # Epochs 0 and 2 show one view in another order; labels go with their pictures.
    view = views.pictures(0)
    for lesson, pictures in (*lessons[:3], *lessons[6:]):
        places = [int((view - picture).flatten(1).abs().sum(1).argmin()) for picture in pictures]
        assert torch.equal(view[places], pictures)
        assert torch.equal(torch.from_numpy(train.labels)[places], lesson.labels)
    assert not torch.equal(lessons[0][1], lessons[6][1])


def test_a_lesson_holds_the_features_of_both_and_gradients_of_the_student_alone(
    trained: SmallNet, train: Examples
) -> None:
    teacher = copy.deepcopy(trained).requires_grad_(True)
    student, views = small_net(), Views(train.inputs, Augmentation(), 1, 0)
    lessons: list[Lesson] = []

    class Watched(Hints):
        """Keeps what it is shown."""

        def losses(self, lesson: Lesson) -> Losses:
            lessons.append(lesson)
            return super().losses(lesson)

    method = Watched((("stem", "body"),))
    objective = DistillationObjective(
        student, TeacherScores(teacher, None), views, method, train.labels, train
    )
    pictures = views.pictures(0)[:5]
    objective.losses(student.eval(), Batch(0, torch.arange(5), torch.from_numpy(train.labels[:5]), pictures))
    (own,), (teachers,) = lessons[0].student_features, lessons[0].teacher_features
    assert torch.equal(own, student.stem(pictures))
    assert torch.equal(teachers, teacher.body(teacher.relu(teacher.stem(pictures))))
    assert own.requires_grad
    assert not teachers.requires_grad


def test_its_settings_are_all_that_decides_a_run(trained: SmallNet, train: Examples) -> None:
    views = Views(train.inputs, Augmentation(), 2, 7)
    scores = TeacherScores(frozen_teacher(trained), None)
    validation = Examples(train.inputs[:9], train.labels[:9])
    objective = DistillationObjective(small_net(), scores, views, Response(3, 0.5), train.labels, validation)
    assert objective.settings() == {
        "views": 2,
        "views_seed": 7,
        "pictures": array_digest(train.inputs),
        "labels": array_digest(train.labels),
        "validation": (array_digest(train.inputs[:9]), array_digest(train.labels[:9])),
        "method": "Response(temperature=3, alpha=0.5)",
        "teacher": scores.digest,
    }
