"""A narrower grid than min-max: give up the outermost values so that all others get finer steps.

A value beyond the range is clipped to its end, which costs more the further out it lies; every value inside
is rounded by at most S / 2, which costs less the smaller S is. With few bits the best range is narrower than
the values (Banner et al. 2019; Nagel et al. 2021, eq. 8). It is searched here: of ``CANDIDATES`` shrunk
copies of the min-max grid, each scale keeps the one with the smallest Σ(x − x̂)².

Worked example, 2 bits, symmetric, x = [0.5, 0.5, 0.5, 0.5, 0.9]: min-max gives S = 0.9, the codes 1, 1, 1, 1,
1 and the error 4 · 0.4² = 0.64. S = 0.6 gives the same codes and 4 · 0.1² + 0.3² = 0.13; S = 0.58 gives 4 ·
0.08² + 0.32² = 0.128, the least of all.
"""

from dataclasses import replace

from array_api_compat import array_namespace

from course_lib.quantization.affine import Array, QParams, choose_qparams, fake_quantize
from course_lib.quantization.granularity import Granularity, PerGroup

CANDIDATES = 90
NARROWEST = 0.1


def choose_clipped_qparams(
    x: Array, bits: int, *, symmetric: bool, granularity: Granularity
) -> QParams[Array]:
    """Fit the grid whose squared error over ``x`` is smallest; each scale is searched by itself.

    The candidates are the min-max scale times 1.00, 0.99, …, 0.11; with the zero point unchanged, both ends
    of the range shrink alike.

    Parameters and exceptions are those of `choose_qparams`.
    """
    xp = array_namespace(x)
    if hasattr(x, "detach"):  # a torch parameter: its grid is a constant to autograd
        x = x.detach()
    full = choose_qparams(x, bits, symmetric=symmetric, granularity=granularity)
    best_scale, least = full.scale, None
    for step in range(CANDIDATES):
        scale = full.scale * (1 - step * (1 - NARROWEST) / CANDIDATES)
        squares = (x - fake_quantize(x, replace(full, scale=scale))) ** 2
        if isinstance(granularity, PerGroup):
            error = xp.sum(granularity.split(squares), axis=-1)
        else:
            error = xp.sum(squares, axis=granularity.shared_axes(x.ndim), keepdims=True)
        if least is None:
            least = error
        best_scale = xp.where(error < least, scale, best_scale)
        least = xp.minimum(error, least)
    return replace(full, scale=best_scale)
