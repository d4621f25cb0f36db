"""From `nn.Module` to an ONNX graph in which every weight keeps its name, its layout and its values.

`torch.onnx.export` optimizes the graph by default: it folds BatchNormalization into the convolution before
it, merges weights with equal values, and stores the weight of a linear layer on (B, T, D) input transposed
under an invented name. That is faster to load and useless to learn from: a pruned or quantized weight could
no longer be found. Here the parameters stand outside while the optimizer tidies up the rest, so that

    initializer name == state_dict name,   initializer value == state_dict value

for every parameter and buffer that the forward pass reads (a weight that two layers share appears once,
under the first of its names; `num_batches_tracked` is not read in eval mode and does not appear). Runtimes
fold and fuse when they load the file, so nothing is lost at run time.
"""

import io
import logging
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr

import onnx
import torch
from torch import nn

from course_lib.architectures.tracing import ONE_TRACE
from course_lib.errors import ExportError

BATCH_AXIS_NAME = "batch"


def build_graph(
    model: nn.Module,
    inputs: tuple[torch.Tensor, ...],
    input_names: Sequence[str],
    output_names: Sequence[str],
    opset_version: int,
    dynamic_batch: bool,
) -> onnx.ModelProto:
    """Trace a module that is in eval mode and return its ONNX graph.

    Parameters
    ----------
    inputs
        With a dynamic batch these need a batch of 2 or more: a batch of 1 would be taken for a constant.
    dynamic_batch
        Whether axis 0 of every input is free; it is then called "batch".

    Raises
    ------
    ExportError
        If the forward pass cannot be traced, or uses an operator that ONNX does not have.
    """
    free = {0: torch.export.Dim(BATCH_AXIS_NAME)} if dynamic_batch else None
    try:
        with ONE_TRACE, _quiet(), torch.no_grad():
            traced = torch.export.export(
                model, inputs, dynamic_shapes=tuple(free for _ in inputs), strict=False
            )
            program = torch.onnx.export(
                traced,
                dynamo=True,
                verbose=False,
                optimize=False,
                opset_version=opset_version,
                input_names=list(input_names),
                output_names=list(output_names),
            )
            assert program is not None  # None is the answer of the older exporter only
            if dynamic_batch:
                _name_batch_axis(program)
            _tidy(program)
            return program.model_proto
    except Exception as error:  # the exporter raises whatever went wrong inside it
        raise ExportError(_why(error, type(model).__name__, opset_version)) from error


def _name_batch_axis(program: torch.onnx.ONNXProgram) -> None:
    """Replace the tracer's symbol for the batch size, such as s77, wherever it occurs."""
    shape = program.model.graph.inputs[0].shape
    if shape is not None:
        program.rename_axes({str(shape[0]): BATCH_AXIS_NAME})


def _tidy(program: torch.onnx.ONNXProgram) -> None:
    """Fold constants and drop clutter in place, with the parameters out of the optimizer's reach."""
    from onnxscript.ir.passes.common import (
        ClearMetadataAndDocStringPass,
    )  # half a second; only exports need it

    graph = program.model.graph
    parameters = list(graph.initializers.values())
    values = [parameter.const_value for parameter in parameters]
    # An input has no value that could be folded, fused or merged, so the parameters pose as inputs meanwhile.
    graph.initializers.clear()
    for parameter in parameters:
        parameter.const_value = None
    graph.inputs.extend(parameters)
    program.optimize()
    del graph.inputs[len(graph.inputs) - len(parameters) :]
    for parameter, value in zip(parameters, values, strict=True):
        parameter.const_value = value
        graph.register_initializer(parameter)
    # Each node carries the stack trace that made it: the paths of this machine, and half of a small file.
    ClearMetadataAndDocStringPass()(program.model)


def _why(error: Exception, name: str, opset_version: int) -> str:
    """Turn an exporter's page of advice into one sentence."""
    chain: list[BaseException] = [error]
    while chain[-1].__cause__ is not None:
        chain.append(chain[-1].__cause__)
    text = "\n".join(str(link) for link in chain)
    if operator := re.search(r"No ONNX function found for <OpOverload\(op='([\w.]+)'", text):
        return (
            f"{name} uses the operator {operator[1]}, which has no ONNX form at opset {opset_version}; "
            "replace it in the forward method, or pass a higher opset_version to export_onnx."
        )
    if "specialized it to be a constant" in text:
        return (
            f"{name} works for one batch size only; where its forward method has a fixed number or a Python "
            "loop over the batch write x.shape[0] or x.flatten(1), or export with dynamic_batch=False."
        )
    if "data-dependent" in text:
        return (
            f"The forward method of {name} decides by the values in a tensor, which a fixed graph cannot do; "
            "replace the if or the loop with torch.where before calling export_onnx."
        )
    return (
        f"{name} could not be turned into an ONNX graph ({first_line(chain[-1])}); "
        "rewrite that step of its forward method with torch operators."
    )


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text without its full stop, to put into a sentence."""
    return str(error).strip().split("\n")[0].rstrip(".") or type(error).__name__


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's warnings, log lines and dumps of half-traced graphs off the page.

    These switches are the process's own: warnings of other threads are muted meanwhile, too.
    """
    loggers = [logging.getLogger(name) for name in ("torch", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        try:
            for logger in loggers:
                logger.setLevel(logging.CRITICAL + 1)
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
