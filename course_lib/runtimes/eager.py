"""Eager PyTorch as a runtime: the baseline that every other runtime is compared with.

Eager means that Python calls one operator after the other; nothing is fused and nothing is planned ahead.
For small models most of the time goes into those calls.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn

from course_lib.errors import ModelError
from course_lib.runtimes.protocol import Array, ModelSource, check_threads


@dataclass(frozen=True)
class EagerModel:
    """A private copy of a module in eval mode, callable with arrays."""

    module: nn.Module = field(repr=False)
    threads: int
    input_names: tuple[str, ...] = ("input",)
    output_names: tuple[str, ...] = ("logits",)
    input_shape: tuple[int | None, ...] | None = None

    def run(self, batch: Array) -> Array:
        """Return the module's output for one batch; see `LoadedModel.run`."""
        inputs = torch.from_numpy(
            np.require(batch, requirements=["C", "W"])
        )  # torch has no read-only tensors
        try:
            with _torch_threads(self.threads), torch.inference_mode():
                outputs = self.module(inputs)
        except Exception as error:  # whatever the module's forward method raises
            reason = str(error).strip().split("\n")[0].rstrip(".") or type(error).__name__
            raise ModelError(
                f"{type(self.module).__name__} cannot take a {batch.dtype} batch of shape {batch.shape} "
                f"({reason}); pass the shape and type that it was trained with."
            ) from error
        if not isinstance(outputs, torch.Tensor):
            raise ModelError(
                f"{type(self.module).__name__} returns {type(outputs).__name__} and a runtime gives one "
                "array; let its forward method return one tensor."
            )
        array: Array = outputs.numpy()
        return array


@dataclass(frozen=True)
class EagerRuntime:
    """Runs an `nn.Module` as it is.

    PyTorch's thread count belongs to the process, not to a model. Each `run` sets it and puts the old one
    back (under a microsecond), so two eager models with different counts can take turns; when they run at
    the same moment in two threads, the count of the one that started last holds for both.
    """

    name: str = "eager"

    def why_unavailable(self) -> str | None:
        """Return None: PyTorch is always there."""
        return None

    def load(self, source: ModelSource, *, threads: int = 1) -> EagerModel:
        """Copy a module and switch the copy to eval mode; see `Runtime.load`."""
        check_threads(threads)
        if not isinstance(source, nn.Module):
            raise ModelError(
                f"The eager runtime runs a PyTorch module, not {type(source).__name__}; "
                'load an ONNX file with get_runtime("onnxruntime").load(path).'
            )
        return EagerModel(deepcopy(source).eval(), threads)


@contextmanager
def _torch_threads(threads: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
