import shutil

import numpy as np
import pytest
from torch import nn

from course_lib.errors import ModelError
from course_lib.runtimes import LoadedModel
from course_lib.runtimes.coreml import CoreMl
from course_lib.runtimes.coreml_reference import load_reference
from course_lib.runtimes.coreml_steps import STEPS
from tests.runtimes.optional import needs
from tests.runtimes.small_models import convolutions, hand_worked, images, scores, to_compile

needs("coremltools")
pytestmark = pytest.mark.slow

ROW = np.array([[1, 1, 5]], np.float32)


def read_back(module, batch, folder, precision="fp32"):
    return load_reference(
        CoreMl().compile(to_compile(module, batch), folder / f"{precision}.mlpackage", precision)
    )


def test_hand_worked_value(tmp_path):
    loaded = read_back(hand_worked(), ROW, tmp_path)
    assert isinstance(loaded, LoadedModel)
    assert loaded.operators() == ("linear",)
    assert loaded.run(ROW).tolist() == [[3.0, 7.0]]
    with pytest.raises(ModelError, match=r"takes input of shape \(1, 3\)"):
        loaded.run(np.zeros((2, 3), np.float32))


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-5), ("fp16", 1e-2), ("int8", 0.05)])
def test_equals_eager(tmp_path, precision, tolerance):
    network, batch = convolutions(), images(3, seed=2)
    found = read_back(network, batch, tmp_path, precision).run(batch)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, scores(network, batch), atol=tolerance)


def test_pooling_with_padding(tmp_path):
    for count in (True, False):
        network = nn.Sequential(
            nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=count),
            nn.MaxPool2d(3, 1, 1),
            nn.Softmax(1),
        ).eval()
        batch = images(2, seed=3)
        np.testing.assert_allclose(
            read_back(network, batch, tmp_path).run(batch), scores(network, batch), atol=1e-6
        )


def test_damaged_packages(tmp_path):
    path = CoreMl().compile(to_compile(hand_worked(), ROW), tmp_path / "model.mlpackage")
    graph = path / "Data" / "com.apple.CoreML" / "model.mlmodel"
    graph.write_bytes(graph.read_bytes()[:50])
    with pytest.raises(ModelError, match="is damaged") as caught:
        load_reference(path)
    assert "\n" not in str(caught.value)
    shutil.rmtree(path)
    with pytest.raises(ModelError, match="There is no Core ML package at"):
        load_reference(path)


def test_an_operator_that_is_not_spelt_out(tmp_path, monkeypatch):
    path = CoreMl().compile(to_compile(hand_worked(), ROW), tmp_path / "model.mlpackage")
    monkeypatch.delitem(STEPS, "linear")
    with pytest.raises(ModelError, match="uses the operator linear, which the reference does not compute"):
        load_reference(path)
