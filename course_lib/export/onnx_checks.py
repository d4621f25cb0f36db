"""What a module must satisfy before its export to ONNX, and its graph afterwards."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import onnx
import torch
from torch import nn

from course_lib.errors import ExportError, ModelError, SettingError
from course_lib.export.onnx_graph import BATCH_AXIS_NAME, first_line

LARGEST_FILE_BYTES = 2**31 - 1  # protobuf's limit for one message


def check_weights(model: nn.Module) -> None:
    """Refuse weights that no file can hold or that no prediction survives."""
    tensors = dict(model.state_dict(keep_vars=True))
    size_bytes = sum(tensor.nbytes for tensor in tensors.values())
    if size_bytes > LARGEST_FILE_BYTES:
        raise ExportError(
            f"{type(model).__name__} holds {size_bytes / 1e9:.1f} GB of weights and one ONNX file "
            "at most 2.1 GB; export it in parts, or store the weights in half precision with model.half()."
        )
    for name, tensor in tensors.items():
        bad = int((~torch.isfinite(tensor)).sum())
        if bad:
            raise ModelError(
                f"{bad} of the {tensor.numel()} values of {name} are NaN or infinite; "
                "load a sound checkpoint with load_pretrained or model.load_state_dict before exporting."
            )


def check_names(kind: str, names: Sequence[str], count: int) -> None:
    """Refuse too few, too many or repeated names."""
    if isinstance(names, str) or len(set(names)) != len(names) or len(names) != count:
        raise SettingError(
            f"{kind}_names must hold {count} different name{'s' * (count != 1)}, one for each {kind}, "
            f"not {names!r}; for example {kind}_names={tuple(f'{kind}_{i}' for i in range(count))!r}."
        )


def count_outputs(model: nn.Module, inputs: tuple[torch.Tensor, ...]) -> int:
    """Run the module once on the example, and return how many tensors come out."""
    shapes = ", ".join(str(tuple(tensor.shape)) for tensor in inputs)
    if not inputs or any(tensor.ndim == 0 or tensor.shape[0] == 0 for tensor in inputs):
        raise SettingError(
            f"example_inputs needs tensors with at least one row, not shape {shapes or 'nothing'}; "
            "pass for example torch.zeros(1, 1, 28, 28)."
        )
    try:
        with torch.no_grad():
            output = model(*inputs)
    except Exception as error:  # whatever the student's forward method raises
        raise ModelError(
            f"{type(model).__name__} does not run on example inputs of shape {shapes} ({first_line(error)}); "
            "pass example_inputs of the shape and type that the model takes."
        ) from error
    outputs = (output,) if isinstance(output, torch.Tensor) else output
    if not isinstance(outputs, tuple | list) or not all(isinstance(item, torch.Tensor) for item in outputs):
        raise ExportError(
            f"{type(model).__name__} returns {type(output).__name__}, and ONNX knows only tensors; "
            "let its forward method return one tensor or a tuple of tensors."
        )
    return len(outputs)


def check_batch_axis(graph: onnx.ModelProto, name: str) -> None:
    """Refuse a graph in which some input or output lost the free batch axis."""
    for value in (*graph.graph.input, *graph.graph.output):
        shape = [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]
        if not shape or shape[0] != BATCH_AXIS_NAME:
            raise ExportError(
                f"The tensor {value.name!r} of {name} has shape {tuple(shape)} and not the batch as its "
                "axis 0; keep the batch first in its forward method, or pass dynamic_batch=False."
            )


@contextmanager
def in_eval_mode(model: nn.Module) -> Iterator[None]:
    """Switch dropout and batch statistics off, and put each module's own flag back afterwards."""
    flags = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in flags:
            module.training = training
