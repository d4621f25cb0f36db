"""Networks of a few channels, and pictures that they can learn in a moment."""

import numpy as np
import torch
from torch import Tensor, nn

from course_lib.pruning.structure.group import Group, Slices
from course_lib.reproducibility import seeded_torch
from course_lib.training import Examples


class Chain(nn.Module):
    """Convolution with a batch norm, a second convolution, and a classifier of 4×4 pixels."""

    def __init__(self, channels: int = 6, classes: int = 2) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.second = nn.Conv2d(channels, 4, 3, padding=1)
        self.pool = nn.AvgPool2d(2)
        self.head = nn.Linear(4 * 16, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.first(x)).relu()
        return self.head(self.pool(self.second(x).relu()).flatten(1))


class Residual(nn.Module):
    """Two convolutions whose outputs are added, so that their channels are tied."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 5, 3, padding=1)
        self.inner = nn.Conv2d(5, 3, 1)
        self.outer = nn.Conv2d(3, 5, 1)
        self.head = nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).relu()
        x = (x + self.outer(self.inner(x).relu())).relu()
        return self.head(x.mean((2, 3)))


def chain(channels: int = 6) -> Chain:
    """Return the same network at every call."""
    with seeded_torch(7):
        net = Chain(channels)
        nn.init.uniform_(net.norm.weight, 0.2, 1.5)
        nn.init.uniform_(net.norm.bias, -0.2, 0.5)
    return net.eval()


def residual() -> Residual:
    """Return the same network at every call."""
    with seeded_torch(8):
        return Residual().eval()


def pictures(count: int = 50, seed: int = 0) -> Examples:
    """Return noisy pictures, (count, 1, 8, 8), of which class 1 is bright below."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    inputs = random.normal(size=(count, 1, 8, 8)).astype(np.float32)
    inputs[:, :, 4:] += labels[:, None, None, None]
    return Examples(inputs, labels)


def batches(examples: Examples, size: int = 10) -> list[tuple[Tensor, Tensor]]:
    """Return the examples as labelled batches."""
    inputs, labels = map(torch.from_numpy, examples)
    return list(zip(inputs.split(size), labels.split(size), strict=True))


def chain_groups(channels: int = 6) -> tuple[Group, Group]:
    """Return the groups of `chain`, written down by hand."""
    one = tuple((channel,) for channel in range(channels))
    four = tuple((channel,) for channel in range(4))
    pixels = tuple(tuple(range(16 * channel, 16 * channel + 16)) for channel in range(4))
    return (
        Group((Slices("first", "out", one), Slices("norm", "pass", one), Slices("second", "in", one))),
        Group((Slices("second", "out", four), Slices("head", "in", pixels))),
    )
