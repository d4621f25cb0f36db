import pytest

from course_lib.distillation.features import Hints
from course_lib.distillation.labels_only import LabelsOnly
from course_lib.distillation.periodic import Periodic
from course_lib.distillation.response import Response
from course_lib.distillation.trainer import distill
from course_lib.errors import SettingError
from course_lib.training import Examples, TrainingConfig
from tests.distillation.small_nets import SmallNet, same_weights, small_config, small_net


def test_the_worked_example() -> None:
    assert Periodic(Response(), 6).traffic_bytes(24, 10_000, 10) == 1_600_000
    assert Periodic(Response(), 1).traffic_bytes(24, 10_000, 10) == 9_600_000


def test_the_last_epoch_of_each_period_asks_the_teacher() -> None:
    asks = [Periodic(Response(), 3).asks_teacher(epoch) for epoch in range(7)]
    assert asks == [False, False, True, False, False, True, False]


def test_every_epoch_is_the_method_itself(trained: SmallNet, train: Examples) -> None:
    runs = [
        distill(small_net(), trained, train, train, small_config(), method)
        for method in (Response(), Periodic(Response(), 1))
    ]
    assert same_weights(runs[0].model, runs[1].model)
    assert runs[0].history == runs[1].history


def test_between_updates_it_is_the_lone_student(trained: SmallNet, train: Examples) -> None:
    # One schedule for all, so that the epochs before the update can be compared.
    alone, periodic = (
        distill(small_net(), trained, train, train, small_config(epochs=3), method).history
        for method in (LabelsOnly(), Periodic(Response(), 3))
    )
    assert periodic[:2] == alone[:2]
    assert periodic[2].soft_loss > 0
    assert periodic[2] != alone[2]


def test_it_hands_on_what_its_method_needs() -> None:
    method = Periodic(Hints((("stem", "stem"),), response=Response(3)), 2)
    assert method.layer_pairs == (("stem", "stem"),)
    assert method.soft_temperature == 3
    assert method.reads_scores
    assert len(method.make_adapters([(2, 8, 8)], [(4, 8, 8)])) == 1


def test_updates_that_never_come_are_warned_of() -> None:
    assert Periodic(Response(), 5).settings_mistake(TrainingConfig(epochs=5)) is None
    assert Periodic(Response(), 5).settings_mistake(TrainingConfig(epochs=4)) == (
        "An update every 5 epochs never comes in 4 epochs, so the student learns from the labels alone; take "
        "a smaller every."
    )


def test_a_period_below_1_is_refused() -> None:
    with pytest.raises(SettingError) as caught:
        Periodic(Response(), 0)
    assert str(caught.value) == "every is 0, but it counts epochs; take 1 or more."


@pytest.mark.parametrize("response", [None, Response()])
def test_the_traffic_of_maps_is_not_passed_off_as_that_of_scores(response: Response | None) -> None:
    with pytest.raises(SettingError) as caught:
        Periodic(Hints((("stem", "stem"),), response)).traffic_bytes(24, 10_000, 10)
    assert str(caught.value) == (
        "Hints compares maps, which are not counted here and far larger than scores; ask for the traffic of "
        "a method of scores alone, such as Response()."
    )


def test_the_traffic_is_of_epochs_that_ask() -> None:
    assert Periodic(LabelsOnly(), 6).traffic_bytes(24, 10_000, 10) == 0
    assert Periodic(Periodic(Response(), 4), 6).traffic_bytes(24, 10_000, 10) == 2 * 400_000
