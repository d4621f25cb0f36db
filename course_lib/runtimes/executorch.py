"""ExecuTorch: PyTorch's own runtime for phones and small boards, with XNNPACK doing the arithmetic.

torch.export gives a graph of about two hundred kinds of operators. The partitioner marks what XNNPACK can
run, each marked piece becomes one call ("delegated"), and the rest is left to portable kernels, which are
plain loops. So the number of pieces tells how well a model fits: one is best, and each further one copies
its borders.

=========  ==============================================================================================
fp32       float32 throughout
fp16       the module in float16 with a cast at either end. XNNPACK keeps weights of convolutions in float32,
           so the file hardly shrinks, and what it lacks in float16 stays outside: "efficientnet" falls
           into 33 pieces instead of 1
int8       weights and activations as integers, by `course_lib.runtimes.executorch_int8`
=========  ==============================================================================================

The threads belong to the process: see `course_lib.runtimes.executorch_model`.

Left out: delegates for phones (Core ML, Qualcomm, Vulkan), several methods in a file, shapes that change.
"""

from copy import deepcopy
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import nn

from course_lib.errors import MissingPackageError, ModelError
from course_lib.runtimes.compilation import (
    ModelToCompile,
    Precision,
    calibration_of,
    module_of,
    refuse_precision,
)
from course_lib.runtimes.compiled_files import read_compiled, write_whole
from course_lib.runtimes.conversion_errors import refused_model
from course_lib.runtimes.executorch_model import (
    ONE_AT_A_TIME,
    ExecuTorchModel,
    LoadedMethod,
    load_method,
)
from course_lib.runtimes.protocol import ModelSource, check_threads
from course_lib.runtimes.quiet import CaughtOutput, caught_output, quiet_conversion

ABOUT_THE_MACHINE = ("Reading", "Failed to open", "CPU info", "Resetting threadpool")
"""How lines of the runtime's log begin that tell nothing about a file."""

SIGNATURE = b"ET"  # bytes 4 and 5 of every file; two digits follow


@dataclass(frozen=True)
class Delegation:
    """How much of a model went to XNNPACK: ``delegated_nodes`` in ``pieces`` calls, ``left_nodes`` outside.

    ``left_operators`` names what stays outside, with how often.
    """

    pieces: int
    delegated_nodes: int
    left_nodes: int
    left_operators: dict[str, int]


@dataclass(frozen=True)
class ExecuTorch:
    """Compiles modules to ``.pte`` files and runs them.

    Parameters
    ----------
    delegate
        Whether operators are given to XNNPACK; without it the portable kernels run all of them, slowly.
    """

    delegate: bool = True
    name: str = "executorch"
    suffix: str = ".pte"
    precisions: tuple[Precision, ...] = ("fp32", "fp16", "int8")

    def why_unavailable(self) -> str | None:
        """Return None, or one sentence if a package is missing."""
        missing = [package for package in ("executorch", "torchao") if not find_spec(package)]
        return str(_missing(missing[0])) if missing else None

    def why_not_run(self) -> str | None:
        """Return None where the package is installed: it runs on every CPU."""
        return self.why_unavailable()

    def version(self) -> str:
        """Return the version of the installed package."""
        self._check_installed()
        return version("executorch")

    def compile(self, model: ModelToCompile, path: Path, precision: Precision = "fp32") -> Path:
        """Build a ``.pte`` file; see `Compiler.compile`."""
        with quiet_conversion() as caught:
            content = bytes(self._lower(model, precision, caught)[0].buffer)
            self._check_operators(content, model.name, caught)
        return write_whole(content, path)

    def delegation(self, model: ModelToCompile, precision: Precision = "fp32") -> Delegation:
        """Lower a model without writing it and tell what was delegated; the exceptions of `compile`."""
        with quiet_conversion() as caught:
            graph = self._lower(model, precision, caught)[1]
            from executorch.devtools.backend_debug import get_delegation_info

            facts = get_delegation_info(graph)
        left = {
            name: counts.non_delegated
            for name, counts in facts.delegation_by_operator.items()
            if counts.non_delegated and "call_delegate" not in name and "getitem" not in name
        }
        return Delegation(
            pieces=facts.num_delegated_subgraphs,
            delegated_nodes=facts.num_delegated_nodes,
            left_nodes=sum(left.values()),
            left_operators=left,
        )

    def load(self, source: ModelSource, *, threads: int = 1) -> ExecuTorchModel:
        """Read a ``.pte`` file or its content; see `Runtime.load`."""
        check_threads(threads)
        content, label = read_compiled(source, "ExecuTorch", ".pte", SIGNATURE)
        self._check_installed()
        loaded = LoadedMethod(content, threads)
        with caught_output() as caught, ONE_AT_A_TIME:
            try:
                facts = loaded.get().metadata
            except RuntimeError as error:
                raise ModelError(
                    f"{label} is damaged or of another version of ExecuTorch ({_logged(caught, error)}); "
                    "compile it again with ExecuTorch().compile."
                ) from error
        return ExecuTorchModel(
            loaded=loaded,
            threads=threads,
            input_shape=tuple(facts.input_tensor_meta(0).sizes()),
            input_names=_names("input", facts.num_inputs()),
            output_names=_names("output", facts.num_outputs()),
        )

    def _lower(self, model: ModelToCompile, precision: Precision, caught: CaughtOutput) -> tuple[Any, Any]:
        """Return the program, and the graph that it was written from."""
        refuse_precision(self, precision)
        module = deepcopy(module_of(self, model)).eval()
        calibration = calibration_of(self, model) if precision == "int8" else None
        self._check_installed()
        inputs = torch.from_numpy(model.example_inputs.copy())
        try:
            from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
            from executorch.exir import to_edge_transform_and_lower

            if precision == "fp16":
                module = HalfInside(module)
            elif calibration is not None:
                from course_lib.runtimes.executorch_int8 import quantize_static

                module = quantize_static(module, inputs, calibration)
            with torch.no_grad():
                traced = torch.export.export(module, (inputs,), strict=False)
            edge = to_edge_transform_and_lower(
                traced, partitioner=[XnnpackPartitioner()] if self.delegate else []
            )
            graph = deepcopy(edge.exported_program().graph_module)
            return edge.to_executorch(), graph
        except Exception as error:  # the exporter raises whatever went wrong inside it
            raise refused_model(self.name, model.name, error, caught.text()) from error

    def _check_operators(self, content: bytes, name: str, caught: CaughtOutput) -> None:
        """Refuse a program with an operator that has no kernel: the exporter writes it without a word."""
        try:
            load_method(content)
        except RuntimeError as error:
            raise refused_model(self.name, name, error, caught.text()) from error

    def _check_installed(self) -> None:
        for package in ("executorch", "torchao"):
            if not find_spec(package):
                raise _missing(package)


class HalfInside(nn.Module):
    """A module in float16 that takes and returns float32."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module.half()

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the module's output in float32."""
        output: torch.Tensor = self.module(inputs.half())
        return output.float()


def _names(kind: str, count: int) -> tuple[str, ...]:
    """Return names for inputs and outputs, which have none in the file."""
    return (kind,) if count == 1 else tuple(f"{kind}_{index}" for index in range(count))


def _logged(caught: CaughtOutput, error: Exception) -> str:
    """Return the runtime's own reason, which it only logs, without the place in its source."""
    lines = [line.partition("] ")[2] for line in caught.text().splitlines() if line.startswith("[")]
    reasons = [line for line in lines if not line.startswith(ABOUT_THE_MACHINE)]
    return (reasons or [str(error)])[0].strip().rstrip(".")


def _missing(package: str) -> MissingPackageError:
    return MissingPackageError(package, "compile for ExecuTorch", "make compilers")
