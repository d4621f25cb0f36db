"""Training of a PyTorch model, resumable and reproducible from its configuration."""

from course_lib.training.augment import Augmentation, augment
from course_lib.training.config import TrainingConfig
from course_lib.training.evaluate import Examples, accuracy, predict
from course_lib.training.fit import EpochRecord, TrainingRun, fit
from course_lib.training.objective import Batch, Objective

__all__ = [
    "Augmentation",
    "Batch",
    "EpochRecord",
    "Examples",
    "Objective",
    "TrainingConfig",
    "TrainingRun",
    "accuracy",
    "augment",
    "fit",
    "predict",
]
