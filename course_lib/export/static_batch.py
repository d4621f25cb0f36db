"""Give the free batch axis of an ONNX model a fixed length, for compilers that plan memory ahead of time.

A file made for any batch names its first axis, (batch, 1, 28, 28). A compiler for a phone or a GPU wants
(1, 1, 28, 28): then it knows every size, chooses kernels for it and lays all tensors out in advance.

Only the batch is ours to choose. A free height or a free length of a sentence changes what the model
computes, so it is refused by name.
"""

import onnx
from google.protobuf.message import DecodeError
from onnx import ModelProto, ValueInfoProto

from course_lib.errors import ExportError, SettingError
from course_lib.export.onnx_graph import first_line


def fix_batch(content: bytes, batch: int = 1) -> bytes:
    """Return the content of an ONNX file whose inputs all begin with an axis of length ``batch``.

    A model whose batch is fixed to this length already comes back as it is.

    Raises
    ------
    SettingError
        If ``batch`` is not a whole number of at least 1.
    ExportError
        If the content is not ONNX, an input has other free axes or another fixed batch, or the model does not
        work for this batch.
    """
    if isinstance(batch, bool) or not isinstance(batch, int) or batch < 1:
        raise SettingError(f"batch must be a whole number of at least 1, not {batch!r}; pass batch=1.")
    model = parse_onnx(content)
    inputs = true_inputs(model)
    shapes = {value.name: _fixed_shape(value, batch) for value in inputs}
    if all(shape == _lengths(value) for value, shape in zip(inputs, shapes.values(), strict=True)):
        return content
    from onnxruntime.tools.onnx_model_utils import make_input_shape_fixed

    try:
        for name, shape in shapes.items():
            make_input_shape_fixed(model.graph, name, shape)
        _infer_outputs(model)
    except Exception as error:  # onnx and ONNX Runtime raise errors of several kinds
        raise ExportError(
            f"The model does not work for a batch of {batch} ({first_line(error)}); "
            "export it again with export_onnx and an example of this batch."
        ) from error
    exported: bytes = model.SerializeToString(deterministic=True)
    return exported


def parse_onnx(content: bytes) -> ModelProto:
    """Return the model in the content of an ONNX file.

    Raises
    ------
    ExportError
        If it is not ONNX.
    """
    try:
        model = onnx.load_model_from_string(content)
    except DecodeError as error:
        raise ExportError(
            f"These {len(content):,} bytes are not an ONNX model; write one with export_onnx."
        ) from error
    if not model.graph.node:
        raise ExportError("This ONNX model has no operators; write one with export_onnx.")
    return model


def true_inputs(model: ModelProto) -> list[ValueInfoProto]:
    """Return the inputs without the weights, which older files list among them."""
    weights = {tensor.name for tensor in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in weights]


def _infer_outputs(model: ModelProto) -> None:
    """Fix the outputs' shapes as well, unless there is an operator that the onnx package does not know."""
    from onnxruntime.tools.onnx_model_utils import fix_output_shapes

    try:
        fix_output_shapes(model)
    except onnx.checker.ValidationError as error:
        if "No Op registered for" not in str(error):
            raise


def _lengths(value: ValueInfoProto) -> list[int | None]:
    """Return the length of each axis, None where it is free."""
    axes = value.type.tensor_type.shape.dim
    return [axis.dim_value if axis.HasField("dim_value") and axis.dim_value > 0 else None for axis in axes]


def _fixed_shape(value: ValueInfoProto, batch: int) -> list[int]:
    lengths = _lengths(value)
    if not lengths:
        raise ExportError(
            f"The input {value.name!r} declares no shape, so it has no batch axis to fix; "
            "export the model again with export_onnx."
        )
    names = [axis.dim_param for axis in value.type.tensor_type.shape.dim]
    free = [
        f"axis {index} ({names[index]!r})" if names[index] else f"axis {index}"
        for index, length in enumerate(lengths)
        if index and length is None
    ]
    if free:
        raise ExportError(
            f"The input {value.name!r} has free axes besides the batch, {', '.join(free)}, and this target "
            "needs every length; export the model again with fixed ones."
        )
    if lengths[0] not in (None, batch):
        raise ExportError(
            f"The input {value.name!r} is fixed to a batch of {lengths[0]} and not {batch}; "
            f"compile it for a batch of {lengths[0]}, or export it again with dynamic_batch=True."
        )
    return [batch, *(length for length in lengths[1:] if length is not None)]
