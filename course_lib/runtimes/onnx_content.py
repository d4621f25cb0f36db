"""An ONNX file as a compiler is given it: read, and looked at before a compiler says something less clear.

OpenVINO and TensorRT both read a file of any opset and take each operator in the newest meaning that they
know, without a word where the file means another. So the version is compared here.
"""

from pathlib import Path

import onnx

from course_lib.errors import ModelError
from course_lib.runtimes.protocol import ModelSource


def read_onnx(source: ModelSource, target: str) -> onnx.ModelProto:
    """Return an ONNX file or its content as a graph, weights in a second file left where they are.

    Parameters
    ----------
    target
        Who is to compile it, for the message.

    Raises
    ------
    ModelError
        If there is no such file, or it is not ONNX.
    """
    if isinstance(source, bytes):
        content, label = source, f"The ONNX content ({len(source):,} bytes)"
    elif isinstance(source, str | Path):
        path = Path(source)
        if not path.is_file():
            raise ModelError(
                f"There is no ONNX file at {path}; write it with export_onnx(model, example_inputs, path)."
            )
        content, label = path.read_bytes(), f"The file {path}"
    else:
        raise ModelError(
            f"{target} takes the path or the bytes of an ONNX file, not {type(source).__name__}; "
            "write one with export_onnx(model, example_inputs, path)."
        )
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except Exception:  # protobuf raises several kinds for a damaged file
        model.Clear()
    if not model.graph.node:
        raise ModelError(
            f"{label} is not an ONNX model or is cut short; "
            "write it again with export_onnx(model, example_inputs, path)."
        )
    return model


def check_opset(model: onnx.ModelProto, highest: int, target: str) -> None:
    """Refuse a graph in a newer version of ONNX's own operators than ``target`` knows."""
    for entry in model.opset_import:
        if entry.domain in ("", "ai.onnx") and entry.version > highest:
            raise ModelError(
                f"The model is written in opset {entry.version}, and {target} understands opsets up to "
                f"{highest}; export it again with a lower opset_version."
            )


def check_fixed_shapes(model: onnx.ModelProto, target: str) -> None:
    """Refuse a graph with an input that has an axis of any length."""
    weights = {tensor.name for tensor in model.graph.initializer}
    for value in model.graph.input:
        kind = value.type.tensor_type
        lengths = [axis.dim_param or axis.dim_value or "?" for axis in kind.shape.dim]
        if value.name not in weights and not (kind.HasField("shape") and _all_fixed(lengths)):
            raise ModelError(
                f"The input {value.name!r} has the shape ({', '.join(map(str, lengths))}), and {target} "
                "needs numbers only; export the model again with dynamic_batch=False."
            )


def node_named(model: onnx.ModelProto, operator: str, domain: str = "") -> str:
    """Return the name of the first node with this operator, or of its first output if it has no name."""
    for node in model.graph.node:
        if node.op_type == operator and node.domain in (domain, domain or "ai.onnx"):
            return str(node.name or (node.output[0] if node.output else ""))
    return ""


def _all_fixed(lengths: list[str | int]) -> bool:
    return all(isinstance(length, int) for length in lengths)
