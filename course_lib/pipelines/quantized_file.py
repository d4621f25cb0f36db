"""int8 for an ONNX file whose PyTorch module is not at hand: ONNX Runtime's own static quantization.

The course's quantization works on modules. For a file, `onnxruntime.quantization` watches the range of every
tensor on calibration inputs (smallest to largest value) and writes the same kind of graph: each quantized
tensor passes through QuantizeLinear and DequantizeLinear, weights have a scale for each channel.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from course_lib.benchmarking.machine import record_machine
from course_lib.errors import ExportError, ModelError
from course_lib.export.onnx_graph import first_line
from course_lib.export.qdq import Target
from course_lib.pipelines.doctor_findings import pairs_saturate
from course_lib.runtimes.onnx_runtime import OnnxRuntime
from course_lib.runtimes.protocol import Array


def quantize_file(content: bytes, calibration: Array, batch: int, rules: Target) -> bytes:
    """Return the int8 form of a float32 ONNX file with one input.

    Parameters
    ----------
    content
        With fixed shapes.
    calibration
        (M, …) inputs, taken ``batch`` at a time; what is left over is not used.
    rules
        "tensorrt" for symmetric grids and float biases.

    Raises
    ------
    ExportError
        If ONNX Runtime cannot load or quantize the file.
    """
    import onnx
    from onnxruntime import quantization

    try:
        OnnxRuntime("off").load(content)
    except ModelError as error:
        reason = str(error)
        raise ExportError(
            f"ONNX Runtime cannot quantize this file, as it cannot load it: {reason[0].lower()}{reason[1:]}"
        ) from error
    symmetric = rules == "tensorrt"
    model = onnx.load_model_from_string(content)
    weights = {tensor.name for tensor in model.graph.initializer}
    name = next(value.name for value in model.graph.input if value.name not in weights)
    starts = range(0, len(calibration) // batch * batch, batch)
    feeds = iter([{name: calibration[start : start + batch]} for start in starts])

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]  # untyped
        def get_next(self) -> dict[str, Array] | None:
            return next(feeds, None)

    with TemporaryDirectory() as folder, _quiet():
        before, after = Path(folder) / "float32.onnx", Path(folder) / "int8.onnx"
        before.write_bytes(content)
        try:
            quantization.quantize_static(
                before,
                after,
                Reader(),
                quant_format=quantization.QuantFormat.QDQ,
                per_channel=True,
                reduce_range=not symmetric and pairs_saturate(record_machine().cpu_flags),
                activation_type=quantization.QuantType.QInt8 if symmetric else quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
                extra_options={"ActivationSymmetric": symmetric, "QuantizeBias": not symmetric},
            )
        except Exception as error:  # whatever went wrong inside it
            raise ExportError(
                f"ONNX Runtime cannot quantize this file ({first_line(error)}); pass the PyTorch module "
                "that it was exported from."
            ) from error
        return after.read_bytes()


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep advice about preparing the file off the page."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
