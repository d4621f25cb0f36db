"""The engine behind the temperature explorer: two models' scores and a temperature in, soft targets out.

Both models have run once (`scored_model`), so that a move of the slider is two softmaxes over all images: a
few milliseconds, and exact, with nothing left to estimate.

Worked example: a teacher whose scores for every image are (ln 9, 0) has soft targets of 0.811 bits at T = 2
(`soft_targets`), and a student with the scores (0, 0) has 1 bit. KL(teacher ‖ student) is the difference,
0.189 bits = 0.131 nats, and the soft loss is 2² times that, 0.523.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from course_lib.benchmarking.checks import require_count
from course_lib.distillation.ranges import require_temperature
from course_lib.errors import SettingError
from course_lib.explore.scored_model import ScoredModel
from course_lib.explore.soft_targets import divergence_nats, entropy_bits, log_soft_targets

_R40 = (
    *(1.00, 1.06, 1.12, 1.18, 1.25, 1.32, 1.40, 1.50, 1.60, 1.70, 1.80, 1.90, 2.00, 2.12, 2.24, 2.36, 2.50),
    *(2.65, 2.80, 3.00, 3.15, 3.35, 3.55, 3.75, 4.00, 4.25, 4.50, 4.75, 5.00, 5.30, 5.60, 6.00, 6.30, 6.70),
    *(7.10, 7.50, 8.00, 8.50, 9.00, 9.50),
)
TEMPERATURES = tuple(
    round(scale * number, 3)
    for scale in (0.1, 1.0, 10.0)
    for number in _R40
    if 0.5 <= round(scale * number, 3) <= 20
)
"""Stops of the slider, 0.5 to 20: the preferred numbers R40 of ISO 3, evenly spaced on a logarithmic scale
but for their rounding."""


@dataclass(frozen=True)
class TemperatureSetting:
    """A temperature, and the image whose soft targets are shown.

    Parameters
    ----------
    temperature
        What the scores are divided by, 0.01 to 1,000; 3 to 10 is usual.
    image
        Its position in the data set.

    Raises
    ------
    SettingError
        If the temperature is out of range, or the image no position.
    """

    temperature: float = 4.0
    image: int = 0

    def __post_init__(self) -> None:
        require_temperature(self.temperature)
        require_count("image", self.image, 0)


@dataclass(frozen=True)
class SoftAnswer:
    """What one model says at a temperature.

    Parameters
    ----------
    name
        The model.
    targets
        Its soft targets for the shown image, one a class.
    entropy_bits
        Their entropy.
    mean_entropy_bits
        Mean entropy of the soft targets over all images.
    mean_true
        Mean probability of the true class over all images.
    accuracy
        Share of the images whose largest target is at the label; the same at every temperature.
    curve
        (T, mean entropy in bits) at every stop of the slider.
    """

    name: str
    targets: tuple[float, ...]
    entropy_bits: float
    mean_entropy_bits: float
    mean_true: float
    accuracy: float
    curve: tuple[tuple[float, float], ...]

    @property
    def order(self) -> tuple[int, ...]:
        """The classes from the most to the least likely for the shown image."""
        return tuple(sorted(range(len(self.targets)), key=lambda label: -self.targets[label]))


@dataclass(frozen=True)
class TemperatureResult:
    """Teacher and student at one temperature: text, chart and table all read this object.

    Parameters
    ----------
    label
        The true class of the shown image.
    class_names
        One name a class.
    images
        How many images the means are over: all of the data set.
    divergence_nats
        Mean KL(teacher ‖ student) over all images.
    agreement
        Share of the images for which both have the same largest class; the same at every temperature.
    """

    setting: TemperatureSetting
    label: int
    class_names: tuple[str, ...]
    images: int
    teacher: SoftAnswer
    student: SoftAnswer
    divergence_nats: float
    agreement: float

    @property
    def soft_loss(self) -> float:
        """The soft part of the distillation loss, KL · T² in nats (Hinton et al. 2015, section 2)."""
        return self.divergence_nats * self.setting.temperature**2

    @property
    def most_bits(self) -> float:
        """Entropy of an even spread, log₂ C."""
        return float(np.log2(len(self.class_names)))


def study_temperature(
    teacher: ScoredModel, student: ScoredModel, setting: TemperatureSetting
) -> TemperatureResult:
    """Return the soft targets of both models, and how far they are apart, over all images.

    Raises
    ------
    SettingError
        If the models were scored on different data sets, or the image is not in it.

    Examples
    --------
    >>> images = load_dataset("fashion-mnist")  # doctest: +SKIP
    >>> teacher, student = (score_model(name, images) for name in ("residual", "tiny"))  # doctest: +SKIP
    >>> study_temperature(teacher, student, TemperatureSetting(4)).soft_loss  # doctest: +SKIP
    """
    dataset, image = teacher.dataset, setting.image
    if student.dataset is not dataset:
        raise SettingError(
            f"The scores of {teacher.name} and {student.name} belong to different data sets; call "
            "score_model with the same data set for both."
        )
    if not 0 <= image < len(dataset):
        raise SettingError(
            f"image is {image}; expected a position in {dataset.name}, 0 to {len(dataset) - 1:,}."
        )
    logs = [log_soft_targets(model.scores, setting.temperature) for model in (teacher, student)]
    answers = [
        SoftAnswer(
            name=model.name,
            targets=tuple(np.exp(log[image]).tolist()),
            entropy_bits=float(entropy_bits(log[image : image + 1])[0]),
            mean_entropy_bits=float(entropy_bits(log).mean()),
            mean_true=float(np.exp(log[np.arange(len(dataset)), dataset.labels]).mean()),
            accuracy=model.accuracy,
            curve=_entropy_curve(model),
        )
        for model, log in zip((teacher, student), logs, strict=True)
    ]
    return TemperatureResult(
        setting=setting,
        label=int(dataset.labels[image]),
        class_names=dataset.class_names,
        images=len(dataset),
        teacher=answers[0],
        student=answers[1],
        divergence_nats=max(0.0, float(divergence_nats(*logs).mean())),
        agreement=float((teacher.predicted == student.predicted).mean()),
    )


@lru_cache(maxsize=16)
def _entropy_curve(model: ScoredModel) -> tuple[tuple[float, float], ...]:
    """Return (T, mean entropy in bits) at every stop; remembered, as it takes as long as 60 moves."""
    return tuple(
        (temperature, float(entropy_bits(log_soft_targets(model.scores, temperature)).mean()))
        for temperature in TEMPERATURES
    )
