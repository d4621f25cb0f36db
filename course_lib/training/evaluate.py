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

    Raises
    ------
    ModelError
        If the model does not give one row of scores an image.
    """
    was_training = model.training
    model.eval()
    with torch.inference_mode():
        batches = torch.split(torch.from_numpy(inputs), BATCH_SIZE)
        scores = [model(batch.to(device)).float().cpu().numpy() for batch in batches]
    model.train(was_training)
    result: NDArray[np.float32] = np.concatenate(scores)
    if result.ndim != 2 or len(result) != len(inputs):
        raise ModelError(
            f"The model's output has shape {result.shape} for {len(inputs)} images; "
            f"expected one score a class, ({len(inputs)}, number of classes)."
        )
    return result


def accuracy(model: nn.Module, examples: Examples, device: str = "cpu") -> float:
    """Return the fraction of examples whose highest score is at their label, in [0, 1]."""
    predicted = predict(model, examples.inputs, device).argmax(1)
    return float((predicted == examples.labels).mean())
