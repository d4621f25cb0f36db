"""What every observer does with a batch first: any array in, finite NumPy numbers out."""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from course_lib.errors import DataError, ModelError
from course_lib.quantization.affine import MAX_MAGNITUDE

NDArray: TypeAlias = npt.NDArray[Any]
Bound: TypeAlias = float | npt.NDArray[np.float64]
"""One end of a range: a number, or an array where each channel has its own."""


def as_finite(x: Any) -> NDArray:
    """Return a NumPy array or a torch tensor of any device and type as a NumPy array, its values checked.

    Raises
    ------
    ModelError
        If some of the values are NaN, infinite, or beyond ±1e38; the message counts them.
    """
    if hasattr(x, "detach"):  # torch, which need not be imported for this; bfloat16 has no NumPy type
        x = x.detach().cpu().float().numpy()
    array = np.asarray(x)
    if array.dtype == np.float16:  # to which 1e38 is infinite
        array = array.astype(np.float32)
    finite = np.abs(array) <= MAX_MAGNITUDE  # false for NaN too
    if not finite.all():
        raise ModelError(
            f"{array.size - int(finite.sum())} of these {array.size} activations are NaN, infinite, or "
            f"beyond ±{MAX_MAGNITUDE:.0e}, and no range holds them; look for such values in the calibration "
            "data and in the weights of the layers before."
        )
    return array


def nothing_observed() -> DataError:
    """Return the error for a range that is asked for before any value came."""
    return DataError(
        "No calibration data was observed, so there is no range yet; run at least one batch through the "
        "model before converting it."
    )


def constant_warning(lowest: Bound, highest: Bound) -> str | None:
    """Return one sentence when all observed values of a tensor are the same number, otherwise None.

    Parameters
    ----------
    lowest, highest
        The extremes of the observed values; per channel, arrays of the same shape.
    """
    first, last = float(np.min(lowest)), float(np.max(highest))
    if first != last:
        return None
    return (
        f"All values observed so far are {first:g}, and a range fitted to one number holds no others; "
        "calibrate with real inputs, 100 to 1000 of them."
    )
