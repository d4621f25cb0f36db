"""From a name, a module or a file to the forms of compilers: shapes, precisions, built once, one sentence."""

import re
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from course_lib.errors import DataError, ExportError, ModelError, SettingError, UnknownNameError
from course_lib.pipelines import model_forms
from course_lib.pipelines.model_forms import ModelForms, OnnxForms, prepare_forms, run_in_batches
from course_lib.quantization.error import sqnr_db
from course_lib.runtimes.onnx_runtime import OnnxRuntime
from tests.pipelines.small_onnx import SHAPE, calibration, small_net, write_for_others, write_small_onnx


@pytest.fixture(scope="module")
def of_module() -> ModelForms:
    return prepare_forms(small_net(), batch=2, calibration=calibration(42))


@pytest.fixture
def of_file(tmp_path: Path) -> ModelForms:
    return prepare_forms(write_small_onnx(tmp_path / "small.onnx"), calibration=calibration())


def axes(content: bytes) -> list[int]:
    return [
        axis.dim_value
        for axis in onnx.load_model_from_string(content).graph.input[0].type.tensor_type.shape.dim
    ]


FORMS = [
    ("fp32", "tensorrt", 100),
    ("fp16", "onnxruntime", 50),
    ("int8", "onnxruntime", 12),
    ("int8", "tensorrt", 12),
]
"""Precision, rules, and the least SQNR in dB; ranges from 32 inputs cut off some scores of the others."""


@pytest.mark.slow
@pytest.mark.parametrize(("precision", "rules", "least_db"), FORMS)
def test_every_form_of_a_module_computes_the_same(
    of_module: ModelForms, precision: str, rules: str, least_db: float
) -> None:
    content = of_module.model.onnx(precision, rules)  # type: ignore[arg-type]
    assert axes(content) == [2, *SHAPE]
    found = run_in_batches(OnnxRuntime().load(content), of_module.inputs, 2)
    assert of_module.reference is not None
    assert sqnr_db(of_module.reference, found) > least_db
    assert of_module.model.onnx(precision, rules) is content  # type: ignore[arg-type]


@pytest.mark.parametrize(("precision", "rules", "least_db"), FORMS)
def test_every_form_of_a_file_computes_the_same(
    of_file: ModelForms, precision: str, rules: str, least_db: float
) -> None:
    content = of_file.model.onnx(precision, rules)  # type: ignore[arg-type]
    found = run_in_batches(OnnxRuntime().load(content), of_file.inputs, 1)
    assert of_file.reference is not None
    assert sqnr_db(of_file.reference, found) > least_db


def test_the_module_and_its_inputs(of_module: ModelForms) -> None:
    model = of_module.model
    assert (model.name, model.example_inputs.shape) == ("SmallNet", (2, *SHAPE))
    assert model.calibration is not None
    assert len(model.calibration) == 32
    assert len(of_module.inputs) == 10
    assert not (model.calibration[:, None] == of_module.inputs[None]).all((2, 3, 4)).any()
    with torch.no_grad():
        expected = small_net()(torch.from_numpy(of_module.inputs)).numpy()
    assert of_module.reference is not None
    np.testing.assert_allclose(of_module.reference, expected, atol=1e-5)


def test_a_file_has_no_module(of_file: ModelForms) -> None:
    assert of_file.model.module is None
    assert of_file.model.name == "small"


@pytest.mark.parametrize(
    ("opset", "operator", "reason"),
    [
        (99, "", r"is written in opset 99, and this ONNX Runtime understands opsets up to \d+; export"),
        (20, "Unheard", "uses the operator Unheard"),
        (20, "somebody:Unheard", "uses the operator somebody:Unheard"),
    ],
)
def test_a_file_that_onnx_runtime_does_not_run_has_no_reference(
    tmp_path: Path, opset: int, operator: str, reason: str
) -> None:
    path = write_for_others(tmp_path / "new.onnx", opset, operator)
    forms = prepare_forms(path, batch=2, calibration=calibration())
    assert forms.reference is None
    (note,) = forms.notes
    assert re.match(
        "Outputs could not be compared, and latencies have no ratio, because ONNX Runtime does not run "
        rf"new.onnx: the ONNX content \([\d,]+ bytes\) {reason}",
        note,
    )
    assert forms.inputs.shape == (8, *SHAPE)
    for precision in ("fp32", "fp16"):
        assert axes(forms.model.onnx(precision, "tensorrt")) == [2, *SHAPE]  # type: ignore[arg-type]
    sentence = (
        rf"ONNX Runtime cannot quantize this file, as it cannot load it: the ONNX content \(.*\) {reason}"
    )
    with pytest.raises(ExportError, match=sentence):
        forms.model.onnx("int8", "tensorrt")


def test_a_network_of_the_zoo_comes_with_training_images() -> None:
    forms = prepare_forms("tiny", batch=3)
    assert forms.notes == ()
    assert forms.model.example_inputs.shape == (3, 1, 28, 28)
    assert forms.model.calibration is not None
    assert forms.model.calibration.shape == (256, 1, 28, 28)
    assert len(forms.inputs) == 66  # 64, up to whole batches
    assert forms.reference is not None
    assert forms.reference.shape == (66, 10)


def test_random_inputs_and_weights_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def small_squeezenet(name: str) -> nn.Module:
        return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2))

    monkeypatch.setattr(model_forms, "untrained_torchvision", small_squeezenet)
    forms = prepare_forms("torchvision:squeezenet1_1")
    assert forms.model.name == "squeezenet1_1"
    assert forms.inputs.shape == (8, 3, 224, 224)
    weights, inputs = forms.notes
    assert weights.startswith("The weights of squeezenet1_1 are random, with batch norms set by")
    assert inputs.startswith("No data of shape 3×224×224 ships with the course, so inputs are random numbers")
    assert prepare_forms("resnet18").model.name == "resnet18"  # the course has none of this name


def test_an_untrained_network_of_the_course() -> None:
    forms = prepare_forms("micronet")
    assert forms.notes == ("The weights of micronet are random: it is not in the zoo.",)


def test_each_form_is_made_once() -> None:
    made: list[str] = []

    def quantized(rules: str) -> bytes:
        made.append(rules)
        return b"int8"

    forms = OnnxForms(lambda: made.append("fp32") or b"", quantized)  # type: ignore[arg-type]
    for rules in ("onnxruntime", "tensorrt", "onnxruntime"):
        forms("fp32", rules)
        forms("int8", rules)
    assert made == ["fp32", "onnxruntime", "tensorrt"]
    with pytest.raises(UnknownNameError, match="no set of rules called 'coreml'"):
        forms("int8", "coreml")
    with pytest.raises(UnknownNameError, match="no precision called 'fp8'"):
        forms("fp8", "tensorrt")  # type: ignore[arg-type]


def test_a_module_that_cannot_be_quantized_is_an_export_error() -> None:
    forms = prepare_forms(nn.Flatten(), calibration=calibration())
    with pytest.raises(ExportError, match="has no convolution or linear layer to quantize"):
        forms.model.onnx("int8", "tensorrt")


def test_a_file_that_cannot_be_taken_is_one_sentence(tmp_path: Path) -> None:
    for name in ("nothing.onnx", "nothing"):
        with pytest.raises(ModelError, match=rf"There is no ONNX file at .*{name}"):
            prepare_forms(str(tmp_path / name))


def test_free_axes_besides_the_batch_are_named(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"free axes besides the batch, axis 2 \('height'\)"):
        prepare_forms(write_small_onnx(tmp_path / "free.onnx", height="height"))


def test_other_bad_input_is_one_sentence() -> None:
    with pytest.raises(UnknownNameError, match=r"no model called 'mobilenet_v9'.*'mobilenet_v"):
        prepare_forms("mobilenet_v9")
    with pytest.raises(SettingError, match=r"The shape of one input of SmallNet is not known; pass shape="):
        prepare_forms(small_net())
    with pytest.raises(SettingError, match="batch must be a whole number of at least 1, not 0"):
        prepare_forms("tiny", batch=0)
    with pytest.raises(SettingError, match="32 calibration inputs are too few: 32 set the ranges of int8"):
        prepare_forms(small_net(), calibration=calibration(32))
    with pytest.raises(DataError, match="calibration is a list; pass a float32 NumPy array"):
        prepare_forms(small_net(), calibration=[1.0])  # type: ignore[arg-type]
    with pytest.raises(ModelError, match=r"SmallNet cannot take a float32 batch of shape \(1, 1, 5, 5\)"):
        prepare_forms(small_net(), shape=(1, 5, 5))
