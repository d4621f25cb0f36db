"""Export a PyTorch module to one self-contained ONNX file.

ONNX is a list of operators with names for the tensors between them, plus the weights ("initializers"). The
operators' meaning is fixed by the opset version, which every runtime supports up to some number.

>>> from course_lib.architectures import load_pretrained
>>> export_onnx(load_pretrained("depthwise"), torch.zeros(1, 1, 28, 28), "depthwise.onnx")  # doctest: +SKIP
PosixPath('depthwise.onnx')

Left out: weights in a second file (needed above 2 GB), free axes other than the batch, control flow.
"""

from collections.abc import Sequence
from pathlib import Path

import onnx
import torch
from torch import nn

from course_lib.errors import ExportError, SettingError
from course_lib.export.onnx_checks import (
    check_batch_axis,
    check_names,
    check_weights,
    count_outputs,
    in_eval_mode,
)
from course_lib.export.onnx_graph import build_graph, first_line
from course_lib.reproducibility import write_atomically

DEFAULT_OPSET = 20
LOWEST_OPSET, HIGHEST_OPSET = 18, 23  # what the exporter writes without a lossy conversion


def export_onnx(
    model: nn.Module,
    example_inputs: torch.Tensor | Sequence[torch.Tensor],
    path: Path | str,
    *,
    input_names: Sequence[str] = ("input",),
    output_names: Sequence[str] = ("logits",),
    opset_version: int = DEFAULT_OPSET,
    dynamic_batch: bool = True,
) -> Path:
    """Write a module as an ONNX file, weights included, and return its path.

    Parameters
    ----------
    example_inputs
        One tensor for each input, batch first; only shapes and types matter.
    path
        The file appears whole or not at all; an older file there is replaced.
    input_names, output_names
        One name for each input and output of the graph.
    opset_version
        18 to 23. Quantized 4-bit weights need 21, one Attention node instead of five operators needs 23.
    dynamic_batch
        Whether the file takes any batch size; otherwise that of ``example_inputs``.

    Raises
    ------
    ModelError
        If the module holds NaN or infinite weights, or does not run on ``example_inputs``.
    SettingError
        If names, opset or example inputs do not fit.
    ExportError
        If the module cannot be expressed in ONNX, or the file cannot be written.
    """
    content = build_onnx(
        model,
        example_inputs,
        input_names=input_names,
        output_names=output_names,
        opset_version=opset_version,
        dynamic_batch=dynamic_batch,
    )
    return write_onnx(content, path)


def build_onnx(
    model: nn.Module,
    example_inputs: torch.Tensor | Sequence[torch.Tensor],
    *,
    input_names: Sequence[str] = ("input",),
    output_names: Sequence[str] = ("logits",),
    opset_version: int = DEFAULT_OPSET,
    dynamic_batch: bool = True,
) -> bytes:
    """Return the content of the file that `export_onnx` writes; the same arguments and exceptions."""
    if not LOWEST_OPSET <= opset_version <= HIGHEST_OPSET:
        raise SettingError(
            f"opset_version must be {LOWEST_OPSET} to {HIGHEST_OPSET}, not {opset_version}; "
            f"leave it out for {DEFAULT_OPSET}."
        )
    check_weights(model)
    inputs = (example_inputs,) if isinstance(example_inputs, torch.Tensor) else tuple(example_inputs)
    check_names("input", input_names, len(inputs))
    with in_eval_mode(model):
        check_names("output", output_names, count_outputs(model, inputs))
        if dynamic_batch:
            inputs = tuple(torch.cat([tensor, tensor])[:2] for tensor in inputs)
        graph = build_graph(model, inputs, input_names, output_names, opset_version, dynamic_batch)
    if dynamic_batch:
        check_batch_axis(graph, type(model).__name__)
    try:
        onnx.checker.check_model(graph, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ExportError(
            f"The exporter wrote a graph of {type(model).__name__} that ONNX's checker refuses "
            f"({first_line(error)}); try another opset_version."
        ) from error
    content: bytes = graph.SerializeToString(deterministic=True)
    return content


def write_onnx(content: bytes, path: Path | str) -> Path:
    """Put a finished ONNX file in its place, whole or not at all, and return the path."""
    path = Path(path)

    def write(temporary: Path) -> None:
        temporary.write_bytes(content)

    try:
        write_atomically(path, write)
    except OSError as error:
        raise ExportError(
            f"{path} could not be written ({error.strerror}) and is unchanged; "
            "free some space or pass another path to export_onnx."
        ) from error
    return path
