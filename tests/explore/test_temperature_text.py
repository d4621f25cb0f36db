import numpy as np
import pytest

from course_lib.data import Dataset
from course_lib.distillation.guards import ONE_HOT, UNIFORM, temperature_mistake
from course_lib.explore.scored_model import ScoredModel
from course_lib.explore.temperature import (
    TEMPERATURES,
    TemperatureResult,
    TemperatureSetting,
    study_temperature,
)
from course_lib.explore.temperature_text import HIGH_SHARE, LOW_SHARE, explain, warn
from tests.explore.soft_pair import pair

NAMES = ("Sneaker", "Sandal", "Bag", "Coat")
SURE, TORN, WRONG = [12.0, 6.0, 0.0, -2.0], [2.0, 1.0, -4.0, -4.0], [0.0, 9.0, -3.0, -3.0]


def answer(scores: list[float], temperature: float) -> TemperatureResult:
    data = Dataset("one", np.zeros((1, 1, 2, 2), np.uint8), np.zeros(1, np.int64), NAMES, 0.0, 1.0)
    model = ScoredModel("net", np.array([scores]), data)
    return study_temperature(model, model, TemperatureSetting(temperature))


@pytest.mark.parametrize(
    ("scores", "temperature", "sentence"),
    [
        (
            SURE,
            1,
            "At T = 1 the teacher puts 99.8% on Sneaker: the student learns little more than the label.",
        ),
        (
            SURE,
            4,
            "At T = 4 the teacher puts 76.7% on Sneaker and 17.1% on Sandal: the student also learns which "
            "classes look alike.",
        ),
        (
            TORN,
            20,
            "At T = 20 the teacher puts 29.1% on Sneaker and still 21.6% on Coat, its least likely class: an "
            "almost even spread.",
        ),
        (
            WRONG,
            1,
            "At T = 1 the teacher puts > 99.9% on Sandal, but the label says Sneaker (< 0.1%): the student "
            "is taught this mistake, and only the hard label speaks against it.",
        ),
    ],
)
def test_one_sentence_says_what_the_temperature_does(
    scores: list[float], temperature: float, sentence: str
) -> None:
    assert explain(answer(scores, temperature)) == sentence


@pytest.mark.parametrize(
    ("scores", "temperature", "start"),
    [
        (TORN, 0.9, "T below 1 sharpens the teacher's answers instead of softening them (0.8"),
        (SURE, 1, "T is low for this teacher: its soft targets are nearly labels (0.03 of at most 2.00 bits"),
        (SURE, 4, ""),
        (TORN, 20, "T is high for this teacher: its soft targets are nearly even (1.99 of at most 2.00 bits"),
    ],
)
def test_extremes_are_named(scores: list[float], temperature: float, start: str) -> None:
    found = warn(answer(scores, temperature))
    assert found.startswith(start)
    assert bool(found) == bool(start)


@pytest.mark.parametrize("temperature", [0.01, *TEMPERATURES[::8], 200.0])
def test_where_the_trainer_warns_the_explorer_does_too(temperature: float) -> None:
    assert LOW_SHARE > ONE_HOT
    assert HIGH_SHARE < UNIFORM
    teacher, student = pair()
    if temperature_mistake(teacher.scores.astype(np.float32), temperature):
        assert warn(study_temperature(teacher, student, TemperatureSetting(temperature)))
    elif 2 <= temperature <= 5:
        assert not warn(study_temperature(teacher, student, TemperatureSetting(temperature)))
