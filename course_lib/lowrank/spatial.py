"""A k_h × k_w convolution as a column of k_h × 1 and a row of 1 × k_w (Jaderberg et al. 2014, scheme 2).

Rows are filtered first, into r channels, then columns:

    W[o, i, y, x] ≈ Σ_r H[o, r, x] · V[r, i, y]

For fixed r this is a matrix problem: with W laid out as a matrix of (o, x) × (i, y), the closest H·V is its
SVD cut at rank r (Tai et al. 2016), so nothing has to be searched for. The cost falls from C_out·C_in·k² to
r·k·(C_in + C_out) MACs a pixel.

Worked example: the kernel [[1, 0, −1], [2, 0, −2], [1, 0, −1]] (Sobel's) is [1, 2, 1]ᵀ·[1, 0, −1]: rank 1 is
exact, with 6 MACs a pixel instead of 9.
"""

from torch import Tensor, nn

from course_lib.lowrank.extent import Extents, WeightLayer, kernel
from course_lib.lowrank.ranks import Choice, best_choices, cumulative_energy
from course_lib.lowrank.svd import filled, low_rank, squared_singular_values


def spatial_choices(conv: WeightLayer, extents: Extents) -> list[Choice]:
    """Return the choices of every rank, by rising MACs; none for a layer with a 1×1 kernel.

    Raises
    ------
    ModelError
        If the convolution has groups, or weights that are not finite.
    """
    weight = kernel(conv)
    out_channels, in_channels, height, width = weight.shape
    if height == width == 1:
        return []
    matrix = _as_matrix(weight)
    kept = cumulative_energy(squared_singular_values(matrix).cpu().numpy())
    columns = in_channels * height * sum(each.between_positions for each in extents)
    rows = out_channels * width * sum(each.out_positions for each in extents)
    ranks = range(1, min(matrix.shape) + 1)
    return best_choices("spatial", [(r,) for r in ranks], [r * (columns + rows) for r in ranks], kept)


def spatial_layers(conv: nn.Conv2d, rank: int) -> nn.Sequential:
    """Return a k_h × 1 and a 1 × k_w convolution, with ``rank`` channels between them.

    Parameters
    ----------
    conv
        With groups=1; it stays as it is. The second convolution gets its bias.

    Raises
    ------
    SettingError
        If the rank is below 1 or above min(C_out·k_w, C_in·k_h).
    ModelError
        If the convolution has groups, or weights that are not finite.
    """
    weight = kernel(conv)
    out_channels, in_channels, height, width = weight.shape
    left, right = low_rank(_as_matrix(weight), rank)
    vertical = right.reshape(rank, in_channels, height, 1)
    horizontal = left.reshape(out_channels, width, rank).movedim(1, 2)[:, :, None, :]
    stride, padding, dilation = conv.stride, conv.padding, conv.dilation
    # The paddings "same" and "valid" are words, which mean the same for both.
    first_padding, second_padding = (
        (padding, padding) if isinstance(padding, str) else ((padding[0], 0), (0, padding[1]))
    )
    first = nn.Conv2d(
        in_channels,
        rank,
        (height, 1),
        (stride[0], 1),
        first_padding,
        (dilation[0], 1),
        bias=False,
        padding_mode=conv.padding_mode,
    )
    second = nn.Conv2d(
        rank,
        out_channels,
        (1, width),
        (1, stride[1]),
        second_padding,
        (1, dilation[1]),
        bias=conv.bias is not None,
        padding_mode=conv.padding_mode,
    )
    return nn.Sequential(filled(first, vertical, conv), filled(second, horizontal, conv, last=True))


def _as_matrix(weight: Tensor) -> Tensor:
    """Return W as (C_out·k_w, C_in·k_h)."""
    return weight.permute(0, 3, 1, 2).flatten(2).flatten(0, 1)
