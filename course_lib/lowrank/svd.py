"""Two thinner layers in the place of one, by singular value decomposition.

The matrix W (m × n) has the singular values s₁ ≥ s₂ ≥ … and W = Σ sᵢ·uᵢ·vᵢᵀ. Its first r terms are the
closest matrix of rank r, with the error ‖W − W_r‖² = Σ_{i>r} sᵢ² (Eckart and Young 1936). Written as
A·B with A (m × r) and B (r × n), the product W·x ≈ A·(B·x) costs r·(m + n) MACs instead of m·n: fewer for
r < m·n / (m + n).

A convolution is such a matrix too, with a row for each output channel and n = C_in·k_h·k_w columns: B becomes
the k_h × k_w convolution to r channels, A a 1×1 convolution (Zhang et al. 2016).

Worked example: W = [[3, 0], [0, 1]] has s = 3, 1. Rank 1 keeps 9/10 of the energy: A = [√3, 0]ᵀ,
B = [√3, 0], A·B = [[3, 0], [0, 0]], an error of 1 = s₂².

The axes come from the eigenvectors of W·Wᵀ or WᵀW, whichever is smaller, whose eigenvalues are the sᵢ²: of
those the energy is the sum, and a wide layer is done in a moment. The root of sᵢ goes to either side, so that
both factors train and quantize alike.
"""

import torch
from torch import Tensor, nn

from course_lib.lowrank.extent import Extents, WeightLayer, check_rank, kernel
from course_lib.lowrank.ranks import Choice, best_choices, cumulative_energy


def principal_axes(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Return the squared singular values of a matrix (m, n), largest first, and its left vectors (m, m)."""
    squares, vectors = torch.linalg.eigh(matrix @ matrix.T)
    # Eigenvalues of zero come out as tiny numbers of either sign.
    return squares.flip(0).clamp_min(0), vectors.flip(1)


def low_rank(matrix: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Return A (m, rank) and B (rank, n), float64, whose product is the closest matrix of this rank.

    Raises
    ------
    SettingError
        If the rank is below 1 or above min(m, n).
    """
    check_rank("rank", rank, min(matrix.shape))
    if matrix.shape[0] > matrix.shape[1]:
        second, first = low_rank(matrix.T, rank)
        return first.T, second.T
    matrix = matrix.double()
    axes = principal_axes(matrix)[1][:, :rank]
    projected = axes.T @ matrix
    values = projected.norm(dim=1)
    root = torch.where(values > 0, values, 1.0).sqrt()
    return axes * root, projected / root[:, None]


def squared_singular_values(matrix: Tensor) -> Tensor:
    """Return the squared singular values of a matrix (m, n), largest first, (min(m, n),) float64."""
    matrix = matrix.double()
    small = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    squares: Tensor = torch.linalg.eigvalsh(small @ small.T)
    return squares.flip(0).clamp_min(0)


def svd_choices(layer: WeightLayer, extents: Extents) -> list[Choice]:
    """Return the choices of every rank, by rising MACs.

    Raises
    ------
    ModelError
        If the layer has groups, or weights that are not finite.
    """
    matrix = kernel(layer).flatten(1)
    kept = cumulative_energy(squared_singular_values(matrix).cpu().numpy())
    positions = sum(each.out_positions for each in extents)
    ranks = range(1, min(matrix.shape) + 1)
    return best_choices(
        "svd", [(r,) for r in ranks], [positions * r * sum(matrix.shape) for r in ranks], kept
    )


def svd_layers(layer: WeightLayer, rank: int) -> nn.Sequential:
    """Return two layers that compute what the layer does, as closely as this rank allows.

    Parameters
    ----------
    layer
        Linear, or a convolution with groups=1; it stays as it is. The second layer gets its bias.
    rank
        Features or channels between the two.

    Raises
    ------
    SettingError
        If the rank is below 1 or above the layer's.
    ModelError
        If the layer has groups, or weights that are not finite.
    """
    weight = kernel(layer)
    left, right = low_rank(weight.flatten(1), rank)
    if isinstance(layer, nn.Linear):
        return nn.Sequential(
            filled(nn.Linear(layer.in_features, rank, bias=False), right, layer),
            filled(nn.Linear(rank, layer.out_features, bias=layer.bias is not None), left, layer, last=True),
        )
    first = same_window(layer, layer.in_channels, rank)
    second = nn.Conv2d(rank, layer.out_channels, 1, bias=layer.bias is not None)
    return nn.Sequential(
        filled(first, right.reshape(rank, *weight.shape[1:]), layer),
        filled(second, left[:, :, None, None], layer, last=True),
    )


def filled(empty: WeightLayer, weight: Tensor, source: WeightLayer, last: bool = False) -> WeightLayer:
    """Return a new layer with this weight, in the format and mode of ``source``; the last has its bias."""
    empty.to(source.weight.device, source.weight.dtype)
    with torch.no_grad():
        empty.weight.copy_(weight)
        if last and source.bias is not None and empty.bias is not None:
            empty.bias.copy_(source.bias)
    empty.weight.requires_grad_(source.weight.requires_grad)
    return empty.train(source.training)


def same_window(conv: nn.Conv2d, in_channels: int, out_channels: int) -> nn.Conv2d:
    """Return a new convolution without bias that slides over its input as ``conv`` does."""
    return nn.Conv2d(
        in_channels,
        out_channels,
        conv.kernel_size,  # type: ignore[arg-type]
        conv.stride,  # type: ignore[arg-type]
        conv.padding,  # type: ignore[arg-type]
        conv.dilation,  # type: ignore[arg-type]
        bias=False,
        padding_mode=conv.padding_mode,
    )
