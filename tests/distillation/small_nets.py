"""Networks and pictures so small that a distillation takes a moment."""

import numpy as np
import torch
from torch import Tensor, nn

from course_lib.distillation.config import DistillationConfig
from course_lib.reproducibility import seeded_torch
from course_lib.training import Augmentation, Examples, TrainingConfig, fit

CLASSES = 3


class SmallNet(nn.Module):
    """Maps of 8 × 8 and of 4 × 4, then one score a class."""

    def __init__(self, channels: int, classes: int = CLASSES) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels))
        self.body = nn.Conv2d(channels, 2 * channels, 3, 2, 1)
        self.relu = nn.ReLU()
        self.head = nn.Linear(2 * channels * 16, classes)

    def forward(self, x: Tensor) -> Tensor:
        maps = self.relu(self.body(self.relu(self.stem(x))))
        return self.head(maps.flatten(1))


def small_net(seed: int = 0, channels: int = 2, classes: int = CLASSES) -> SmallNet:
    """Return a student with first weights of this seed."""
    with seeded_torch(seed):
        return SmallNet(channels, classes)


def small_examples(count: int = 48, seed: int = 0) -> Examples:
    """Return noisy pictures, 8 × 8, whose bright rows tell the class."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % CLASSES
    inputs = random.normal(scale=0.7, size=(count, 1, 8, 8)).astype(np.float32)
    for label in range(CLASSES):
        inputs[labels == label, :, 2 * label : 2 * label + 2] += 1
    return Examples(inputs, labels)


def small_config(epochs: int = 2, seed: int = 0, views: int = 2, **training: object) -> DistillationConfig:
    """Return a run of a few steps."""
    settings = {
        "batch_size": 16,
        "learning_rate": 0.05,
        "augmentation": Augmentation(max_shift=1),
        **training,
    }
    return DistillationConfig(TrainingConfig(epochs=epochs, seed=seed, **settings), views=views)


def trained_teacher() -> SmallNet:
    """Return a wider network that knows most of the pictures."""
    train = small_examples()
    fit(teacher := small_net(9, channels=4), train, train, small_config(epochs=6).training)
    return teacher.eval().to(memory_format=torch.contiguous_format)


def same_weights(first: nn.Module, second: nn.Module) -> bool:
    """Return whether all tensors are equal to the last bit."""
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(one, other) for one, other in pairs)
