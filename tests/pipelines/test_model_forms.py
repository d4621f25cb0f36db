"""From a name, a module or a file to the forms of compilers: shapes, precisions, built once, one sentence."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch import nn

from course_lib.errors import DataError, ExportError, ModelError, SettingError, UnknownNameError
from course_lib.pipelines import model_forms
from course_lib.pipelines.model_forms import ModelForms, OnnxForms, prepare_forms, run_in_batches
from course_lib.quantization.error import sqnr_db
from course_lib.runtimes.onnx_runtime import OnnxRuntime
from tests.pipelines.small_onnx import SHAPE, calibration, small_net, write_small_onnx


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
    assert sqnr_db(of_module.reference, found) > least_db
    assert of_module.model.onnx(precision, rules) is content  # type: ignore[arg-type]


@pytest.mark.parametrize(("precision", "rules", "least_db"), FORMS)
def test_every_form_of_a_file_computes_the_same(
    of_file: ModelForms, precision: str, rules: str, least_db: float
) -> None:
    content = of_file.model.onnx(precision, rules)  # type: ignore[arg-type]
    found = run_in_batches(OnnxRuntime().load(content), of_file.inputs, 1)
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
    np.testing.assert_allclose(of_module.reference, expected, atol=1e-5)


def test_a_file_has_no_module(of_file: ModelForms) -> None:
    assert of_file.model.module is None
    assert of_file.model.name == "small"


def test_a_network_of_the_zoo_comes_with_training_images() -> None:
    forms = prepare_forms("tiny", batch=3)
    assert forms.notes == ()
    assert forms.model.example_inputs.shape == (3, 1, 28, 28)
    assert forms.model.calibration is not None
    assert forms.model.calibration.shape == (256, 1, 28, 28)
    assert len(forms.inputs) == 66  # 64, up to whole batches
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


def write_text(folder: Path) -> Path:
    path = folder / "text.onnx"
    path.write_text("not a graph")
    return path


def write_two_inputs(folder: Path) -> Path:
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 3)) for name in ("a", "b", "sum")]
    graph = helper.make_graph([helper.make_node("Add", ["a", "b"], ["sum"])], "g", values[:2], values[2:])
    path = folder / "two.onnx"
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    path.write_bytes(model.SerializeToString())
    return path


def write_external(folder: Path) -> Path:
    path = write_small_onnx(folder / "external.onnx")
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="weights", size_threshold=0)
    (folder / "weights").unlink()
    return path


@pytest.mark.parametrize(
    ("write", "sentence"),
    [
        (lambda folder: folder / "nothing.onnx", r"There is no ONNX file at .*nothing.onnx"),
        (lambda folder: str(folder / "nothing"), r"There is no ONNX file at .*nothing"),
        (write_text, r"The file .*text.onnx is not an ONNX model or is cut short"),
        (write_two_inputs, r"two.onnx has the inputs a, b, the first of type float32, and models with one"),
        (write_external, r"external.onnx keeps its weights in a second file that is missing"),
    ],
)
def test_a_file_that_cannot_be_taken_is_one_sentence(tmp_path: Path, write: object, sentence: str) -> None:
    with pytest.raises(ModelError, match=sentence):
        prepare_forms(write(tmp_path))  # type: ignore[operator]


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
