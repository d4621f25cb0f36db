from course_lib.distillation.labels_only import LabelsOnly
from course_lib.distillation.response import Response
from course_lib.training import TrainingConfig


def test_a_method_needs_nothing_that_it_does_not_say() -> None:
    assert Response().layer_pairs == ()
    assert Response().make_adapters([], []) is None
    assert Response().asks_teacher(0)
    assert Response().reads_scores
    assert Response().settings_mistake(TrainingConfig()) is None
    assert LabelsOnly().soft_temperature is None
