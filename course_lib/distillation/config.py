"""Everything that decides a distillation but the networks and the method, in one frozen record."""

from dataclasses import dataclass, field

from course_lib.errors import SettingError
from course_lib.training.config import TrainingConfig


@dataclass(frozen=True)
class DistillationConfig:
    """Settings of one distillation.

    Parameters
    ----------
    training
        Epochs, optimizer and seed. Its seed decides the order of the pictures and the first weights of
        adapters; its augmentation makes the views.
    views
        Number of fixed augmented copies of the training set, shown in turn (see `views.Views`). As many as
        epochs is like fresh augmentation; fewer save the teacher work, and views are shared by all runs.
    views_seed
        Decides the views, apart from the seed of the run: runs of other seeds then share teacher scores.

    Raises
    ------
    SettingError
        If there is no view or the seed is below 0.
    """

    training: TrainingConfig = field(default_factory=TrainingConfig)
    views: int = 8
    views_seed: int = 0

    def __post_init__(self) -> None:
        if self.views < 1 or self.views_seed < 0:
            raise SettingError(
                f"views is {self.views} and views_seed {self.views_seed}; "
                "expected at least 1 view and a seed of at least 0."
            )
