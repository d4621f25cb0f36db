"""The closest depthwise-separable convolution to a dense one.

A dense kernel W (C_out, C_in, k, k) has for each input channel i a slice of its own, the matrix W_i with a
row for each output channel and a column for each of the k² places. A depthwise filter d_i (k² numbers)
followed by a 1×1 convolution p (C_out, C_in) stands for the slices p_i·d_iᵀ, each of rank 1. The slices share
nothing, so the closest separable kernel takes the first term of each slice's singular value decomposition,
W_i ≈ s₁·u₁·v₁ᵀ (Eckart and Young 1936): d_i = √s₁·v₁ and p_i = √s₁·u₁, and nothing has to be searched for.
With m filters for each input channel (a depth multiplier) it takes the first m terms; with
m = min(C_out, k²) the two are equal.

What is kept is for each input channel the one filter that explains most of what all output channels do with
it. What is lost is that different output channels look at one input channel in different ways: an edge
detector and a blur of the same channel become two scales of one filter between them. The error

    ‖W − Ŵ‖ / ‖W‖ = √(1 − Σ_i Σ_{r≤m} s_ir² / Σ_i Σ_r s_ir²)

is also the error of the output for inputs that are white noise; real inputs are smoother.

Worked example: one input channel, two output channels, and two places: W₁ = [[3, 0], [0, 1]] with s = 3, 1.
The closest pair keeps d = √3·[1, 0] and p = √3·[1, 0]ᵀ: the first output is exact, the second one is 0, and
the error is √(1 − 9/10) = 0.316.
"""

import torch
from torch import Tensor, nn

from course_lib.errors import ModelError, SettingError


def separable_factors(weight: Tensor, multiplier: int = 1) -> tuple[Tensor, Tensor]:
    """Return the closest depthwise and pointwise kernels.

    Parameters
    ----------
    weight
        The dense kernel, (C_out, C_in, k_h, k_w).
    multiplier
        Filters for each input channel, 1 to min(C_out, k_h·k_w).

    Returns
    -------
    tuple
        The depthwise kernel (C_in·m, 1, k_h, k_w) and the pointwise one (C_out, C_in·m, 1, 1), float64. The
        largest number of each filter is positive, so that the answer does not depend on the solver.

    Raises
    ------
    SettingError
        If the multiplier is outside its range.
    ModelError
        If the kernel holds NaN or infinite values.
    """
    out_channels, in_channels, height, width = weight.shape
    largest = min(out_channels, height * width)
    if not 1 <= multiplier <= largest:
        raise SettingError(
            f"multiplier is {multiplier}, but a kernel of shape {tuple(weight.shape)} has 1 to {largest} "
            "filters for each input channel; pass one of these."
        )
    if not torch.isfinite(weight).all():
        raise ModelError(
            f"A kernel of shape {tuple(weight.shape)} holds NaN or infinite values, which have no separable "
            "form; load or train the weights again."
        )
    slices = weight.detach().double().flatten(2).movedim(1, 0)  # (C_in, C_out, k²)
    left, values, right = torch.linalg.svd(slices, full_matrices=False)
    root = values[:, :multiplier].sqrt()
    filters = root[:, :, None] * right[:, :multiplier]  # (C_in, m, k²)
    mixing = root[:, None, :] * left[:, :, :multiplier]  # (C_in, C_out, m)
    sign = filters.gather(2, filters.abs().argmax(2, keepdim=True)).sign()
    sign = torch.where(sign == 0, 1.0, sign)
    filters, mixing = filters * sign, mixing * sign.movedim(2, 1)
    depthwise = filters.reshape(in_channels * multiplier, 1, height, width)
    pointwise = mixing.movedim(0, 1).reshape(out_channels, in_channels * multiplier, 1, 1)
    return depthwise, pointwise


def composed_kernel(depthwise: Tensor, pointwise: Tensor, in_channels: int) -> Tensor:
    """Return the one kernel (C_out, C_in, k_h, k_w) that a separable pair stands for."""
    filters = depthwise.reshape(in_channels, -1, *depthwise.shape[2:])
    mixing = pointwise.reshape(len(pointwise), in_channels, -1)
    return torch.einsum("oim,imyx->oiyx", mixing, filters)


def kernel_error(weight: Tensor, depthwise: Tensor, pointwise: Tensor) -> float:
    """Return ‖W − Ŵ‖ / ‖W‖ of a separable pair; 0 for W = 0."""
    dense = weight.detach().double()
    close = composed_kernel(depthwise.double(), pointwise.double(), dense.shape[1])
    total = float(dense.norm())
    return float((dense - close).norm()) / total if total else 0.0


def separable_pair(conv: nn.Conv2d, multiplier: int = 1) -> tuple[nn.Sequential, float]:
    """Return the closest depthwise and 1×1 convolutions to a dense one, and the kernel's relative error.

    The first slides over its input as ``conv`` does; the second has its bias. There is no norm or activation
    between the two: with one, they would no longer stand for a kernel.

    Raises
    ------
    SettingError
        If the multiplier is outside its range.
    ModelError
        If the convolution has groups, or weights that are not finite.
    """
    if conv.groups != 1:
        raise ModelError(
            f"{conv} has {conv.groups} groups; only a dense convolution (groups=1) is made separable."
        )
    depthwise, pointwise = separable_factors(conv.weight, multiplier)
    first = nn.Conv2d(
        conv.in_channels,
        conv.in_channels * multiplier,
        conv.kernel_size,  # type: ignore[arg-type]
        conv.stride,  # type: ignore[arg-type]
        conv.padding,  # type: ignore[arg-type]
        conv.dilation,  # type: ignore[arg-type]
        groups=conv.in_channels,
        bias=False,
        padding_mode=conv.padding_mode,
    )
    second = nn.Conv2d(conv.in_channels * multiplier, conv.out_channels, 1, bias=conv.bias is not None)
    pair = nn.Sequential(first, second).to(conv.weight.device, conv.weight.dtype)
    with torch.no_grad():
        first.weight.copy_(depthwise)
        second.weight.copy_(pointwise)
        if conv.bias is not None and second.bias is not None:
            second.bias.copy_(conv.bias)
    for parameter in pair.parameters():
        parameter.requires_grad_(conv.weight.requires_grad)
    return pair.train(conv.training), kernel_error(conv.weight, depthwise, pointwise)
