"""A Core ML package, read back from disk and computed by PyTorch: parity without a Mac.

The graph comes from ``model.mlmodel`` and the numbers from ``weight.bin``, by coremltools' own reader;
compressed weights are unpacked as their operators say, and each step runs in the type that the package
gives it. A package that passes was converted, compressed and written right. Core ML's own kernels are not
involved: how they round, and how fast they are, only a Mac can tell.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from course_lib.errors import MissingPackageError, ModelError
from course_lib.runtimes.batch_checks import check_batch, check_single
from course_lib.runtimes.coreml import CoreMl, names_and_shape, package_path
from course_lib.runtimes.coreml_steps import STEPS
from course_lib.runtimes.protocol import Array, ModelSource
from course_lib.runtimes.quiet import quiet_conversion


@dataclass(frozen=True)
class CoreMlReference:
    """A package as a list of steps; `load_reference` makes one."""

    program: Any = field(repr=False)
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]
    input_shape: tuple[int | None, ...] | None
    constants: dict[str, Any] = field(repr=False)
    threads: int = 1

    def run(self, batch: Array) -> Array:
        """Return the output for one batch; see `LoadedModel.run`."""
        check_single(self.input_names, self.output_names)
        check_batch(batch, "float32", self.input_shape)
        known = dict(self.constants)
        known[self.input_names[0]] = torch.from_numpy(batch.copy())
        with torch.inference_mode():
            for step in self.program.operations:
                if step.op_type not in STEPS:
                    continue  # a constant
                arguments = {name: _value(known, value) for name, value in step.inputs.items()}
                found = STEPS[step.op_type](arguments)
                results = found if isinstance(found, tuple) else (found,)
                known.update({var.name: each for var, each in zip(step.outputs, results, strict=True)})
        output: Array = known[self.output_names[0]].numpy()
        return output

    def operators(self) -> tuple[str, ...]:
        """Return the operators of the package in order, constants left out."""
        return tuple(step.op_type for step in self.program.operations if step.op_type != "const")


def load_reference(source: ModelSource) -> CoreMlReference:
    """Read a package from disk.

    Raises
    ------
    ModelError
        If there is no package, it is damaged, or it holds an operator that is not spelt out here.
    MissingPackageError
        If coremltools is missing.
    """
    path = package_path(source)
    if CoreMl().why_unavailable():
        raise MissingPackageError("coremltools", "read Core ML packages", "make compilers")
    with quiet_conversion():
        import coremltools
        from coremltools.converters.mil.frontend.milproto.load import load

        try:
            model = coremltools.models.MLModel(str(path), skip_model_load=True)
            spec = model.get_spec()
            program = load(spec, spec.specificationVersion, model.weights_dir).functions["main"]
            constants = _constants(program)
        except Exception as error:  # protobuf, the file system and coremltools each have errors of their own
            reason = str(error).strip().split("\n")[0].rstrip(".") or type(error).__name__
            raise ModelError(f"The package {path} is damaged ({reason}); compile it again.") from error
    for step in program.operations:
        if not _is_constant(step) and step.op_type not in STEPS:
            raise ModelError(
                f"The package {path} uses the operator {step.op_type}, which the reference does not compute; "
                "check this package on a Mac with CoreMl().load."
            )
    return CoreMlReference(program, *names_and_shape(spec), constants)


def _is_constant(step: Any) -> bool:
    return bool(step.op_type == "const" or step.op_type.startswith("constexpr_"))


def _constants(program: Any) -> dict[str, Any]:
    """Return name → value; arrays as tensors, compressed weights unpacked."""
    found = {}
    for step in program.operations:
        if _is_constant(step):
            value = step.outputs[0].val if step.op_type == "const" else step.materialized_val_inference()
            found[step.outputs[0].name] = _as_tensor(value)
    return found


def _as_tensor(value: Any) -> Any:
    """Return float arrays as tensors and everything else (shapes, axes, flags, texts) as it is."""
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        return torch.from_numpy(np.array(value))
    if isinstance(value, np.ndarray):
        return value.tolist()
    return value.item() if isinstance(value, np.generic) else value


def _value(known: dict[str, Any], variable: Any) -> Any:
    if isinstance(variable, list | tuple):
        return [_value(known, each) for each in variable]
    return known[variable.name]
