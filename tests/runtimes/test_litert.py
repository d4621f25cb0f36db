import sys

import numpy as np
import pytest

from course_lib.errors import ExportError, MissingPackageError, ModelError, SettingError
from course_lib.runtimes import LoadedModel
from course_lib.runtimes.compilation import Compiler
from course_lib.runtimes.litert import LiteRt
from tests.runtimes.optional import needs
from tests.runtimes.small_models import (
    Deciding,
    Singular,
    convolutions,
    hand_worked,
    images,
    scores,
    to_compile,
)

needs("litert_torch")
pytestmark = pytest.mark.slow

ROW = np.array([[1, 1, 5]], np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("litert")


@pytest.fixture(scope="module")
def linear(folder):
    return LiteRt().compile(to_compile(hand_worked(), ROW), folder / "linear.tflite")


@pytest.fixture(scope="module")
def network():
    return convolutions()


@pytest.fixture(scope="module")
def compiled(folder, network):
    """Precision → file; the three of them together, as one conversion takes seconds."""
    model = to_compile(network, images(1), images(64, seed=1))
    return {
        precision: LiteRt().compile(model, folder / f"{precision}.tflite", precision)
        for precision in LiteRt().precisions
    }


def run_each(loaded, batch):
    return np.concatenate([loaded.run(row[None]) for row in batch])


def test_protocol_and_hand_worked_value(linear):
    assert isinstance(LiteRt(), Compiler)
    loaded = LiteRt().load(linear, threads=2)
    assert isinstance(loaded, LoadedModel)
    assert (loaded.threads, loaded.input_shape) == (2, (1, 3))
    assert loaded.run(ROW).tolist() == [[3.0, 7.0]]
    assert LiteRt().load(linear.read_bytes()).run(ROW).tolist() == [[3.0, 7.0]]


@pytest.mark.parametrize("xnnpack", [True, False])
@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-5), ("fp16", 1e-2), ("int8", 0.1)])
def test_equals_eager(compiled, network, precision, tolerance, xnnpack):
    batch = images(20, seed=2)
    found = run_each(LiteRt(xnnpack=xnnpack).load(compiled[precision]), batch)
    np.testing.assert_allclose(found, scores(network, batch), atol=tolerance)


def test_smaller_numbers_make_smaller_files(compiled):
    fp32, fp16, int8 = (compiled[precision].stat().st_size for precision in ("fp32", "fp16", "int8"))
    assert int8 < fp16 < fp32


def test_integer_inputs_are_scaled_by_run(folder, network):
    model = to_compile(network, images(1), images(64, seed=1))
    path = LiteRt(float_inputs=False).compile(model, folder / "whole.tflite", "int8")
    loaded = LiteRt().load(path)
    assert (loaded.input["dtype"], loaded.output["dtype"]) == (np.int8, np.int8)
    batch = images(20, seed=2)
    np.testing.assert_allclose(run_each(loaded, batch), scores(network, batch), atol=0.1)


def test_refused_batches(linear):
    with pytest.raises(ModelError, match=r"takes input of shape \(1, 3\) and the batch has shape \(2, 3\)"):
        LiteRt().load(linear).run(np.zeros((2, 3), np.float32))
    with pytest.raises(ModelError, match="takes float32 and the batch is float64"):
        LiteRt().load(linear).run(np.zeros((1, 3)))


def test_refused_files(linear, tmp_path):
    with pytest.raises(ModelError, match=r"There is no file at .*none.tflite; write one with"):
        LiteRt().load(tmp_path / "none.tflite")
    with pytest.raises(ModelError, match=r"The content .300 bytes. is not a .tflite file"):
        LiteRt().load(b"abc" * 100)
    with pytest.raises(ModelError, match=r"LiteRt takes the path or the bytes of a .tflite file, not Linear"):
        LiteRt().load(hand_worked())
    with pytest.raises(ModelError, match="cannot be loaded by LiteRT") as caught:
        LiteRt().load(linear.read_bytes()[:600])
    assert "\n" not in str(caught.value)


def test_refused_models(tmp_path):
    path = tmp_path / "no.tflite"
    with pytest.raises(ModelError, match="litert compiles PyTorch modules and the model is an ONNX file"):
        LiteRt().compile(to_compile(None, ROW), path)
    with pytest.raises(ModelError, match="litert needs inputs to find the ranges of int8"):
        LiteRt().compile(to_compile(hand_worked(), ROW), path, "int8")
    with pytest.raises(ModelError, match=r"litert has no form of the operator aten.*svd"):
        LiteRt().compile(to_compile(Singular().eval(), np.ones((1, 3, 3), np.float32)), path)
    with pytest.raises(ModelError, match="litert needs a fixed graph and the forward method of the model"):
        LiteRt().compile(to_compile(Deciding().eval(), ROW), path)
    with pytest.raises(SettingError, match=r"There is no precision|litert does not build"):
        LiteRt(precisions=("fp32",)).compile(to_compile(hand_worked(), ROW), path, "fp16")
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written(linear, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ExportError, match=r"could not be written \(.*\) and is unchanged"):
        LiteRt().compile(to_compile(hand_worked(), ROW), tmp_path / "file" / "model.tflite")


def test_nothing_is_printed_and_nothing_is_left_over(tmp_path, capfd, recwarn):
    LiteRt().load(LiteRt().compile(to_compile(hand_worked(), ROW), tmp_path / "model.tflite"))
    assert capfd.readouterr() == ("", "")
    assert not recwarn.list
    assert [path.name for path in tmp_path.iterdir()] == ["model.tflite"]


def test_package_missing(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "litert_torch", None)
    expected = "litert-torch is needed to compile for LiteRT; install it with: make compilers"
    assert LiteRt().why_unavailable() == expected
    with pytest.raises(MissingPackageError) as caught:
        LiteRt().compile(to_compile(hand_worked(), ROW), tmp_path / "model.tflite")
    assert str(caught.value) == expected
