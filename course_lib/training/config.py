"""Everything that decides a training run, in one frozen record."""

from dataclasses import dataclass, field
from typing import Literal, get_args

from course_lib.errors import SettingError, UnknownNameError
from course_lib.training.augment import Augmentation

Optimizer = Literal["sgd", "adamw"]


@dataclass(frozen=True)
class TrainingConfig:
    """Settings of one training run.

    Parameters
    ----------
    epochs, batch_size
        Passes over the training images, and images a step.
    optimizer
        ``"sgd"`` with Nesterov momentum 0.9, or ``"adamw"`` (Loshchilov and Hutter, 2019).
    learning_rate
        The highest one; it rises linearly for ``warmup_epochs`` and then falls to zero along half a cosine.
    weight_decay
        Applied to weights of two or more dimensions; biases and norms are left alone.
    averaging
        Decay of the moving average of the weights that the run returns (0 keeps the last weights).
    seed
        Decides the initial weights, the order of the images, their augmentation, and what dropout leaves out.

    Raises
    ------
    SettingError
        If a number is out of its range.
    UnknownNameError
        If the optimizer is neither of the two.
    """

    epochs: int = 20
    batch_size: int = 128
    optimizer: Optimizer = "sgd"
    learning_rate: float = 0.1
    weight_decay: float = 5e-4
    warmup_epochs: float = 1.0
    averaging: float = 0.0
    augmentation: Augmentation = field(default_factory=Augmentation)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 1:
            raise SettingError(
                f"A run of {self.epochs} epochs with batches of {self.batch_size} trains nothing; "
                "both must be at least 1."
            )
        if self.optimizer not in get_args(Optimizer):
            raise UnknownNameError("optimizer", self.optimizer, get_args(Optimizer))
        if not self.learning_rate > 0 or not 0 <= self.averaging < 1:
            raise SettingError(
                f"learning_rate is {self.learning_rate} and averaging {self.averaging}; "
                "expected learning_rate above 0 and averaging in [0, 1)."
            )
        if not (self.weight_decay >= 0 and self.warmup_epochs >= 0):
            raise SettingError(
                f"weight_decay is {self.weight_decay} and warmup_epochs {self.warmup_epochs}; "
                "neither may be below 0."
            )
