"""Scores and accuracy of a PyTorch model over many images."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from course_lib.errors import ModelError

BATCH_SIZE = 500
"""Fixed, so that the same model gives the same scores to the last bit."""


class Examples(NamedTuple):
    """Model inputs, float32 (N, C, H, W), and their labels, int64 (N,)."""

    inputs: NDArray[np.float32]
    labels: NDArray[np.int64]


def predict(model: nn.Module, inputs: NDArray[np.float32], device: str = "cpu") -> NDArray[np.float32]:
    """Return the model's scores in evaluation mode, float32 of shape (N, number of classes).

    The model is left as it was.

    Raises
    ------
    ModelError
        If the model does not give one row of scores an image.
    """
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.inference_mode():
            batches = torch.split(torch.from_numpy(inputs), BATCH_SIZE)
            return np.concatenate([_scores(model(batch.to(device)), len(batch)) for batch in batches])
    finally:
        for module, was_training in modes:
            module.training = was_training


def _scores(output: object, count: int) -> NDArray[np.float32]:
    expected = f"expected one score a class, a tensor of shape ({count}, number of classes)."
    if not isinstance(output, torch.Tensor):
        raise ModelError(f"The model's output for {count} images is a {type(output).__name__}; {expected}")
    if output.ndim != 2 or len(output) != count:
        raise ModelError(f"The model's output for {count} images has shape {tuple(output.shape)}; {expected}")
    return output.float().cpu().numpy()


def accuracy(model: nn.Module, examples: Examples, device: str = "cpu") -> float:
    """Return the fraction of examples whose highest score is at their label, in [0, 1]."""
    predicted = predict(model, examples.inputs, device).argmax(1)
    return float((predicted == examples.labels).mean())
