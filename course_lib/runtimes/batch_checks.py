"""Why a model does not take a batch, said alike by every runtime.

Most would convert it silently or say so less clearly, and call `check_batch` before each run. ONNX Runtime
refuses other shapes by itself; `why_not_taken` explains afterwards, which keeps the check out of every
measured call.
"""

import numpy as np

from course_lib.errors import ModelError
from course_lib.runtimes.protocol import Array


def check_batch(batch: Array, dtype: str, shape: tuple[int | None, ...] | None) -> None:
    """Refuse a batch of another type or shape.

    Parameters
    ----------
    dtype
        NumPy's name of the type that the model takes, such as "float32".
    shape
        The shape that it takes, with None for an axis of any length; None if it says nothing about that.

    Raises
    ------
    ModelError
        With one sentence.
    """
    check_array(batch)
    reason = why_not_taken(batch, dtype, shape)
    if reason is not None:
        raise ModelError(reason)


def check_array(batch: Array) -> None:
    """Refuse a list or anything else that is no NumPy array."""
    if not isinstance(batch, np.ndarray):
        raise ModelError(f"run takes a NumPy array, not {type(batch).__name__}; pass np.asarray(batch).")


def why_not_taken(batch: Array, dtype: str, shape: tuple[int | None, ...] | None) -> str | None:
    """Return one sentence if a model of this type and shape does not take the array; see `check_batch`."""
    if batch.dtype != dtype:
        return f'The model takes {dtype} and the batch is {batch.dtype}; pass batch.astype("{dtype}").'
    if shape is not None and (
        batch.ndim != len(shape) or any(w not in (None, b) for w, b in zip(shape, batch.shape, strict=True))
    ):
        free = ", ".join("any" if axis is None else str(axis) for axis in shape)
        return (
            f"The model takes input of shape ({free}) and the batch has shape {batch.shape}; "
            "prepare the data as for training, with one axis for the batch first."
        )
    return None


def check_single(input_names: tuple[str, ...], output_names: tuple[str, ...]) -> None:
    """Refuse a model with several inputs or outputs, which `LoadedModel.run` is not for."""
    if len(input_names) != 1 or len(output_names) != 1:
        raise ModelError(
            "run is for models with one input and one output, and this one has the inputs "
            f"{input_names} and the outputs {output_names}; load it with ONNX Runtime and call session.run."
        )
