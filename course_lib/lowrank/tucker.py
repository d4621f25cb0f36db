"""A convolution as 1×1 → k×k core → 1×1: the Tucker-2 decomposition (Kim et al. 2016).

The core G works between r_in and r_out channels; the first 1×1 convolution makes the r_in, the last one
makes the outputs from the r_out (their eq. 2, for the two channel axes):

    W[o, i, y, x] ≈ Σ_a Σ_b U[o, a] · G[a, b, y, x] · V[i, b]

It costs C_in·r_in + r_in·r_out·k² + r_out·C_out MACs a pixel (the first term at the input's resolution)
instead of C_in·C_out·k². U and V are the leading singular vectors of W unfolded along its outputs and along
its inputs, and G = W projected on them (HOSVD, De Lathauwer et al. 2000a). Since U and V are orthonormal, the
energy kept is ‖G‖² / ‖W‖², and the energy of all pairs of ranks comes from one projection: G for smaller
ranks is a corner of G for larger ones.

HOSVD is close to the best pair of subspaces, not the best. Higher-order orthogonal iteration (HOOI, De
Lathauwer et al. 2000b) improves one of them in turn with the other fixed; the energy never falls.

Worked example: W of 2 × 2 channels, 1×1 kernel [[3, 0], [0, 1]]: U and V are unit vectors, ranks (1, 1) keep
G = 3, which is 9/10 of the energy.

Left out: choosing ranks by variational Bayesian matrix factorization, as the paper does.
"""

import torch
from torch import Tensor, nn

from course_lib.errors import SettingError
from course_lib.lowrank.extent import Extents, WeightLayer, check_rank, kernel
from course_lib.lowrank.ranks import Choice, best_choices, cumulative_energy
from course_lib.lowrank.svd import filled, principal_axes, same_window


def tucker2(weight: Tensor, rank_in: int, rank_out: int, *, steps: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Return U (out, rank_out), G (rank_out, rank_in, k_h, k_w) and V (in, rank_in), float64.

    Parameters
    ----------
    weight
        (out, in, k_h, k_w).
    steps
        Rounds of HOOI after the HOSVD, at least 0; two or three are enough.

    Raises
    ------
    SettingError
        If a rank is below 1 or above its number of channels, or ``steps`` is below 0.
    """
    check_rank("rank_in", rank_in, weight.shape[1])
    check_rank("rank_out", rank_out, weight.shape[0])
    if steps < 0:
        raise SettingError(f"steps is {steps}, but HOOI takes 0 or more of them; pass for example steps=2.")
    weight = weight.double()
    left, right = _axes_out(weight)[:, :rank_out], _axes_in(weight)[:, :rank_in]
    for _ in range(steps):
        left = _axes_out(torch.einsum("oihw,ib->obhw", weight, right))[:, :rank_out]
        right = _axes_in(torch.einsum("oihw,oa->aihw", weight, left))[:, :rank_in]
    return left, _core(weight, left, right), right


def tucker_energy(weight: Tensor) -> Tensor:
    """Return the energy of each pair of HOSVD directions, (in, out) float64; ranks keep a corner of it."""
    weight = weight.double()
    return _core(weight, _axes_out(weight), _axes_in(weight)).square().sum(dim=(2, 3)).T


def tucker_choices(conv: WeightLayer, extents: Extents) -> list[Choice]:
    """Return the best choices of (rank_in, rank_out), by rising MACs; none for a layer with a 1×1 kernel.

    There the core would be one more 1×1 convolution, which the SVD does without.

    Raises
    ------
    ModelError
        If the convolution has groups, or weights that are not finite.
    """
    weight = kernel(conv)
    out_channels, in_channels, height, width = weight.shape
    if height == width == 1:
        return []
    kept = torch.from_numpy(cumulative_energy(tucker_energy(weight).cpu().numpy()))
    pairs = torch.cartesian_prod(torch.arange(1, in_channels + 1), torch.arange(1, out_channels + 1))
    rank_in, rank_out = pairs.T
    incoming = sum(each.in_positions for each in extents)
    outgoing = sum(each.out_positions for each in extents)
    macs = incoming * in_channels * rank_in + outgoing * rank_out * (rank_in * height * width + out_channels)
    return best_choices("tucker", pairs.numpy(), macs.numpy(), kept.flatten().numpy())


def tucker_layers(conv: nn.Conv2d, rank_in: int, rank_out: int, *, steps: int = 0) -> nn.Sequential:
    """Return a 1×1 convolution to ``rank_in`` channels, the core to ``rank_out``, and one to the outputs.

    Parameters
    ----------
    conv
        With groups=1; it stays as it is. The last convolution gets its bias.
    steps
        Rounds of HOOI.

    Raises
    ------
    SettingError
        If a rank is below 1 or above its number of channels, or ``steps`` is below 0.
    ModelError
        If the convolution has groups, or weights that are not finite.
    """
    left, core, right = tucker2(kernel(conv), rank_in, rank_out, steps=steps)
    first = nn.Conv2d(conv.in_channels, rank_in, 1, bias=False)
    middle = same_window(conv, rank_in, rank_out)
    last = nn.Conv2d(rank_out, conv.out_channels, 1, bias=conv.bias is not None)
    return nn.Sequential(
        filled(first, right.T[:, :, None, None], conv),
        filled(middle, core, conv),
        filled(last, left[:, :, None, None], conv, last=True),
    )


def _axes_out(weight: Tensor) -> Tensor:
    return principal_axes(weight.flatten(1))[1]


def _axes_in(weight: Tensor) -> Tensor:
    return principal_axes(weight.transpose(0, 1).flatten(1))[1]


def _core(weight: Tensor, left: Tensor, right: Tensor) -> Tensor:
    return torch.einsum("oihw,oa,ib->abhw", weight, left, right)
