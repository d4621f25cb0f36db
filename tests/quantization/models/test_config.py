from collections.abc import Callable

import pytest

from course_lib.errors import CourseError
from course_lib.quantization.models.config import ActivationScheme, QuantizationConfig, WeightScheme


def test_defaults_are_eight_bits_with_a_scale_per_channel() -> None:
    config = QuantizationConfig()
    assert (config.weights.bits, config.weights.symmetric, config.weights.rounding) == (8, True, "nearest")
    assert config.activations == ActivationScheme(8, False, "mse")


@pytest.mark.parametrize(
    ("config", "needs"),
    [
        (QuantizationConfig(), False),
        (QuantizationConfig(correct_bias=True), True),
        (QuantizationConfig(WeightScheme(rounding="gptq")), True),
    ],
)
def test_whether_inputs_are_needed(config: QuantizationConfig, needs: bool) -> None:
    assert config.needs_inputs == needs


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: WeightScheme(1), r"^bits is 1, but quantization takes a whole number from 2 to 16"),
        (lambda: ActivationScheme(17), r"^bits is 17, but quantization takes"),
        (lambda: QuantizationConfig(layer_bits={"conv": 0}), r"^bits is 0, but"),
        (
            lambda: WeightScheme(rounding="adaroud"),  # type: ignore[arg-type]
            r"^There is no rounding called 'adaroud'; .* Did you mean 'adaround'\?$",
        ),
        (
            lambda: WeightScheme(range="max"),  # type: ignore[arg-type]
            r"^There is no range of weights called 'max'; the known ones are minmax, mse\.",
        ),
        (lambda: ActivationScheme(observer="mean"), r"^There is no observer called 'mean'"),
        (
            lambda: ActivationScheme(observer="minmax", by_gradient=True),
            r"^The observer 'minmax' weighs no errors, so by_gradient has no meaning for it",
        ),
        (lambda: QuantizationConfig(samples=0), r"^samples is 0; keep at least 1 calibration input"),
    ],
)
def test_settings_that_do_not_exist(make: Callable[[], object], sentence: str) -> None:
    with pytest.raises(CourseError, match=sentence):
        make()
