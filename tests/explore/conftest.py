"""A small trained-enough model and few images, so that engines answer in milliseconds."""

import numpy as np
import pytest
import torch
from torch import nn

from course_lib.data import Dataset
from course_lib.explore import CompressionEngine, SensitivityEngine
from course_lib.reproducibility import seeded_torch

CLASSES = ("left", "right", "flat")


class SmallNet(nn.Module):
    """One convolution, a norm, one linear layer: (N, 1, 8, 8) → (N, 3)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 6, 3)
        self.norm = nn.BatchNorm2d(6)
        self.classifier = nn.Linear(6 * 36, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(torch.relu(self.norm(self.conv(x))).flatten(1))


@pytest.fixture(scope="session")
def small_net() -> nn.Module:
    with seeded_torch(3):
        return SmallNet().eval()


@pytest.fixture(scope="session")
def small_data(small_net: nn.Module) -> Dataset:
    """600 random pictures, labelled by the model itself but for every seventh: a baseline of about 86 %."""
    generator = np.random.default_rng(5)
    images = generator.integers(0, 256, (600, 1, 8, 8), dtype=np.uint8)
    unlabelled = Dataset("noise", images, np.zeros(600, np.int64), CLASSES, 0.5, 0.3)
    with torch.inference_mode():
        labels = small_net(torch.from_numpy(unlabelled.inputs())).argmax(1).numpy()
    labels[::7] = (labels[::7] + 1) % 3
    return Dataset("noise", images, labels, CLASSES, 0.5, 0.3)


@pytest.fixture(scope="session")
def engine(small_net: nn.Module, small_data: Dataset) -> CompressionEngine:
    return CompressionEngine(small_net, small_data, first_images=120)


@pytest.fixture(scope="session")
def sensitivity_engine(small_net: nn.Module, small_data: Dataset) -> SensitivityEngine:
    return SensitivityEngine(small_net, small_data, first_images=120)
