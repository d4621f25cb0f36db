"""How each network of the zoo is trained. Chosen on the 5,000 validation images; the test set had no say."""

from dataclasses import dataclass

from course_lib.training import Augmentation, TrainingConfig


@dataclass(frozen=True)
class Recipe:
    """A training configuration and, for a distilled network, its teacher."""

    config: TrainingConfig
    teacher: str | None = None
    temperature: float = 4.0
    alpha: float = 0.9


RECIPES: dict[str, Recipe] = {
    "residual": Recipe(
        TrainingConfig(
            epochs=100, learning_rate=0.1, averaging=0.999, augmentation=Augmentation(erase=0.5), seed=1
        )
    ),
    "depthwise": Recipe(
        TrainingConfig(epochs=100, learning_rate=0.1, weight_decay=1e-4, averaging=0.999, seed=1),
        teacher="residual",
    ),
    "plain_conv": Recipe(
        TrainingConfig(epochs=60, learning_rate=0.1, weight_decay=5e-4, averaging=0.999, seed=1)
    ),
    "tiny": Recipe(
        TrainingConfig(epochs=100, learning_rate=0.1, weight_decay=1e-4, averaging=0.999, seed=1),
        teacher="residual",
    ),
    "vision_transformer": Recipe(
        TrainingConfig(
            epochs=100, optimizer="adamw", learning_rate=1e-3, weight_decay=0.05, averaging=0.999, seed=1
        )
    ),
}
"""In training order: a teacher comes before its students."""
