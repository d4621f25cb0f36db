import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from course_lib.data import Dataset
from course_lib.errors import SettingError
from course_lib.explore.scored_model import ScoredModel
from course_lib.explore.temperature import TEMPERATURES, TemperatureSetting, study_temperature
from course_lib.explore.temperature_text import percent
from tests.explore.soft_pair import images, pair, two_classes


def test_the_worked_example() -> None:
    result = study_temperature(*two_classes([math.log(9), 0.0], [0.0, 0.0]), TemperatureSetting(2.0))
    assert result.teacher.mean_entropy_bits == pytest.approx(0.811, abs=5e-4)
    assert result.student.mean_entropy_bits == pytest.approx(1.0)
    assert result.divergence_nats == pytest.approx((1 - 0.811278) * math.log(2), abs=1e-6)
    assert result.soft_loss == pytest.approx(0.523, abs=5e-4)
    assert result.teacher.targets == pytest.approx((0.75, 0.25))
    assert result.teacher.mean_true == pytest.approx(0.75)
    assert result.most_bits == 1.0


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0, 20.0])
def test_scipy_finds_the_same_figures(temperature: float) -> None:
    teacher, student = pair()
    result = study_temperature(teacher, student, TemperatureSetting(temperature, 7))
    soft = [special.softmax(model.scores / temperature, axis=1) for model in (teacher, student)]
    labels = teacher.dataset.labels
    for answer, targets in zip((result.teacher, result.student), soft, strict=True):
        np.testing.assert_allclose(answer.targets, targets[7], atol=1e-12)
        assert answer.mean_entropy_bits == pytest.approx(stats.entropy(targets, base=2, axis=1).mean())
        assert answer.mean_true == pytest.approx(targets[np.arange(len(labels)), labels].mean())
        assert answer.accuracy == (targets.argmax(1) == labels).mean()
    assert result.divergence_nats == pytest.approx(special.rel_entr(*soft).sum(1).mean())
    assert result.agreement == (soft[0].argmax(1) == soft[1].argmax(1)).mean()
    assert result.images == len(labels)


@given(st.sampled_from(TEMPERATURES))
def test_accuracy_and_agreement_are_the_same_at_every_temperature(temperature: float) -> None:
    first, now = (study_temperature(*pair(), TemperatureSetting(t)) for t in (1.0, temperature))
    assert (now.teacher.accuracy, now.agreement) == (first.teacher.accuracy, first.agreement)
    assert now.teacher.order[0] == first.teacher.order[0]


def test_the_curve_goes_through_what_is_measured_at_each_stop() -> None:
    teacher, student = pair()
    curve = study_temperature(teacher, student, TemperatureSetting()).teacher.curve
    assert [temperature for temperature, _ in curve] == list(TEMPERATURES)
    for temperature, bits in curve[::16]:
        again = study_temperature(teacher, student, TemperatureSetting(temperature))
        assert again.teacher.mean_entropy_bits == bits
    assert [bits for _, bits in curve] == sorted(bits for _, bits in curve)


def test_the_soft_loss_of_high_temperatures_is_the_distance_of_the_centred_scores() -> None:
    # Hinton et al. 2015, equation 4: for T far above the scores, T² · KL = Σ (z − v)² / (2 C).
    teacher, student = pair()
    centred = [model.scores - model.scores.mean(1, keepdims=True) for model in (teacher, student)]
    limit = ((centred[0] - centred[1]) ** 2).sum(1).mean() / (2 * centred[0].shape[1])
    assert study_temperature(teacher, student, TemperatureSetting(1000)).soft_loss == pytest.approx(
        limit, rel=0.02
    )


def test_a_model_that_is_its_own_student_has_nothing_to_learn() -> None:
    teacher, _ = pair()
    result = study_temperature(teacher, teacher, TemperatureSetting(4))
    assert (result.divergence_nats, result.agreement) == (0.0, 1.0)


def test_the_stops_are_spread_evenly_on_a_logarithmic_scale() -> None:
    assert (TEMPERATURES[0], TEMPERATURES[-1]) == (0.5, 20.0)
    assert {0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 8.0, 10.0, 20.0} <= set(TEMPERATURES)
    ratios = np.array(TEMPERATURES[1:]) / np.array(TEMPERATURES[:-1])
    assert ratios.min() > 1.04
    assert ratios.max() < 1.08


def test_what_cannot_be_studied_is_refused() -> None:
    teacher, student = pair()
    with pytest.raises(SettingError, match=r"^temperature is 0, but scores are divided by it"):
        TemperatureSetting(0)
    with pytest.raises(SettingError, match=r"^temperature is '4', but scores are divided by it"):
        TemperatureSetting("4")
    with pytest.raises(SettingError) as caught:
        TemperatureSetting(4, 1.5)
    assert str(caught.value) == (
        "image=1.5 is not possible here: pass a whole number of at least 0, for example image=1."
    )
    with pytest.raises(SettingError) as caught:
        study_temperature(teacher, student, TemperatureSetting(4, 300))
    assert str(caught.value) == "image is 300; expected a position in pair, 0 to 299."
    other: Dataset = replace(images())
    with pytest.raises(SettingError) as caught:
        study_temperature(teacher, ScoredModel("other", student.scores, other), TemperatureSetting())
    assert str(caught.value) == (
        "The scores of teacher and other belong to different data sets; call score_model with the same data "
        "set for both."
    )


@pytest.mark.parametrize(
    ("probability", "text"),
    [
        (0.0, "0.0%"),
        (0.0004, "< 0.1%"),
        (0.0005, "0.1%"),
        (0.123, "12.3%"),
        (0.9994, "99.9%"),
        (0.9996, "> 99.9%"),
        (1, "100.0%"),
    ],
)
def test_a_probability_never_rounds_to_certainty(probability: float, text: str) -> None:
    assert percent(probability) == text
