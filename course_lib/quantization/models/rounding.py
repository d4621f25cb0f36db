"""One layer's weight on its grid, with the range and the rounding that a scheme asks for."""

from torch import Tensor

from course_lib.quantization.affine import QParams, choose_qparams, dequantize, quantize
from course_lib.quantization.clipping import choose_clipped_qparams
from course_lib.quantization.models.adaround import adaround
from course_lib.quantization.models.config import WeightScheme
from course_lib.quantization.models.gptq import gptq
from course_lib.quantization.models.graph import WeightLayer


def quantize_weight(
    layer: WeightLayer,
    scheme: WeightScheme,
    *,
    inputs: Tensor | None = None,
    targets: Tensor | None = None,
    seed: int = 0,
) -> tuple[Tensor, QParams[Tensor]]:
    """Return the layer's weight rounded to its grid, in floating point, and the grid.

    Parameters
    ----------
    inputs
        What reaches the layer, for ``gptq`` and ``adaround``.
    targets
        What the layer gave in the original model, for ``adaround``.
    """
    weight = layer.weight.detach()
    choose = choose_qparams if scheme.range == "minmax" else choose_clipped_qparams
    qparams = choose(weight, scheme.bits, symmetric=scheme.symmetric, granularity=scheme.granularity)
    if scheme.rounding == "nearest":
        codes = quantize(weight, qparams)
    else:
        assert inputs is not None  # the caller captured them, since the scheme needs them
        codes = (
            gptq(layer, inputs, qparams)
            if scheme.rounding == "gptq"
            else adaround(layer, inputs, qparams, targets=targets, seed=seed)
        )
    return dequantize(codes, qparams), qparams
