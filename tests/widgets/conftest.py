"""An explorer over a network and images of its own, small enough for milliseconds."""

import numpy as np
import pytest
import torch
from torch import nn

from course_lib.data import Dataset
from course_lib.reproducibility import seeded_torch
from course_lib.widgets import CompressionExplorer


@pytest.fixture(scope="session")
def own_model() -> nn.Module:
    with seeded_torch(0):
        return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3)).eval()


@pytest.fixture(scope="session")
def own_data(own_model: nn.Module) -> Dataset:
    images = np.random.default_rng(0).integers(0, 256, (400, 1, 8, 8), dtype=np.uint8)
    blank = Dataset("own", images, np.zeros(400, np.int64), ("a", "b", "c"), 0.5, 0.3)
    with torch.inference_mode():
        labels = own_model(torch.from_numpy(blank.inputs())).argmax(1).numpy()
    return Dataset("own", images, labels, ("a", "b", "c"), 0.5, 0.3)


@pytest.fixture
def explorer(own_model: nn.Module, own_data: Dataset) -> CompressionExplorer:
    widget = CompressionExplorer(own_model, own_data)
    assert widget.wait(60)
    return widget
