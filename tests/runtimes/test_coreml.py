import sys
from types import SimpleNamespace

import numpy as np
import pytest

from course_lib.errors import ExportError, MissingPackageError, ModelError, SettingError, UnknownNameError
from course_lib.runtimes.compilation import Compiler
from course_lib.runtimes.coreml import CoreMl
from course_lib.runtimes.coreml_reference import load_reference
from tests.runtimes.optional import needs
from tests.runtimes.small_models import Deciding, Singular, convolutions, hand_worked, images, to_compile

needs("coremltools")
pytestmark = pytest.mark.slow

ROW = np.array([[1, 1, 5]], np.float32)


@pytest.fixture(scope="module")
def linear(tmp_path_factory):
    path = tmp_path_factory.mktemp("coreml") / "linear.mlpackage"
    return CoreMl().compile(to_compile(hand_worked(), ROW), path)


def test_protocol():
    assert isinstance(CoreMl(), Compiler)


def test_an_older_package_is_replaced(linear):
    CoreMl().compile(to_compile(convolutions(), images(1)), linear.with_name("again.mlpackage"))
    path = CoreMl().compile(to_compile(hand_worked(), ROW), linear.with_name("again.mlpackage"))
    assert load_reference(path).run(ROW).tolist() == [[3.0, 7.0]]


def test_prediction_needs_a_mac(linear, monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    sentence = (
        "Core ML runs models on macOS only; copy the .mlpackage folder to a Mac, or compute it with "
        "load_reference to check its parity."
    )
    assert CoreMl().why_not_run() == sentence
    with pytest.raises(ModelError) as caught:
        CoreMl().load(linear)
    assert str(caught.value) == sentence


def test_loading_on_a_mac(linear, monkeypatch):
    """With Apple's framework replaced: what is asked of it, and that its answer comes back."""
    import coremltools

    reference = load_reference(linear)
    spec = coremltools.models.MLModel(str(linear), skip_model_load=True).get_spec()
    asked = []

    def stand_in(path, compute_units):
        asked.append((path, compute_units.name))
        return SimpleNamespace(
            get_spec=lambda: spec, predict=lambda batches: {"logits": reference.run(batches["input"])}
        )

    monkeypatch.setattr(coremltools.models, "MLModel", stand_in)
    monkeypatch.setattr(sys, "platform", "darwin")
    loaded = CoreMl(compute_units="cpu_and_neural_engine").load(linear, threads=2)
    assert asked == [(str(linear), "CPU_AND_NE")]
    assert (loaded.input_names, loaded.output_names, loaded.input_shape) == (("input",), ("logits",), (1, 3))
    assert loaded.run(ROW).tolist() == [[3.0, 7.0]]
    with pytest.raises(ModelError, match=r"takes input of shape \(1, 3\)"):
        loaded.run(np.zeros((2, 3), np.float32))


def test_refused_settings(linear, tmp_path):
    model, path = to_compile(hand_worked(), ROW), tmp_path / "no.mlpackage"
    with pytest.raises(SettingError, match=r"palette_bits must be one of \(1, 2, 4, 6, 8\), not 5"):
        CoreMl(palette_bits=5).compile(model, path)
    with pytest.raises(SettingError, match="either as 8-bit integers or by a palette"):
        CoreMl(palette_bits=4).compile(model, path, "int8")
    with pytest.raises(SettingError, match=r"a folder that ends in .mlpackage, not no.onnx"):
        CoreMl().compile(model, tmp_path / "no.onnx")
    with pytest.raises(UnknownNameError, match="There is no choice of compute units called 'npu'"):
        CoreMl(compute_units="npu").load(linear)
    assert not list(tmp_path.iterdir())


def test_refused_models(tmp_path):
    path = tmp_path / "no.mlpackage"
    with pytest.raises(ModelError, match="coreml compiles PyTorch modules and the model is an ONNX file"):
        CoreMl().compile(to_compile(None, ROW), path)
    with pytest.raises(ModelError, match=r"coreml has no form of the operator .*svd"):
        CoreMl().compile(to_compile(Singular().eval(), np.ones((1, 3, 3), np.float32)), path)
    with pytest.raises(ModelError, match="coreml needs a fixed graph and the forward method of the model"):
        CoreMl().compile(to_compile(Deciding().eval(), ROW), path)
    assert not list(tmp_path.iterdir())


def test_refused_packages(tmp_path):
    with pytest.raises(ModelError, match=r"There is no Core ML package at .*none.mlpackage; write it with"):
        CoreMl().load(tmp_path / "none.mlpackage")
    with pytest.raises(ModelError, match=r"Core ML takes the path of an .mlpackage folder, not bytes"):
        CoreMl().load(b"")


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ExportError, match=r"could not be written \(.*\) and is unchanged"):
        CoreMl().compile(to_compile(hand_worked(), ROW), tmp_path / "file" / "model.mlpackage")


def test_nothing_is_printed(tmp_path, capfd, recwarn):
    load_reference(CoreMl().compile(to_compile(hand_worked(), ROW), tmp_path / "model.mlpackage")).run(ROW)
    assert capfd.readouterr() == ("", "")
    assert not recwarn.list
    assert [path.name for path in tmp_path.iterdir()] == ["model.mlpackage"]


def test_package_missing(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "coremltools", None)
    expected = "coremltools is needed to compile for Core ML; install it with: make compilers"
    assert CoreMl().why_unavailable() == expected
    with pytest.raises(MissingPackageError) as caught:
        CoreMl().compile(to_compile(hand_worked(), ROW), tmp_path / "model.mlpackage")
    assert str(caught.value) == expected
