"""Seeded weights, and a small network with pictures that it can learn in a moment."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from torch import nn

from course_lib.reproducibility import seeded_torch
from course_lib.training import Examples


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    """Draw the same weights at every call."""
    with seeded_torch(0):
        yield


@pytest.fixture
def make_net() -> Callable[[], nn.Sequential]:
    """Return a function that builds the same network at every call, with a convolution and a batch norm."""

    def build() -> nn.Sequential:
        with seeded_torch(7):
            return nn.Sequential(
                nn.Conv2d(1, 4, 3, padding=1, bias=False),
                nn.BatchNorm2d(4),
                nn.ReLU(),
                nn.Flatten(),
                nn.Linear(4 * 64, 2),
            )

    return build


@pytest.fixture
def examples() -> Examples:
    """Return 50 noisy pictures, 8×8, of which class 1 is bright below."""
    random = np.random.default_rng(0)
    labels = np.arange(50) % 2
    inputs = random.normal(size=(50, 1, 8, 8)).astype(np.float32)
    inputs[:, :, 4:] += labels[:, None, None, None]
    return Examples(inputs, labels)
