"""From what somebody has (a name, a module, an ONNX file) to all the forms that compilers ask for.

>>> forms = prepare_forms("mobilenet_v2")  # doctest: +SKIP
>>> half = forms.model.onnx("fp16", "onnxruntime")  # doctest: +SKIP

Exporting takes seconds and quantizing too, so each form is made once and kept. int8 is the course's own
post-training quantization (`quantization.models.ptq`), written by the rules of the target; a file that came
without its module is quantized by ONNX Runtime (`quantized_file`).

A file that ONNX Runtime cannot run (a newer opset, an operator of somebody else's) may still suit another
compiler. It has all its forms but int8, and nothing to compare outputs with.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeAlias, cast, get_args

import numpy as np
import onnx
import torch
from torch import nn

from course_lib.architectures import create_model, input_shape, list_models, list_zoo, load_pretrained
from course_lib.benchmarking.machine import record_machine
from course_lib.data import load_dataset
from course_lib.errors import DataError, ExportError, ModelError, SettingError, UnknownNameError
from course_lib.export.half import to_half
from course_lib.export.onnx_export import build_onnx
from course_lib.export.qdq import Target, build_qdq
from course_lib.export.static_batch import fix_batch, true_inputs
from course_lib.pipelines.doctor_findings import pairs_saturate
from course_lib.pipelines.onnx_source import read_source
from course_lib.pipelines.quantized_file import quantize_file
from course_lib.pipelines.untrained import PICTURE, torchvision_names, untrained_torchvision
from course_lib.quantization.models.config import ActivationScheme, QuantizationConfig, WeightScheme
from course_lib.quantization.models.ptq import quantize_model
from course_lib.reproducibility import seeded_torch
from course_lib.runtimes.compilation import MIN_CALIBRATION, PRECISIONS, ModelToCompile, Precision
from course_lib.runtimes.eager import EagerRuntime
from course_lib.runtimes.onnx_runtime import OnnxRuntime
from course_lib.runtimes.protocol import Array, LoadedModel

Source: TypeAlias = str | Path | nn.Module

TORCHVISION = "torchvision:"
FASHION = (1, 28, 28)
CALIBRATED, COMPARED = 256, 64
RANDOM_COMPARED = 8


@dataclass(frozen=True)
class ModelForms:
    """A model to compile, the inputs to compare outputs on, and what the original gives for them.

    Parameters
    ----------
    inputs
        (M, …), M a multiple of the batch; none of them was calibrated on.
    reference
        (M, number of outputs): from eager PyTorch, or for an ONNX file from ONNX Runtime without graph
        optimization; None if that cannot run the file, which a note says.
    notes
        Sentences about where weights and inputs come from.
    """

    model: ModelToCompile
    inputs: Array = field(repr=False)
    reference: Array | None = field(repr=False)
    notes: tuple[str, ...] = ()


@dataclass
class OnnxForms:
    """The ``onnx`` function of a `ModelToCompile`, which makes each form once.

    Parameters
    ----------
    float32
        Makes the float32 form, with fixed shapes.
    quantized
        Makes the int8 form by the rules of a target.
    """

    float32: Callable[[], bytes]
    quantized: Callable[[Target], bytes]
    made: dict[tuple[str, str], bytes] = field(default_factory=dict, repr=False)

    def __call__(self, precision: Precision, rules: str) -> bytes:
        for kind, value, known in (
            ("precision", precision, PRECISIONS),
            ("set of rules", rules, get_args(Target)),
        ):
            if value not in known:
                raise UnknownNameError(kind, value, known)
        key = (precision, rules if precision == "int8" else "")
        if key not in self.made:
            self.made[key] = self._make(precision, cast(Target, rules))
        return self.made[key]

    def _make(self, precision: Precision, rules: Target) -> bytes:
        if precision == "int8":
            return self.quantized(rules)
        return to_half(self("fp32", rules)) if precision == "fp16" else self.float32()


def prepare_forms(
    source: Source,
    *,
    batch: int = 1,
    shape: Sequence[int] | None = None,
    calibration: Array | None = None,
) -> ModelForms:
    """Return the forms of a model.

    Parameters
    ----------
    source
        A network of the course by name (trained where the zoo has it), one of torchvision as
        "torchvision:NAME" (or its name alone where the course has none of this name), an ``nn.Module``, or
        the path of an ONNX file with one input and one output.
    batch
        The batch that compiled files will take.
    shape
        (C, H, W) of one input; needed for a module that comes without ``calibration``.
    calibration
        Real inputs, (M, C, H, W), float32; the last ones are for the comparison, the others, at least 32,
        for the ranges of int8. When left out: training images of Fashion-MNIST for 1×28×28, otherwise random
        numbers, which a note says.

    Raises
    ------
    UnknownNameError
        If there is no such model.
    ModelError
        If a file is missing, is not ONNX, or has other inputs or outputs than one float32 input and one
        output, or a module does not take inputs of this shape.
    ExportError
        If a file's shape has free axes besides the batch.
    SettingError, DataError
        If a module comes without shape, or there are too few calibration inputs.
    """
    if isinstance(batch, bool) or not isinstance(batch, int) or batch < 1:
        raise SettingError(f"batch must be a whole number of at least 1, not {batch!r}; pass batch=1.")
    if isinstance(source, Path) or (isinstance(source, str) and _is_path(source)):
        return _forms_of_file(Path(source), batch, calibration)
    note: tuple[str, ...] = ()
    if isinstance(source, str):
        name, module, shape, note = _named(source)
    else:
        name, module = type(source).__name__, source
        shape = shape or (None if calibration is None else np.asarray(calibration).shape[1:])
        if shape is None:
            raise SettingError(
                f"The shape of one input of {name} is not known; pass shape=(channels, height, width)."
            )
    calibrated, compared, about = _inputs(tuple(shape), batch, calibration)
    original = EagerRuntime().load(module)
    example = compared[:batch]
    tensor = torch.from_numpy(example)
    forms = OnnxForms(
        partial(build_onnx, original.module, tensor, dynamic_batch=False),
        partial(_quantize, original.module, calibrated, tensor),
    )
    model = ModelToCompile(name, example, forms, original.module, calibrated)
    return ModelForms(model, compared, run_in_batches(original, compared, batch), (*note, *about))


def run_in_batches(model: LoadedModel, inputs: Array, batch: int) -> Array:
    """Return the outputs for all inputs, computed ``batch`` at a time."""
    starts = range(0, len(inputs), batch)
    return np.concatenate([model.run(inputs[start : start + batch]) for start in starts])


def _is_path(text: str) -> bool:
    return text.endswith(".onnx") or "/" in text or "\\" in text


def _named(name: str) -> tuple[str, nn.Module, tuple[int, ...], tuple[str, ...]]:
    if name in list_zoo():
        return name, load_pretrained(name), input_shape(name), ()
    if name in list_models():
        with seeded_torch(0):
            model = create_model(name)
        return name, model, input_shape(name), (f"The weights of {name} are random: it is not in the zoo.",)
    bare = name.removeprefix(TORCHVISION)
    if bare == name and name not in torchvision_names():
        raise UnknownNameError("model", name, [*list_models(), f"{TORCHVISION}resnet18"])
    note = (
        f"The weights of {bare} are random, with batch norms set by random pictures: trained ones would have "
        "to be downloaded."
    )
    return bare, untrained_torchvision(bare), PICTURE, (note,)


def _forms_of_file(path: Path, batch: int, calibration: Array | None) -> ModelForms:
    fixed = fix_batch(read_source(path), batch)
    (value,) = true_inputs(onnx.load_model_from_string(fixed))
    shape = tuple(axis.dim_value for axis in value.type.tensor_type.shape.dim)
    calibrated, compared, about = _inputs(shape[1:], batch, calibration)
    forms = OnnxForms(lambda: fixed, partial(quantize_file, fixed, calibrated, batch))
    model = ModelToCompile(path.stem, compared[:batch], forms, None, calibrated)
    try:
        reference = run_in_batches(OnnxRuntime("off").load(fixed), compared, batch)
    except ModelError as error:
        reason = str(error)
        note = (
            "Outputs could not be compared, and latencies have no ratio, because ONNX Runtime does not run "
            f"{path.name}: {reason[0].lower()}{reason[1:]}"
        )
        return ModelForms(model, compared, None, (note, *about))
    return ModelForms(model, compared, reference, about)


def _inputs(shape: tuple[int, ...], batch: int, given: Array | None) -> tuple[Array, Array, tuple[str, ...]]:
    """Return inputs to calibrate on, others to compare on (a multiple of the batch), and notes."""
    if given is not None:
        if not isinstance(given, np.ndarray):
            raise DataError(
                f"calibration is a {type(given).__name__}; pass a float32 NumPy array, the batch first."
            )
        count = max(len(given) - MIN_CALIBRATION, 0)
        count = min(count, COMPARED) // batch * batch
        if not count:
            raise SettingError(
                f"{len(given)} calibration inputs are too few: {MIN_CALIBRATION} set the ranges of int8 and "
                f"at least {batch} more compare outputs; pass {MIN_CALIBRATION + batch} or more."
            )
        return given[:-count], given[-count:], ()
    count = -(-(COMPARED if shape == FASHION else RANDOM_COMPARED) // batch) * batch
    if shape == FASHION:
        images = load_dataset("fashion-mnist", "train").inputs(slice(CALIBRATED + count))
        return images[:CALIBRATED], images[CALIBRATED:], ()
    numbers = np.random.default_rng(0).standard_normal((MIN_CALIBRATION + count, *shape), np.float32)
    note = (
        f"No data of shape {'×'.join(map(str, shape))} ships with the course, so inputs are random numbers: "
        "parity in fp32 is meaningful, and the ranges of int8 are not those of real pictures."
    )
    return numbers[:MIN_CALIBRATION], numbers[MIN_CALIBRATION:], (note,)


def _quantize(module: nn.Module, calibration: Array, example: torch.Tensor, rules: Target) -> bytes:
    """Return the QDQ form: 8 bits, or 7 for weights where this CPU's sums of pairs would saturate."""
    saturates = rules == "onnxruntime" and pairs_saturate(record_machine().cpu_flags)
    config = QuantizationConfig(
        WeightScheme(7 if saturates else 8), ActivationScheme(symmetric=rules == "tensorrt")
    )
    batches = [calibration[start : start + 32] for start in range(0, len(calibration), 32)]
    try:
        quantized = quantize_model(module, batches, config)
        return fix_batch(build_qdq(quantized, example, target=rules), len(example))
    except ModelError as error:
        raise ExportError(str(error)) from error
