"""An ONNX model in half precision inside, with float32 inputs and outputs as before.

float16 has 11 significant bits and ends at 65,504, so weights take half the bytes and every result carries a
relative rounding error of up to 2⁻¹¹ ≈ 0.0005. Casts stand at the inputs and outputs, so a program that calls
the model needs no change.

The conversion is ONNX Runtime's own. It leaves operators that have no float16 form in float32 with casts
around them, and clips constants beyond ±65,504. Activations are not looked at: whether one of them overflows
shows in a parity check only.

Worked example: 1/3 becomes 0.333251953125, which is 1365 · 2⁻¹².
"""

from onnx import ModelProto

from course_lib.errors import ExportError
from course_lib.export.onnx_graph import first_line
from course_lib.export.static_batch import parse_onnx


def to_half(content: bytes) -> bytes:
    """Return the content of an ONNX file with float16 weights and activations.

    Raises
    ------
    ExportError
        If the content is not an ONNX model, or has an operator that cannot be converted.
    """
    model = parse_onnx(content)
    from onnxruntime.transformers.float16 import convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    try:
        half: ModelProto = convert_float_to_float16(model, keep_io_types=True)
        OnnxModel(half).topological_sort()  # its casts come last in the list of nodes, which ONNX forbids
    except Exception as error:  # the converter raises whatever went wrong inside it
        raise ExportError(
            f"The model cannot be converted to float16 ({first_line(error)}); "
            "check it with onnx.checker.check_model, or stay in float32."
        ) from error
    exported: bytes = half.SerializeToString(deterministic=True)
    return exported
