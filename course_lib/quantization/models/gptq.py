"""GPTQ: round one weight after another, and let those to come make up for its error (Frantar et al. 2023).

Rounding to the nearest changes the weights least. What matters is the change of the layer's output, which for
an output channel is E[(δ·x)²] = δ·H·δᵀ / 2 with δ = w − ŵ and the Hessian H = 2·E[x·xᵀ]: where inputs move
together, one weight's error can be undone by another. So column j of W is rounded, and its error is taken out
of the columns after it in the way that costs least (their eq. 2, from optimal brain surgeon):

    e_j = (w_j − ŵ_j) / U_jj        w_k ← w_k − e_j · U_jk  for all k > j

U is upper triangular with UᵀU = H⁻¹. Its row j is row j of the inverse Hessian of the columns from j on,
divided by the root of that row's diagonal entry. So one factorization (section 3.3, step 3) replaces a new
inverse after every column. To keep it well behaved, 1 % of the mean diagonal is added to H.

Worked example: two inputs that are always equal, w = [0.4, 0.4], grid of whole numbers. Nearest gives [0, 0]:
the output of x = [1, 1] falls from 0.8 to 0. GPTQ rounds the first to 0, moves its error 0.4 to the second,
which is now 0.8 and becomes 1: the output is 1. (With damping it is 0.796.)

Rounding one by one is not the best of all roundings, and for a single channel it can even be worse than
nearest. Left out: updates in blocks of columns, which change the speed on large matrices and not the result,
and other orders of the columns.
"""

import torch
from torch import Tensor

from course_lib.errors import ModelError, SettingError
from course_lib.quantization.affine import QParams, dequantize, quantize
from course_lib.quantization.models.graph import WeightLayer
from course_lib.quantization.models.layer_inputs import (
    grid_matrix,
    input_matrix,
    second_moments,
    weight_matrix,
)


def gptq(layer: WeightLayer, inputs: Tensor, qparams: QParams[Tensor], *, damping: float = 0.01) -> Tensor:
    """Return codes of the layer's weights whose errors cancel in its output, int32, in the weight's shape.

    Groups of a convolution are rounded separately, each by its own inputs. The layer stays as it is.

    Parameters
    ----------
    inputs
        The layer's inputs, (N, C, H, W) for a convolution, (…, in_features) for a linear layer. A matrix of
        patches above `layer_inputs.MAX_VALUES` numbers is sampled with a fixed seed.
    qparams
        The grid; its scale can be broadcast to the weight. It stays fixed, and codes stay within it.
    damping
        Added to the Hessian's diagonal, as a fraction of its mean; 0 or more.

    Raises
    ------
    DataError
        If there are no inputs, their shape does not fit the layer, or they hold NaN or infinite values.
    ModelError
        If the weights hold such values, the grid's shape does not fit, or the Hessian has no inverse.
    SettingError
        If ``damping`` is negative.
    """
    if not 0 <= damping < float("inf"):
        raise SettingError(
            f"damping is {damping}, but it is a fraction to add to the Hessian's diagonal, 0 or more; "
            "try damping=0.01."
        )
    weight = weight_matrix(layer).double()
    grid = grid_matrix(layer, qparams)
    factor = _inverse_factor(layer, inputs, damping)
    codes = torch.empty(weight.shape, dtype=torch.int32, device=weight.device)
    for j in range(weight.shape[-1]):
        column = QParams(grid.scale[..., j], grid.zero_point[..., j], grid.quant_min, grid.quant_max)
        codes[..., j] = quantize(weight[..., j], column)
        error = (weight[..., j] - dequantize(codes[..., j], column)) / factor[:, None, j, j]
        weight[..., j:] -= error[..., None] * factor[:, None, j, j:]
    return codes.reshape(layer.weight.shape)


def _inverse_factor(layer: WeightLayer, inputs: Tensor, damping: float) -> Tensor:
    """Return the upper triangular U of each group, (groups, in_features, in_features), float64.

    With the order of the columns reversed, H = L·Lᵀ; turned back, H = R·Rᵀ with an upper triangular R, and
    U = R⁻¹. This needs no inverse of H.
    """
    x = input_matrix(layer, inputs)
    hessian = 2 * second_moments(x, x)
    diagonal = hessian.diagonal(dim1=-2, dim2=-1)
    added = damping * diagonal.mean(dim=-1, keepdim=True)
    unused = diagonal.amax(dim=-1, keepdim=True) == 0  # all inputs 0: any H will do
    diagonal += torch.where(unused, 1.0, added)
    lower, failed = torch.linalg.cholesky_ex(hessian.flip(-2, -1))
    if failed.any():
        raise ModelError(
            f"The Hessian of {layer} has no inverse with damping={damping}, because some inputs are always 0 "
            "or follow from others; use damping=0.01, or more images."
        )
    identity = torch.eye(hessian.shape[-1], dtype=hessian.dtype, device=hessian.device)
    factor: Tensor = torch.linalg.solve_triangular(lower.flip(-2, -1), identity, upper=True)
    return factor
