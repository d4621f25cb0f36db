"""I/O binding: ONNX Runtime reads and writes arrays that were handed over once, before the first run.

An ordinary run looks its input up by name, allocates a new array for the output and hands it over. A bound
model has one array for each, always in the same place:

>>> bound = bind(OnnxRuntime().load("model.onnx"), batch)  # doctest: +SKIP
>>> bound.inputs[...] = camera_image  # doctest: +SKIP
>>> bound.compute()  # doctest: +SKIP
>>> bound.outputs.argmax()  # doctest: +SKIP

On a GPU this saves a copy to the device and back at each call, its main use. On the CPU it saves looking up
and allocating, a few microseconds a call: much of the smallest models' time, nothing of the large ones'.
`BoundModel.run` copies in and out, so that nobody's result is overwritten by the next call, and so gives
some of that back.

Left out: several inputs or outputs, arrays on other devices.
"""

from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import numpy as np

from course_lib.errors import ModelError
from course_lib.runtimes.onnx_errors import core_of
from course_lib.runtimes.onnx_model import OnnxModel
from course_lib.runtimes.protocol import Array


@dataclass(frozen=True, eq=False)
class BoundModel:
    """A model with its two arrays, for batches of one shape; made by `bind`.

    ``inputs`` is read and ``outputs`` is overwritten by every `compute`.
    """

    model: OnnxModel = field(repr=False)
    inputs: Array = field(repr=False)
    outputs: Array = field(repr=False)
    _binding: Any = field(repr=False)
    _lock: Any = field(default_factory=Lock, repr=False)

    @property
    def input_names(self) -> tuple[str, ...]:
        """The name of the input."""
        return self.model.input_names

    @property
    def output_names(self) -> tuple[str, ...]:
        """The name of the output."""
        return self.model.output_names

    @property
    def input_shape(self) -> tuple[int | None, ...] | None:
        """The shape of ``inputs``, the only one that it takes."""
        return self.inputs.shape

    @property
    def threads(self) -> int:
        """How many threads one run computes with."""
        return self.model.threads

    def compute(self) -> None:
        """Compute ``outputs`` from ``inputs``, without any copy; for one thread at a time.

        Raises
        ------
        ModelError
            If the model fails, such as on an output whose shape depends on the values.
        """
        try:
            self.model.session.run_with_iobinding(self._binding, self.model.run_options)
        except Exception as error:  # ONNX Runtime's errors have no base class of their own
            raise ModelError(
                f"The bound model fails on these values ({core_of(error)}); an output whose shape depends on "
                "the values cannot be bound, so run such a model without binding."
            ) from error

    def run(self, batch: Array) -> Array:
        """Return the output for one batch of the bound shape, as a new array; see `LoadedModel.run`."""
        if not isinstance(batch, np.ndarray):
            raise ModelError(f"run takes a NumPy array, not {type(batch).__name__}; pass np.asarray(batch).")
        if batch.shape != self.inputs.shape or batch.dtype != self.inputs.dtype:
            raise ModelError(
                f"This model is bound to {self.inputs.dtype} of shape {self.inputs.shape} and the batch is "
                f"{batch.dtype} of shape {batch.shape}; bind it to an example of that shape as well."
            )
        with self._lock:
            np.copyto(self.inputs, batch)
            self.compute()
            return self.outputs.copy()


def bind(model: OnnxModel, example: Array) -> BoundModel:
    """Bind a loaded model's input and output to arrays for batches like ``example``.

    The model runs once, which tells the shape of its output. A model with a free batch axis can be bound
    several times, once a batch size.

    Raises
    ------
    ModelError
        If it has several inputs or outputs, or does not take the example.
    """
    output = model.run(example)
    inputs, outputs = np.array(example, order="C"), np.zeros_like(output, order="C")
    binding = model.session.io_binding()
    for attach, name, array in (
        (binding.bind_input, model.input_names[0], inputs),
        (binding.bind_output, model.output_names[0], outputs),
    ):
        attach(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
    return BoundModel(model, inputs, outputs, binding)
