"""How each network of the zoo is trained. Chosen on the 5,000 validation images; the test set had no say."""

from dataclasses import dataclass

from course_lib.training import Augmentation, TrainingConfig


@dataclass(frozen=True)
class TaughtConfig(TrainingConfig):
    """Training with another network of the zoo as the teacher, by Hinton's response loss.

    Parameters
    ----------
    teacher
        Its name in the zoo, where it must be shipped already.
    temperature, alpha
        Of the loss; see `course_lib.distillation.response`.
    views
        Fixed augmented copies of the images, shown in turn; the teacher scores each once.
    """

    teacher: str = "residual"
    temperature: float = 4.0
    alpha: float = 0.7
    views: int = 20


FAMILY = TrainingConfig(epochs=15, weight_decay=1e-4, averaging=0.999, seed=1)
"""The budget that the families of efficient networks share, so that their accuracies can be compared."""

RECIPES: dict[str, TrainingConfig] = {
    "depthwise": TrainingConfig(epochs=40, weight_decay=1e-4, averaging=0.999, seed=1),
    "residual": TrainingConfig(
        epochs=75, weight_decay=5e-4, averaging=0.999, augmentation=Augmentation(erase=0.3), seed=1
    ),
    "plain_conv": TrainingConfig(epochs=24, weight_decay=5e-4, averaging=0.999, seed=1),
    "tiny": TrainingConfig(epochs=24, weight_decay=5e-5, averaging=0.999, seed=1),
    "compact": TaughtConfig(epochs=60, weight_decay=1e-4, averaging=0.999, seed=1),
    "vision_transformer": TrainingConfig(
        epochs=18,
        optimizer="adamw",
        learning_rate=2e-3,
        weight_decay=0.05,
        warmup_epochs=1.5,
        averaging=0.998,
        augmentation=Augmentation(max_shift=1),
        seed=1,
    ),
    "efficientnet": FAMILY,
    "ghostnet": FAMILY,
    "micronet": FAMILY,
    "mobilenet_v2": FAMILY,
    "mobilenet_v3": FAMILY,
    "shufflenet_v1": FAMILY,
    "shufflenet_v2": FAMILY,
    "squeezenet": FAMILY,
}
