"""An ONNX file that somebody wants compiled: taken in whole, and refused if it is no model of one array.

What is asked about it is read from the graph itself, so that no runtime needs to understand its operators.
"""

from pathlib import Path

import onnx

from course_lib.errors import ModelError
from course_lib.export.static_batch import true_inputs
from course_lib.runtimes.onnx_content import read_onnx


def read_source(path: Path) -> bytes:
    """Return the content of an ONNX file, with weights that lie in a second file.

    Raises
    ------
    ModelError
        If the file or its weights are missing, it is not ONNX, or it does not lead from one float32 input to
        one output.
    """
    model = read_onnx(path, "The compile command")
    _check_values(model, path.name)
    try:
        onnx.load_external_data_for_model(model, str(path.parent))
        content: bytes = model.SerializeToString()
    except (OSError, ValueError, onnx.checker.ValidationError) as error:
        raise ModelError(
            f"{path.name} keeps its weights in a second file that is missing or too large to take in; put "
            "that file beside it, or export again with export_onnx."
        ) from error
    return content


def _check_values(model: onnx.ModelProto, name: str) -> None:
    inputs, outputs = true_inputs(model), model.graph.output
    if len(inputs) == len(outputs) == 1 and inputs[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT:
        return
    given = ", ".join(f"{value.name} ({_dtype(value)})" for value in inputs)
    made = ", ".join(value.name for value in outputs)
    raise ModelError(
        f"{name} has the inputs [{given}] and the outputs [{made}], and models with one float32 input "
        "and one output are compiled; export such a part."
    )


def _dtype(value: onnx.ValueInfoProto) -> str:
    kind = value.type.tensor_type.elem_type
    return "float32" if kind == onnx.TensorProto.FLOAT else onnx.TensorProto.DataType.Name(kind).lower()
