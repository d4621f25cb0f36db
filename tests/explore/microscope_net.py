"""A small network with everything that ties channels: an addition, a depthwise filter, a batch norm."""

from functools import cache

import numpy as np
import torch
from torch import nn

from course_lib.data import Dataset
from course_lib.explore.microscope import MicroscopeEngine
from course_lib.reproducibility import seeded_torch

STEM, HEAD = "stem", "head"
"""The groups: 8 channels of stem and block, which are added, and 6 of the head."""


class TiedNet(nn.Module):
    """(N, 1, 8, 8) → (N, 3)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 3, padding=1)
        self.block = nn.Conv2d(8, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.depthwise = nn.Conv2d(8, 8, 3, groups=8)
        self.head = nn.Conv2d(8, 6, 1)
        self.classifier = nn.Linear(6 * 36, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.stem(x))
        x = x + self.norm(self.block(x))
        return self.classifier(torch.relu(self.head(self.depthwise(x))).flatten(1))


@cache
def tied_net() -> TiedNet:
    with seeded_torch(2):
        return TiedNet().eval()


@cache
def tied_data() -> Dataset:
    """Return 300 random pictures, labelled by the network itself but for every fifth."""
    images = np.random.default_rng(4).integers(0, 256, (300, 1, 8, 8), dtype=np.uint8)
    blank = Dataset("noise", images, np.zeros(300, np.int64), ("a", "b", "c"), 0.5, 0.3)
    with torch.inference_mode():
        labels = tied_net()(torch.from_numpy(blank.inputs())).argmax(1).numpy()
    labels[::5] = (labels[::5] + 1) % 3
    return Dataset("noise", images, labels, ("a", "b", "c"), 0.5, 0.3)


@cache
def tied_engine() -> MicroscopeEngine:
    return MicroscopeEngine(tied_net(), tied_data(), first_images=100)
