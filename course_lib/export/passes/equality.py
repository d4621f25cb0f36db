"""Does a pass change what a model computes? Both models are run on random input and compared.

Random input is no proof in the mathematical sense, but every weight and every branch-free operator takes
part in each element of the output: a pass that drops a factor or an axis does not survive it. ONNX's
reference evaluator computes operator by operator in NumPy, without any optimization of its own, so no
runtime's passes hide a difference; any other runner can be passed as well.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator

from course_lib.errors import ModelError, ParityError
from course_lib.export.onnx_graph import first_line
from course_lib.export.onnx_source import OnnxSource, read_onnx
from course_lib.export.parity import ParityReport, compare_outputs

Array = NDArray[Any]
Runner = Callable[[onnx.ModelProto, Mapping[str, Array]], Sequence[Array]]
"""(model, input name → value) → its outputs in order."""

FREE_LENGTH = 2
"""Length of axes that are free; 1 would hide a wrong order of axes."""


def run_reference(model: onnx.ModelProto, inputs: Mapping[str, Array]) -> Sequence[Array]:
    """Run a model with ONNX's reference evaluator.

    Raises
    ------
    ModelError
        If it has an operator that ONNX does not define, or does not take these inputs.
    """
    try:
        outputs: Any = ReferenceEvaluator(model).run(None, dict(inputs))
    except Exception as error:  # errors of the evaluator have no base class of their own
        raise ModelError(
            f"ONNX's reference evaluator cannot run this model ({first_line(error)}); "
            "pass run= a function that calls a runtime which has its operators."
        ) from error
    return list(outputs)


def random_inputs(model: onnx.ModelProto, seed: int = 0) -> dict[str, Array]:
    """Return input name → random values: normal for floating point, 0 or 1 for integers and booleans.

    Axes of free length have length 2. Inputs with a stored default are left out.
    """
    rng = np.random.default_rng(seed)
    stored = {tensor.name for tensor in model.graph.initializer}
    inputs = {}
    for value in model.graph.input:
        if value.name in stored:
            continue
        kind = value.type.tensor_type
        if not kind.elem_type or not kind.HasField("shape"):
            raise ModelError(
                f"The input {value.name!r} is no tensor of a declared shape; "
                "pass inputs= with your own values."
            )
        shape = [axis.dim_value or FREE_LENGTH for axis in kind.shape.dim]
        dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)
        real = np.issubdtype(dtype, np.floating)
        values = rng.normal(size=shape) if real else rng.integers(0, 2, size=shape)
        inputs[value.name] = np.asarray(values).astype(dtype)
    return inputs


def check_equal(
    before: OnnxSource,
    after: OnnxSource,
    *,
    inputs: Mapping[str, Array] | None = None,
    run: Runner = run_reference,
    seed: int = 0,
    absolute_tolerance: float = 0.0,
    relative_tolerance: float = 0.0,
) -> dict[str, ParityReport]:
    """Run two models on the same input, and return output name → how far they lie apart.

    Parameters
    ----------
    inputs
        Input name → value; random ones from ``seed`` when left out.
    absolute_tolerance, relative_tolerance
        As `compare_outputs`; with 0 the outputs must be equal bit for bit, up to the sign of zero.

    Raises
    ------
    ParityError
        If their inputs or outputs have other names, or some value differs by more than the tolerance.
    ModelError
        If one of them cannot be read or run.
    """
    models = read_onnx(before), read_onnx(after)
    for kind in ("input", "output"):
        names = [[value.name for value in getattr(model.graph, kind)] for model in models]
        if names[0] != names[1]:
            raise ParityError(
                f"The {kind}s of the first model are {names[0]} and those of the second {names[1]}; "
                "compare two versions of one model."
            )
    given = random_inputs(models[0], seed) if inputs is None else inputs
    expected, found = (run(model, given) for model in models)
    reports = {}
    for value, one, other in zip(models[0].graph.output, expected, found, strict=True):
        report = compare_outputs(
            np.asarray(one),
            np.asarray(other),
            absolute_tolerance=absolute_tolerance,
            relative_tolerance=relative_tolerance,
        )
        if not report.within_tolerance:
            raise ParityError(
                f"The output {value.name!r} at {list(report.worst_index)} was {report.reference_value:.6g} "
                f"and is {report.candidate_value:.6g} now (allowed is {report.allowed}), so the second model "
                "computes something else; undo the last change, or pass a larger absolute_tolerance."
            )
        reports[value.name] = report
    return reports
