"""Dynamic pruning: for each image, only the channels that matter for it are computed.

Feature boosting and suppression (Gao et al. 2019, section 3). A small layer looks at the input of a
convolution and predicts how salient each output channel will be; the k most salient are kept:

    s(x) = mean |x| over the pixels of each input channel                        their eq. 6
    g(x) = ReLU(G · s(x) + b)                                                    eq. 7
    gate(x) = g(x) where g is among the k largest, else 0                        eq. 5, winners take all
    y = ReLU(gate(x) · norm(conv(x)))                                            eq. 4

The gate multiplies what it keeps, so gradients reach G and b through the kept channels and any training loop
trains them with the rest. A closed channel is exactly 0, so `SkippingNet` leaves it out: the convolution runs
with the rows of its weight for the open channels, and with the columns for the channels that were open one
layer before. What that saves, and from which sizes on, is measured in `gating_speed`.

Worked example: g = [0.5, 2, 1] and k = 2 give the gate [0, 2, 1]; with norm(conv(x)) = [9, 1, −3] the
output is [0, 2, 0].

Left out: the penalty on g that the paper adds to the loss; batches, whose images open different channels, so
that no one smaller convolution serves them all; networks that are not one chain.
"""

from copy import deepcopy
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.errors import ModelError, SettingError
from course_lib.reproducibility import seeded_torch


def keep_largest(scores: Tensor, count: int) -> Tensor:
    """Return the scores, (N, C), with all but the ``count`` largest of each row set to 0."""
    kept = scores.topk(count, dim=1).indices
    return scores * torch.zeros_like(scores).scatter(1, kept, 1.0)


class GatedConv(nn.Module):
    """Convolution, norm, gate and ReLU, computed densely: (N, C_in, H, W) → (N, C_out, H', W').

    Parameters
    ----------
    conv
        With groups=1; used as it is, not copied.
    norm
        The batch norm behind it, or None.
    keep_ratio
        Fraction of the output channels to keep for each image, in (0, 1]; rounded, at least one.
    seed
        Draws G; b starts at 1, so that training starts from gates near 1.

    Raises
    ------
    SettingError
        If ``keep_ratio`` is outside (0, 1].
    ModelError
        If the convolution has groups.
    """

    def __init__(
        self, conv: nn.Conv2d, norm: nn.BatchNorm2d | None, keep_ratio: float, *, seed: int = 0
    ) -> None:
        super().__init__()
        if not 0 < keep_ratio <= 1:
            raise SettingError(
                f"keep_ratio is {keep_ratio!r}, but it is the fraction of channels computed for an image, "
                "above 0 and up to 1; try keep_ratio=0.5."
            )
        if conv.groups != 1:
            raise ModelError(
                f"{conv} has {conv.groups} groups; gates need a convolution in which every output channel "
                "reads all inputs (groups=1)."
            )
        self.conv, self.norm = conv, norm
        self.keep = max(1, round(keep_ratio * conv.out_channels))
        with seeded_torch(seed):
            self.predictor = nn.Linear(conv.in_channels, conv.out_channels)
        nn.init.ones_(self.predictor.bias)

    def saliency(self, pooled: Tensor) -> Tensor:
        """Return g, (N, C_out), from the mean |x| of each input channel, (N, C_in)."""
        return F.relu(self.predictor(pooled))

    def forward(self, x: Tensor) -> Tensor:
        gate = keep_largest(self.saliency(x.abs().mean(dim=(2, 3))), self.keep)
        y = self.conv(x)
        if self.norm is not None:
            y = self.norm(y)
        return F.relu(y * gate[:, :, None, None])

    def folded(self) -> tuple[Tensor, Tensor]:
        """Return weight and bias of the one convolution that conv and norm are in evaluation mode."""
        weight = self.conv.weight.detach()
        bias = torch.zeros(len(weight)) if self.conv.bias is None else self.conv.bias.detach()
        if self.norm is None:
            return weight, bias
        with torch.no_grad():
            mean, variance = cast(Tensor, self.norm.running_mean), cast(Tensor, self.norm.running_var)
            scale = self.norm.weight / (variance + self.norm.eps).sqrt()
            return weight * scale[:, None, None, None], (bias - mean) * scale + self.norm.bias


class GatedNet(nn.Module):
    """A chain of steps, some of them gated, and a linear classifier; made by `gating_chain.insert_gates`.

    Parameters
    ----------
    steps
        Gated convolutions, and whatever works on each channel by itself (pooling) or comes before the gates.
    head
        Takes the flattened channels.
    """

    def __init__(self, steps: nn.Sequential, head: nn.Linear) -> None:
        super().__init__()
        self.steps, self.head = steps, head

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.head(self.steps(x).flatten(1))
        return scores


class SkippingConv:
    """A gated convolution in evaluation mode that computes nothing of the closed channels.

    Parameters
    ----------
    gated
        Trained; its tensors are taken as they are now.
    """

    def __init__(self, gated: GatedConv) -> None:
        self.gated = gated
        self.weight, self.bias = gated.folded()

    def __call__(self, x: Tensor, opened: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the open output channels of one image and their indices.

        Parameters
        ----------
        x
            The open input channels, (1, number of them, H, W).
        opened
            Their indices, or None where all are there.
        """
        gated, weight = self.gated, self.weight
        pooled = x.abs().mean(dim=(2, 3))
        if opened is not None:
            pooled = pooled.new_zeros(1, weight.shape[1]).index_copy_(1, opened, pooled)
        gate, kept = gated.saliency(pooled).topk(gated.keep, dim=1)
        kept = kept[0]
        weight = weight.index_select(0, kept)
        if opened is not None:
            weight = weight.index_select(1, opened)
        conv = gated.conv
        # A padding mode is applied by the layer itself, before a convolution without padding.
        if conv.padding_mode != "zeros":
            x = F.pad(x, conv._reversed_padding_repeated_twice, mode=conv.padding_mode)
        padding = conv.padding if conv.padding_mode == "zeros" else 0
        y = F.conv2d(x, weight, self.bias[kept], conv.stride, padding, conv.dilation)
        return F.relu_(y * gate[:, :, None, None]), kept


class SkippingNet:
    """A trained `GatedNet` for one image at a time; gives the same scores, and skips the closed channels.

    Parameters
    ----------
    net
        Left as it is; later changes to its weights have no effect.
    """

    def __init__(self, net: GatedNet) -> None:
        copied = deepcopy(net).eval()
        self.steps = [SkippingConv(step) if isinstance(step, GatedConv) else step for step in copied.steps]
        self.head = copied.head

    @torch.inference_mode()
    def __call__(self, image: Tensor) -> Tensor:
        """Return the scores of one image, (1, C, H, W) → (1, classes).

        Raises
        ------
        ModelError
            If there is more than one image.
        """
        if image.ndim != 4 or len(image) != 1:
            raise ModelError(
                f"SkippingNet got a batch of shape {tuple(image.shape)}; it takes one image, (1, C, H, W), "
                "for each image opens channels of its own: call it with images[i : i + 1] in turn."
            )
        x, opened = image, None
        for step in self.steps:
            if isinstance(step, SkippingConv):
                x, opened = step(x, opened)
            else:
                x = step(x)
        weight = self.head.weight
        if opened is not None:
            pixels = x.shape[2] * x.shape[3]
            weight = weight.reshape(len(weight), -1, pixels).index_select(1, opened).flatten(1)
        return F.linear(x.flatten(1), weight, self.head.bias)
