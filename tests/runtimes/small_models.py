"""Small modules for the compilers that start from PyTorch, and how a test describes them."""

import numpy as np
import torch
from torch import nn

from course_lib.runtimes.compilation import ModelToCompile
from course_lib.runtimes.protocol import Array


def hand_worked() -> nn.Module:
    """input @ [[1, 3], [2, 4], [0, 0]]: [1, 1, 5] gives [3, 7]."""
    layer = nn.Linear(3, 2, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, 2.0, 0.0], [3.0, 4.0, 0.0]]))
    return layer.eval()


def convolutions() -> nn.Module:
    """Convolution, depthwise convolution, pooling and a linear layer, for (1, 8, 8)."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 16, 3, stride=2, padding=1, groups=16),
        nn.Hardswish(),
        nn.Conv2d(16, 64, 1),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(256, 10),
    ).eval()


class Singular(nn.Module):
    """Uses an operator that no compiler for small devices has."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return torch.linalg.svdvals(inputs)


class Deciding(nn.Module):
    """Decides by the values in a tensor."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs + 1 if inputs.sum() > 0 else inputs - 1


def images(count: int, seed: int = 0) -> Array:
    """(count, 1, 8, 8), normal."""
    return np.random.default_rng(seed).normal(size=(count, 1, 8, 8)).astype(np.float32)


def to_compile(
    module: nn.Module | None, example_inputs: Array, calibration: Array | None = None
) -> ModelToCompile:
    """Describe a model that has no ONNX form."""

    def no_onnx(precision: str, rules: str) -> bytes:
        raise AssertionError("these compilers take the module")

    return ModelToCompile("the model", example_inputs, no_onnx, module, calibration)


def scores(module: nn.Module, batch: Array) -> Array:
    """Return what PyTorch computes."""
    with torch.inference_mode():
        return module(torch.from_numpy(batch)).numpy()
