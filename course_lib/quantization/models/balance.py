"""Balancing: scale channels so that the rounding of activations disturbs the scores least.

Like smoothing (`smooth`), this divides a channel by s_c > 0 where it is made and multiplies it by s_c where
it is read. Smoothing evens out magnitudes; balancing asks what the noise does. A tensor on a grid with b bits
has the step Δ = (max_c h_c / s_c − min_c l_c / s_c) / (2^b − 1), where channel c reaches from l_c to h_c, and
rounding adds noise of variance Δ² / 12 to each value (Widrow 1961). By the time it reaches the scores it has
been multiplied by s_c and by the gradient, so all scores together get

    Σ_tensors Δ² / 12 · Σ_c g_c · s_c²,      g_c = Σ ∂score²/∂value² over the values of channel c

(`score_gradients`). A loud channel that the scores hardly depend on should be divided by much, a quiet one
that they depend on by little. But the weights that read the channels are rounded as well, with a step for
each output channel, Δ_o = max_c |w_oc| · s_c / (2^(b−1) − 1), and their noise counts likewise:

    ρ · Σ_o Δ_o² / 12 · Σ_c f_oc / s_c²,     f_oc = Σ ∂score²/∂w² over the weights from c to o

ρ = 0.1, because GPTQ and AdaRound leave about a tenth of the noise of rounding to the nearest. Layers that
share no channels are separate problems; in each, Adam minimizes the logarithm of the sum over log s.

Worked example: two channels reach to 16 and 1, g = 1 and 16, weights aside. s = 1, 1 costs (16² / 12) · 17 in
units of 1 / 255²; s = 16, 1 costs (1 / 12) · (256 + 16), sixteen times less.

The values of a channel are those that the scores depend on; others may be clipped (`ActivationScheme`,
``by_gradient``).
"""

from copy import deepcopy
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, fx, nn

from course_lib.errors import DataError, SettingError
from course_lib.quantization.models.fold import fold_batch_norms
from course_lib.quantization.models.graph import trace, weight_layers
from course_lib.quantization.models.placement import insert_after, quantized_tensors
from course_lib.quantization.models.scaling_groups import is_depthwise, scale_group, scaling_groups
from course_lib.quantization.models.score_gradients import backward_from_scores
from course_lib.reproducibility import torch_generator

ACTIVATION_STEPS, WEIGHT_STEPS = 2**8 - 1, 2**7 - 1
ADAM_STEPS, LEARNING_RATE = 500, 0.05
SMALLEST = 0.002
"""No factor falls below this share of the largest; a channel that is always zero may have any."""
BATCH = 128


def balance_channels(model: nn.Module, inputs: Tensor, *, weight_noise: float = 0.1) -> fx.GraphModule:
    """Return a copy of the model, batch norms folded, that computes the same and loses less when rounded.

    Parameters
    ----------
    inputs
        Some hundred real inputs of the training set, (N, …), floating point.
    weight_noise
        ρ ≥ 0: the noise of the rounded weights as a share of that of rounding to the nearest. 1 for the
        nearest; 0 where weights stay in float.

    Raises
    ------
    SettingError
        If ``weight_noise`` is below 0.
    DataError
        If there are no inputs.
    ModelError
        If the model cannot be traced, or its scores have no gradient.
    """
    if not weight_noise >= 0:
        raise SettingError(f"weight_noise is {weight_noise}; expected a share of 0 or more, such as 0.1.")
    if not len(inputs):
        raise DataError("No inputs came to balance the channels with; pass some hundred of the training set.")
    graph = fold_batch_norms(trace(model))
    tensors, weights = _statistics(graph, inputs)
    for group in scaling_groups(graph):
        noisy = [tensors[step] for step in group.steps if step in tensors]
        readers = [weights[path] for path in group.readers if path in weights]
        if noisy:
            scale_group(graph, group, _factors(noisy, readers, weight_noise))
    return graph


@dataclass
class ActivationStatistics:
    """What balancing knows of a tensor: a number for each channel, (channels,).

    Parameters
    ----------
    high, low
        The extremes of the values that the scores depend on, not below and not above 0.
    gain
        g, summed over the inputs.
    """

    high: Tensor
    low: Tensor
    gain: Tensor

    def noise(self, scale: Tensor) -> Tensor:
        """Return the noise in the scores when channels are divided by ``scale``, times a constant."""
        step = ((self.high / scale).max() - (self.low / scale).min()) / ACTIVATION_STEPS
        return step**2 * (self.gain * scale**2).sum()


@dataclass
class WeightStatistics:
    """What balancing knows of a weight: a number for each pair of channels, (out_channels, in_channels).

    Parameters
    ----------
    largest
        The largest magnitude under the kernel.
    gain
        f, summed over the inputs.
    """

    largest: Tensor
    gain: Tensor

    def noise(self, scale: Tensor) -> Tensor:
        """Return the noise in the scores when inputs are multiplied by ``scale``, times the same constant."""
        steps = (self.largest * scale).amax(1) / WEIGHT_STEPS
        return (steps**2 * (self.gain / scale**2).sum(1)).sum()


def _factors(
    tensors: list[ActivationStatistics], weights: list[WeightStatistics], weight_noise: float
) -> Tensor:
    """Return s of the channels that these tensors share, (channels,)."""
    reach = torch.stack([tensor.high - tensor.low for tensor in tensors]).amax(0)
    if not bool(reach.max() > 0):
        return torch.ones_like(reach)
    with torch.enable_grad():
        logarithm = reach.clamp(min=SMALLEST * float(reach.max())).log().requires_grad_()
        optimizer = torch.optim.Adam([logarithm], lr=LEARNING_RATE)
        schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, ADAM_STEPS)
        for _ in range(ADAM_STEPS):
            scale = logarithm.exp()
            noise = torch.stack([tensor.noise(scale) for tensor in tensors]).sum()
            noise = noise + weight_noise * sum(weight.noise(scale) for weight in weights)
            optimizer.zero_grad()
            noise.log().backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    factor = logarithm.detach().exp()
    factor = factor / factor.mean()
    return factor.clamp(min=SMALLEST * float(factor.max()))


def _statistics(
    graph: fx.GraphModule, inputs: Tensor
) -> tuple[dict[str, ActivationStatistics], dict[str, WeightStatistics]]:
    """Return those of each tensor that is quantized, by its step, and of each weight, by its layer's path."""
    watched = deepcopy(graph)
    layers = {path: layer for path, layer in weight_layers(watched).items() if not is_depthwise(layer)}
    nodes = quantized_tensors(watched)
    watchers = insert_after(watched, nodes, lambda node: _Watcher(node.name))
    largest = {path: _under_kernel(layer.weight.detach()).abs().amax(2) for path, layer in layers.items()}
    weights = {path: WeightStatistics(values, torch.zeros_like(values)) for path, values in largest.items()}
    generator = torch_generator(0)
    for batch in torch.split(inputs, BATCH):
        watched.zero_grad()
        backward_from_scores(watched, batch, generator)
        for path, layer in layers.items():
            # Signs differ between images as well, so the square of the sum stands for the sum of squares.
            if layer.weight.grad is not None:
                weights[path].gain += _under_kernel(layer.weight.grad.square()).sum(2)
    found = {}
    for watcher in watchers.values():
        assert isinstance(watcher, _Watcher)
        if watcher.statistics is not None:
            found[watcher.name] = watcher.statistics
    return found, weights


class _Watcher(nn.Module):
    """Lets a tensor pass and takes its statistics when its gradient comes back."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.statistics: ActivationStatistics | None = None

    def forward(self, x: Tensor) -> Tensor:
        x.register_hook(partial(self._note, x.detach()))  # type: ignore[no-untyped-call]
        return x

    def _note(self, x: Tensor, gradient: Tensor) -> None:
        axis = 1 if x.ndim in (2, 4) else x.ndim - 1
        x, gradient = (each.movedim(axis, 0).flatten(1) for each in (x, gradient))
        gradient = torch.where(x == 0, 0.0, gradient)  # zero is on every grid
        used = torch.where(gradient == 0, 0.0, x)
        high, low, gain = used.amax(1).clamp(min=0), used.amin(1).clamp(max=0), gradient.square().sum(1)
        before = self.statistics
        if before is not None:
            high, low = torch.maximum(high, before.high), torch.minimum(low, before.low)
            gain = gain + before.gain
        self.statistics = ActivationStatistics(high, low, gain)


def _under_kernel(weight: Tensor) -> Tensor:
    """Return a weight as (out_channels, in_channels, positions under the kernel)."""
    return weight.reshape(*weight.shape[:2], -1)
