"""A quick look at which layers will suffer: the loss after quantization, predicted from one backward pass.

A second-order expansion says what a change Δ of one layer's weight does to the mean loss,

    L(w + Δ) − L(w) ≈ ḡ·Δ + ½ Δᵀ H Δ,

and the Fisher information stands in for the curvature H: with g_n the gradient of image n's loss, Δᵀ H Δ ≈
mean_n (g_n·Δ)². Keeping the diagonal of that matrix only gives the usual score ½ Σ_i F_ii Δ_i² with F_ii =
mean_n g_ni² (Li et al. 2021).

The gradient of each image is needed: the square of a batch's mean gradient is another thing, for in a trained
network the images' gradients nearly cancel. It is also the dearer part, and most images hardly count: where
the scores are sure and right, softmax(scores) minus the label's one-hot vector is almost zero, and so is g_n.
So the square is summed over the share of a batch's images for which that difference is largest.

The usual score drops ḡ·Δ, because ḡ is zero at a minimum. But a network is not at the minimum of the loss
over the few images that are looked at, and from about 4 bits up, where Δ is small, that linear term is the
larger one. Here it is kept, and it comes from all images.

Without ḡ·Δ the score predicts another thing, and well: how far the answers move
(`LayerSensitivity.divergence`), for the curvature of that divergence is the Fisher information of the model's
own answers.

The score says what happens to small changes. At 2 bits the change is large, and only the exact analysis
(`layer_sensitivity`) is to be trusted.

Left out: how layers act on each other, and labels drawn from the model's own scores (the true Fisher).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.benchmarking.checks import require_count
from course_lib.errors import ModelError, SettingError
from course_lib.quantization.models.branching import BranchingModel
from course_lib.quantization.models.graph import WeightLayer
from course_lib.quantization.models.layerwise import (
    WeightScheme,
    checked,
    checked_scores,
    nearest_per_channel,
    quantized_weights,
)
from course_lib.training.evaluate import Examples


@dataclass(frozen=True)
class FisherScore:
    """The predicted rise of the mean loss, in nats, when one layer's weight is quantized, in its parts.

    Parameters
    ----------
    layer, bits
        The path of the layer and the bit width of its weight.
    linear
        ḡ·Δ; of either sign.
    quadratic
        ½ mean_n (g_n·Δ)², at least 0.
    diagonal
        ½ Σ_i F_ii Δ_i², what is usually called the Fisher score; at least 0.
    """

    layer: str
    bits: int
    linear: float
    quadratic: float
    diagonal: float

    @property
    def loss_increase(self) -> float:
        """The prediction, ``linear + quadratic``."""
        return self.linear + self.quadratic


def fisher_scores(
    model: nn.Module,
    examples: Examples,
    bits: Sequence[int] = (2, 3, 4, 6, 8),
    *,
    layers: Sequence[str] | None = None,
    scheme: WeightScheme = nearest_per_channel,
    curvature_share: float = 0.25,
    batch_size: int = 40,
    on_progress: Callable[[float], None] = lambda share: None,
) -> list[FisherScore]:
    """Return the score of each layer, in order of execution, at each bit width.

    Parameters
    ----------
    model
        A classifier, (N, …) → scores (N, number of classes); left as it is. The first axis of each layer's
        input holds the images, or a whole number of rows for each image.
    examples
        Images of the training set. To predict what `layer_sensitivity` will say, give it the same ones.
    scheme
        How a weight is quantized.
    curvature_share
        Share of each batch's images whose own gradients are taken, in (0, 1]: those that the model is least
        sure about, or wrong.
    batch_size
        Images at a time.
    on_progress
        Told the share of the images done, in [0, 1].

    Raises
    ------
    SettingError
        If ``curvature_share`` is outside (0, 1], or a bit width does not exist.
    DataError
        If there are no images, or not one label an image.
    ModelError
        If the model cannot be traced, its scores are not (N, number of classes), or some are not finite.
    UnknownNameError
        If there is no such layer.
    """
    if not 0 < curvature_share <= 1:
        raise SettingError(
            f"curvature_share={curvature_share!r} is outside (0, 1]; pass the share of the images whose own "
            "gradients are taken, such as 0.25."
        )
    require_count("batch_size", batch_size, 1)
    branching = BranchingModel(model)
    weights = quantized_weights(branching.layers, bits, layers, scheme)
    changes = {
        path: torch.stack(
            [(weight - branching.layers[path].weight.detach()).flatten() for weight in row.values()]
        )
        for path, row in weights.items()
        if row
    }
    sums = {path: _Sums(change) for path, change in changes.items()}
    inputs, labels = checked(examples)
    chosen = {path: branching.layers[path] for path in changes}
    branching.graph.requires_grad_(False)
    for layer in chosen.values():
        layer.weight.requires_grad_(True)
    seen = 0
    with _Recorder(chosen) as recorder, torch.enable_grad():
        for batch, batch_labels in zip(
            torch.split(inputs, batch_size), torch.split(labels, batch_size), strict=True
        ):
            ((_, _, output),) = branching.run(batch, {})
            scores = checked_scores(output, len(batch))
            loss = F.cross_entropy(scores, batch_labels, reduction="sum")
            errors = scores.detach().softmax(1) - F.one_hot(batch_labels, scores.shape[1])
            alone = errors.square().sum(1).topk(math.ceil(curvature_share * len(batch))).indices
            recorder.differentiate(loss, sums, len(batch), alone)
            seen += len(batch)
            on_progress(seen / len(labels))
    return [
        FisherScore(path, width, *(float(part) for part in parts))
        for path, total in sums.items()
        for width, parts in zip(bits, total.parts(seen), strict=True)
    ]


class _Sums:
    """Sums over images for one layer; ``changes`` are the Δ of each bit width, (B, weights)."""

    def __init__(self, changes: Tensor) -> None:
        self.changes = changes
        self.gradient = torch.zeros_like(changes[0])
        self.squares = torch.zeros_like(changes[0])
        self.along = torch.zeros(len(changes))

    def add(self, gradient: Tensor, each: Tensor) -> None:
        """Add a batch: the gradient of its summed loss, and the gradient of single images, (n, weights)."""
        self.gradient += gradient.flatten()
        self.squares += each.square().sum(0)
        self.along += (each @ self.changes.T).square().sum(0)

    def parts(self, images: int) -> Tensor:
        """Return the linear, quadratic and diagonal part for each bit width, (B, 3)."""
        diagonal = self.changes.square() @ self.squares / 2
        return torch.stack([self.changes @ self.gradient, self.along / 2, diagonal], dim=1) / images


class _Recorder:
    """Notes the input and the output of each call of a layer while it is entered."""

    def __init__(self, layers: dict[str, WeightLayer]) -> None:
        self.layers = layers
        self.calls: list[tuple[str, Tensor, Tensor]] = []

    def __enter__(self) -> "_Recorder":
        def note(path: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
            return lambda layer, inputs, output: self.calls.append((path, inputs[0].detach(), output))

        self.hooks = [layer.register_forward_hook(note(path)) for path, layer in self.layers.items()]
        return self

    def __exit__(self, *_: object) -> None:
        for hook in self.hooks:
            hook.remove()

    def differentiate(self, loss: Tensor, sums: dict[str, _Sums], images: int, alone: Tensor) -> None:
        """Add the gradients of a batch's loss: of all images together, and of those in ``alone`` each."""
        calls, self.calls = self.calls, []
        weights = [layer.weight for layer in self.layers.values()]
        gradients = torch.autograd.grad(loss, [*weights, *(output for _, _, output in calls)])
        together = dict(zip(self.layers, gradients, strict=False))
        each: dict[str, Tensor] = {}
        for (path, layer_input, _), error in zip(calls, gradients[len(weights) :], strict=True):
            rows = _rows(path, layer_input, images, alone)
            gradient = _gradient_of_each(self.layers[path], layer_input[rows], error[rows], len(alone))
            each[path] = each[path] + gradient if path in each else gradient
        for path, total in sums.items():
            total.add(together[path], each[path])


def _rows(path: str, layer_input: Tensor, images: int, chosen: Tensor) -> Tensor:
    """Return which rows of a layer's input belong to the chosen images."""
    if len(layer_input) % images:
        raise ModelError(
            f"The layer {path} is called with an input of shape {tuple(layer_input.shape)} for {images} "
            "images; expected the images, or a whole number of rows for each, along its first axis."
        )
    rows_per_image = len(layer_input) // images
    return (chosen[:, None] * rows_per_image + torch.arange(rows_per_image)).flatten()


def _gradient_of_each(layer: WeightLayer, layer_input: Tensor, error: Tensor, images: int) -> Tensor:
    """Return ∂loss_n/∂weight for each image n, shape (images, weights).

    ``error`` is ∂loss/∂output. A convolution is a matrix product with the patches under its kernel, one row a
    patch; so, like for a linear layer, the gradient is errorᵀ · input, summed over the rows of an image.
    """
    if isinstance(layer, nn.Linear):
        error = error.reshape(images, -1, layer.out_features)
        return (error.transpose(1, 2) @ layer_input.reshape(images, -1, layer.in_features)).flatten(1)
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    padded = F.pad(layer_input, layer._reversed_padding_repeated_twice, mode)
    patches = F.unfold(padded, layer.kernel_size, layer.dilation, stride=layer.stride)
    patches = patches.reshape(len(padded), layer.groups, -1, patches.shape[-1])
    error = error.reshape(len(padded), layer.groups, layer.out_channels // layer.groups, -1)
    gradient = (error @ patches.transpose(2, 3)).flatten(1)
    return gradient.reshape(images, -1, gradient.shape[1]).sum(1)
