"""An ONNX Runtime session as a loaded model: a batch in, scores out, and one sentence where that fails."""

from dataclasses import dataclass, field
from typing import Any

from course_lib.errors import ModelError
from course_lib.runtimes.batch_checks import check_array, why_not_taken
from course_lib.runtimes.onnx_errors import core_of
from course_lib.runtimes.protocol import Array

DTYPES = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(float16)": "float16",
    "tensor(int8)": "int8",
    "tensor(uint8)": "uint8",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(bool)": "bool",
}


@dataclass(frozen=True)
class OnnxModel:
    """An ONNX Runtime session with the shapes and types that it declares.

    ``run_options`` go along with every run; None for the runtime's own.
    """

    session: Any = field(repr=False)
    threads: int
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]
    input_shape: tuple[int | None, ...] | None
    input_dtype: str
    run_options: Any = field(default=None, repr=False)

    def run(self, batch: Array) -> Array:
        """Return the output for one batch; see `LoadedModel.run`."""
        self.check_one_input_and_output()
        check_array(batch)
        feeds = {self.input_names[0]: batch}
        try:
            output: Array = self.session.run(self.output_names, feeds, self.run_options)[0]
        except Exception as error:  # ONNX Runtime's errors have no base class of their own
            raise ModelError(self.why_failed(batch, error)) from error
        return output

    def check_one_input_and_output(self) -> None:
        """Refuse a model that has several, which one array cannot stand for."""
        if len(self.input_names) != 1 or len(self.output_names) != 1:
            raise ModelError(
                "run is for models with one input and one output, and this one has the inputs "
                f"{self.input_names} and the outputs {self.output_names}; call session.run for it."
            )

    def why_failed(self, batch: Array, error: Exception) -> str:
        """Explain a failed run; looking into it only now keeps the check out of every measured call."""
        return why_not_taken(batch, self.input_dtype, self.input_shape) or (
            f"The model fails on a batch of shape {batch.shape} ({core_of(error)}); "
            "try the batch size that it was exported with, or export it with dynamic_batch=True."
        )


def with_shapes(session: Any, threads: int, run_options: Any = None) -> OnnxModel:
    """Return a session as a model, with the shapes and types that it declares."""
    inputs = session.get_inputs()
    shape = tuple(axis if isinstance(axis, int) else None for axis in inputs[0].shape)
    return OnnxModel(
        session=session,
        threads=threads,
        input_names=tuple(value.name for value in inputs),
        output_names=tuple(value.name for value in session.get_outputs()),
        input_shape=shape or None,  # () stands for "no shape declared"
        input_dtype=DTYPES.get(inputs[0].type, inputs[0].type),
        run_options=run_options,
    )
