"""N:M sparsity: of every M consecutive weights along the input axis, at most N are not zero.

The pattern is fine-grained enough to keep accuracy and regular enough for hardware: for 2:4, tensor cores of
NVIDIA's Ampere and later store the two values with 2-bit positions and skip the rest (Mishra et al. 2021).
A CPU's dense kernel gains nothing by it.

The input axis is 1: columns of a linear layer's (out, in), and input channels of a convolution's
(out, in / groups, height, width) at one place of the kernel, which are next to each other once the weight is
laid out as the matrix that is multiplied. Of each M the N of largest magnitude stay; of equal ones the
earlier position goes first.

Worked example, 2:4 over the row [1, −5, 2, 3, 0, 0, 7, 1]: of the first four −5 and 3 stay, of the last four
7 and 1, so the mask is [0, 1, 0, 1, 0, 0, 1, 1].

Left out: permuting the channels so that large weights are spread evenly over the blocks (Pool and Yu 2021).
"""

from collections.abc import Mapping
from typing import Literal, TypeAlias, get_args

from array_api_compat import array_namespace

from course_lib.errors import ModelError, SettingError
from course_lib.pruning.masks import Array
from course_lib.registry import look_up

INPUT_AXIS = 1

Indivisible: TypeAlias = Literal["refuse", "keep"]
"""What to do with a tensor whose input axis M does not divide: raise, or leave it dense."""


def n_m_mask(weight: Array, n: int = 2, m: int = 4) -> Array:
    """Return the N:M mask of one tensor; see `n_m_masks`."""
    return n_m_masks({"weight": weight}, n, m)["weight"]


def n_m_masks(
    weights: Mapping[str, Array], n: int = 2, m: int = 4, *, indivisible: Indivisible = "refuse"
) -> dict[str, Array]:
    """Return for each tensor the mask that keeps the N largest of each M weights along axis 1.

    Parameters
    ----------
    weights
        Name → tensor of at least two dimensions.
    n, m
        Weights kept, and weights in a block: 1 ≤ n ≤ m.
    indivisible
        ``"refuse"`` raises where m does not divide the input axis; ``"keep"`` leaves such a tensor dense, its
        mask all True.

    Returns
    -------
    Name → boolean mask of the tensor's shape, True = keep.

    Raises
    ------
    SettingError
        If not 1 ≤ n ≤ m.
    UnknownNameError
        If ``indivisible`` is neither of the two.
    ModelError
        If a tensor has fewer than two dimensions, NaN or infinite values, or an input axis that m does not
        divide.
    """
    _require_pattern(n, m)
    look_up(dict.fromkeys(get_args(Indivisible)), "way with indivisible sizes", indivisible)
    masks = {}
    for name, weight in weights.items():
        xp = array_namespace(weight)
        _require_input_axis(name, weight)
        if not xp.all(xp.isfinite(weight)):
            raise ModelError(
                f"The tensor {name!r} holds NaN or infinite weights, which have no place in a ranking by "
                "magnitude; repair it first, for example with torch.nan_to_num or numpy.nan_to_num."
            )
        if weight.shape[INPUT_AXIS] % m == 0:
            masks[name] = _keep_largest(weight, n, m)
        elif indivisible == "keep":
            masks[name] = xp.ones_like(weight, dtype=xp.bool)
        else:
            raise ModelError(
                f"The tensor {name!r} has {weight.shape[INPUT_AXIS]} inputs, which blocks of {m} do not "
                "fill; leave it out, or keep it dense with indivisible='keep'."
            )
    return masks


def is_n_m(array: Array, n: int = 2, m: int = 4) -> bool:
    """Return whether a weight or mask follows the pattern: at most N of each M along axis 1 are not zero.

    A tensor whose input axis M does not divide does not follow it.

    Raises
    ------
    SettingError
        If not 1 ≤ n ≤ m.
    ModelError
        If the tensor has fewer than two dimensions.
    """
    _require_pattern(n, m)
    _require_input_axis("weight", array)
    if array.shape[INPUT_AXIS] % m:
        return False
    xp = array_namespace(array)
    return bool(xp.all(xp.count_nonzero(_blocks(array, m), axis=-1) <= n))


def _keep_largest(weight: Array, n: int, m: int) -> Array:
    xp = array_namespace(weight)
    # The place of each weight in the rising order of its block: a stable sort, sorted once more.
    order = xp.argsort(xp.abs(_blocks(weight, m)), axis=-1, stable=True)
    kept = xp.argsort(order, axis=-1, stable=True) >= m - n
    outputs, inputs, *rest = weight.shape
    mask: Array = xp.moveaxis(xp.reshape(kept, (outputs, *rest, inputs)), -1, INPUT_AXIS)
    return mask


def _blocks(array: Array, m: int) -> Array:
    """Return the array with its input axis moved to the end and split into blocks: (…, inputs / m, m)."""
    xp = array_namespace(array)
    outputs, inputs, *rest = array.shape
    blocks: Array = xp.reshape(xp.moveaxis(array, INPUT_AXIS, -1), (outputs, *rest, inputs // m, m))
    return blocks


def _require_pattern(n: int, m: int) -> None:
    if not 1 <= n <= m:
        raise SettingError(
            f"The pattern {n}:{m} is none: it keeps n of every m weights, 1 ≤ n ≤ m; try n=2, m=4."
        )


def _require_input_axis(name: str, array: Array) -> None:
    if array.ndim < 2:
        raise ModelError(
            f"The tensor {name!r} has shape {tuple(array.shape)} and so no input axis; pass weights of "
            "linear layers (out, in) or convolutions (out, in / groups, height, width)."
        )
