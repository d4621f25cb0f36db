"""What compilers share: the model's description is checked, and refusals are one sentence."""

import numpy as np
import pytest
from torch import nn

from course_lib.errors import DataError, ModelError, SettingError, UnknownNameError
from course_lib.runtimes.compilation import (
    PRECISIONS,
    Compiler,
    ModelToCompile,
    calibration_of,
    module_of,
    refuse_precision,
)
from tests.runtimes.file_compiler import FileCompiler, FixedForms, file_model


def test_the_precisions() -> None:
    assert PRECISIONS == ("fp32", "fp16", "int8")


def test_a_compiler_is_told_by_its_methods() -> None:
    assert isinstance(FileCompiler(), Compiler)


@pytest.mark.parametrize(
    ("example", "calibration", "sentence"),
    [
        (np.zeros((1, 3)), None, "The example inputs of net are float64 with"),
        ([[1.0]], None, "The example inputs of net are list with no shape; pass a float32 array"),
        (np.zeros(3, np.float32), None, "at least two axes, the batch first and not empty"),
        (np.zeros((0, 3), np.float32), None, "not empty"),
        (np.zeros((1, 3), np.float32), np.zeros((32, 4), np.float32), "they may differ in the batch only"),
        (np.zeros((1, 3), np.float32), np.zeros((31, 3), np.float32), "net has 31 calibration inputs"),
    ],
)
def test_inputs_that_do_not_fit_are_one_sentence(
    example: np.ndarray, calibration: np.ndarray | None, sentence: str
) -> None:
    with pytest.raises(DataError, match=sentence):
        ModelToCompile("net", example, FixedForms(), calibration=calibration)


def test_a_precision_that_is_not_built() -> None:
    refuse_precision(FileCompiler(), "int8")
    with pytest.raises(SettingError, match="files does not build fp16; it builds fp32, int8"):
        refuse_precision(FileCompiler(), "fp16")
    with pytest.raises(UnknownNameError, match="There is no precision called 'fp8'"):
        refuse_precision(FileCompiler(), "fp8")


def test_a_missing_module_or_calibration_is_said() -> None:
    model = file_model()
    assert calibration_of(FileCompiler(), model) is model.calibration
    with pytest.raises(ModelError, match="files compiles PyTorch modules and words is an ONNX file"):
        module_of(FileCompiler(), model)
    bare = ModelToCompile("net", model.example_inputs, FixedForms(), nn.Identity())
    assert isinstance(module_of(FileCompiler(), bare), nn.Identity)
    with pytest.raises(ModelError, match="net comes with none; pass at least 32 calibration inputs"):
        calibration_of(FileCompiler(), bare)
