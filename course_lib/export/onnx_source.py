"""Read any ONNX model: a file, its content, or a model in memory."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import onnx
from google.protobuf.message import DecodeError

from course_lib.errors import ModelError

OnnxSource: TypeAlias = onnx.ModelProto | bytes | str | Path


def read_onnx(source: OnnxSource, *, weights: bool = True) -> onnx.ModelProto:
    """Return an ONNX model; one that is in memory already comes back as it is, not copied.

    Parameters
    ----------
    weights
        Whether weights that lie in a second file are read too.

    Raises
    ------
    ModelError
        If there is no file, it is not ONNX or cut short, or its second file is missing.
    """
    if isinstance(source, onnx.ModelProto):
        return _checked(source, "This model")
    if isinstance(source, bytes):
        label = f"The content ({len(source):,} bytes)"
        return _checked(_decode(lambda: onnx.load_from_string(source), label), label)
    if not isinstance(source, str | Path):
        raise ModelError(
            "An ONNX model is a path, the bytes of a file or an onnx.ModelProto, "
            f"not {type(source).__name__}; export a module with build_onnx(model, example_inputs) first."
        )
    path = Path(source)
    if not path.is_file():
        raise ModelError(
            f"There is no ONNX file at {path}; write one with export_onnx(model, example_inputs, path)."
        )
    return _checked(_decode(lambda: onnx.load(path, load_external_data=weights), path.name), path.name)


def _decode(load: Callable[[], onnx.ModelProto], label: str) -> onnx.ModelProto:
    try:
        return load()
    except (FileNotFoundError, onnx.checker.ValidationError) as error:
        raise ModelError(
            f"{label} keeps its weights in a second file that is missing; put that file beside it."
        ) from error
    except (DecodeError, OSError) as error:
        raise _not_onnx(label) from error


def _checked(model: onnx.ModelProto, label: str) -> onnx.ModelProto:
    """Refuse what protobuf reads without complaint although it holds no graph, such as an empty file."""
    if not model.HasField("graph") or not model.opset_import:
        raise _not_onnx(label)
    return model


def _not_onnx(label: str) -> ModelError:
    return ModelError(
        f"{label} is not an ONNX model or is cut short; "
        "write one with export_onnx(model, example_inputs, path)."
    )
