import sys

import numpy as np
import pytest

from course_lib.errors import ExportError, MissingPackageError, ModelError
from course_lib.runtimes import LoadedModel
from course_lib.runtimes.compilation import Compiler
from course_lib.runtimes.executorch import ExecuTorch
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

needs("executorch")
pytestmark = pytest.mark.slow

ROW = np.array([[1, 1, 5]], np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("executorch")


@pytest.fixture(scope="module")
def linear(folder):
    return ExecuTorch().compile(to_compile(hand_worked(), ROW), folder / "linear.pte")


@pytest.fixture(scope="module")
def network():
    return convolutions()


def test_protocol_and_hand_worked_value(linear):
    assert isinstance(ExecuTorch(), Compiler)
    loaded = ExecuTorch().load(linear, threads=2)
    assert isinstance(loaded, LoadedModel)
    assert (loaded.threads, loaded.input_names, loaded.input_shape) == (2, ("input",), (1, 3))
    assert loaded.run(ROW).tolist() == [[3.0, 7.0]]
    assert ExecuTorch().load(linear.read_bytes()).run(ROW).tolist() == [[3.0, 7.0]]


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-5), ("fp16", 1e-2), ("int8", 0.1)])
def test_equals_eager(folder, network, precision, tolerance):
    model = to_compile(network, images(1), images(64, seed=1))
    loaded = ExecuTorch().load(ExecuTorch().compile(model, folder / f"{precision}.pte", precision))
    batch = images(20, seed=2)
    found = np.concatenate([loaded.run(row[None]) for row in batch])
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, scores(network, batch), atol=tolerance)


def test_models_with_other_thread_counts_take_turns(linear):
    models = [ExecuTorch().load(linear, threads=threads) for threads in (1, 2, 1, 3)]
    for _ in range(3):
        for model in models:
            assert model.run(ROW).tolist() == [[3.0, 7.0]]


def test_delegation(network):
    model = to_compile(network, images(1))
    facts = ExecuTorch().delegation(model)
    assert facts.pieces >= 1
    assert facts.delegated_nodes > facts.left_nodes
    none = ExecuTorch(delegate=False).delegation(model)
    assert (none.pieces, none.delegated_nodes) == (0, 0)
    assert any("convolution" in name for name in none.left_operators)


def test_refused_batches(linear):
    with pytest.raises(ModelError, match=r"takes input of shape \(1, 3\) and the batch has shape \(2, 3\)"):
        ExecuTorch().load(linear).run(np.zeros((2, 3), np.float32))
    with pytest.raises(ModelError, match="takes float32 and the batch is float64"):
        ExecuTorch().load(linear).run(np.zeros((1, 3)))


def test_refused_files(linear, tmp_path):
    with pytest.raises(ModelError, match=r"There is no file at .*none.pte; write one with"):
        ExecuTorch().load(tmp_path / "none.pte")
    with pytest.raises(ModelError, match=r"The content .300 bytes. is not a .pte file"):
        ExecuTorch().load(b"abc" * 100)
    with pytest.raises(
        ModelError, match=r"ExecuTorch takes the path or the bytes of a .pte file, not Linear"
    ):
        ExecuTorch().load(hand_worked())
    with pytest.raises(ModelError, match=r"another version of ExecuTorch \(File size is too small") as caught:
        ExecuTorch().load(linear.read_bytes()[:-200])
    assert "\n" not in str(caught.value)


def test_refused_models(tmp_path):
    path = tmp_path / "no.pte"
    with pytest.raises(ModelError, match="executorch compiles PyTorch modules and the model is an ONNX file"):
        ExecuTorch().compile(to_compile(None, ROW), path)
    with pytest.raises(ModelError, match="executorch needs inputs to find the ranges of int8"):
        ExecuTorch().compile(to_compile(hand_worked(), ROW), path, "int8")
    with pytest.raises(ModelError, match=r"executorch has no form of the operator aten.*svd"):
        ExecuTorch().compile(to_compile(Singular().eval(), np.ones((1, 3, 3), np.float32)), path)
    with pytest.raises(
        ModelError, match="executorch needs a fixed graph and the forward method of the model"
    ):
        ExecuTorch().compile(to_compile(Deciding().eval(), ROW), path)
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ExportError, match=r"could not be written \(.*\) and is unchanged"):
        ExecuTorch().compile(to_compile(hand_worked(), ROW), tmp_path / "file" / "model.pte")


def test_nothing_is_printed(tmp_path, capfd, recwarn):
    path = ExecuTorch().compile(to_compile(hand_worked(), ROW), tmp_path / "model.pte")
    ExecuTorch().load(path, threads=2).run(ROW)
    assert capfd.readouterr() == ("", "")
    assert not recwarn.list


def test_package_missing(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "executorch", None)
    expected = "executorch is needed to compile for ExecuTorch; install it with: make compilers"
    assert ExecuTorch().why_unavailable() == expected
    with pytest.raises(MissingPackageError) as caught:
        ExecuTorch().compile(to_compile(hand_worked(), ROW), tmp_path / "model.pte")
    assert str(caught.value) == expected
