"""Export a model, and keep the file only if ONNX Runtime computes with it what PyTorch computes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from course_lib.errors import SettingError
from course_lib.export.onnx_export import DEFAULT_OPSET, build_onnx, write_onnx
from course_lib.export.parity import Array, ParityReport, check_parity
from course_lib.runtimes.eager import EagerRuntime
from course_lib.runtimes.onnx_runtime import OnnxRuntime


def export_with_parity(
    model: nn.Module,
    example_inputs: torch.Tensor,
    path: Path | str,
    *,
    input_names: Sequence[str] = ("input",),
    output_names: Sequence[str] = ("logits",),
    opset_version: int = DEFAULT_OPSET,
    dynamic_batch: bool = True,
    absolute_tolerance: float = 1e-5,
    relative_tolerance: float = 1e-4,
    seed: int = 0,
) -> tuple[Path, ParityReport]:
    """Export a module with one input and one output, check the result, and only then put the file in place.

    The check runs on ``example_inputs`` and on random inputs of the same spread, which are fresh: a value
    that the exporter took for a constant shows there. With a dynamic batch the random inputs come in a batch
    of 1 and one that is larger than the example.

    Returns
    -------
    tuple
        The path, and the report over all outputs compared.

    Raises
    ------
    ParityError
        If the exported graph computes something else; nothing is written and an older file stays.
    ModelError, ExportError, SettingError
        As `export_onnx`.
    """
    if not isinstance(example_inputs, torch.Tensor):
        raise SettingError(
            f"export_with_parity takes one tensor as example_inputs, not {type(example_inputs).__name__}; "
            "use export_onnx and check_parity for models with several inputs."
        )
    content = build_onnx(
        model,
        example_inputs,
        input_names=input_names,
        output_names=output_names,
        opset_version=opset_version,
        dynamic_batch=dynamic_batch,
    )
    example = example_inputs.detach().cpu().numpy()
    sizes = (1, len(example) + 1) if dynamic_batch else (len(example),)
    rng = np.random.default_rng(seed)
    report = check_parity(
        EagerRuntime().load(model).run,
        OnnxRuntime().load(content).run,
        [example, *(_random_like(example, size, rng) for size in sizes)],
        absolute_tolerance=absolute_tolerance,
        relative_tolerance=relative_tolerance,
    )
    return write_onnx(content, path), report


def _random_like(example: Array, size: int, rng: np.random.Generator) -> Array:
    """Return a batch of ``size`` rows with the example's type and spread."""
    shape = (size, *example.shape[1:])
    if np.issubdtype(example.dtype, np.floating):
        # An example of zeros is a common one; its spread says nothing.
        return rng.normal(example.mean(), example.std() or 1.0, shape).astype(example.dtype)
    return rng.choice(example.ravel(), shape)
