"""The float model inside the exported one, and the cache of the zoo's."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from course_lib.data import Dataset
from course_lib.errors import ModelError, UnknownNameError
from course_lib.explore import calibration_graph as module
from course_lib.explore import model_source
from course_lib.explore.calibration_graph import CalibrationGraph, calibration_graph
from course_lib.runtimes.onnx_runtime import OnnxRuntime


@pytest.fixture(scope="module")
def graph(small_net: nn.Module) -> CalibrationGraph:
    return calibration_graph(small_net, (1, 8, 8))


def test_the_observed_model_is_the_module(
    graph: CalibrationGraph, small_net: nn.Module, small_data: Dataset
) -> None:
    scores = OnnxRuntime().load(graph.observed(with_tensors=False)).run(small_data.all_inputs)
    with torch.inference_mode():
        expected = small_net(torch.from_numpy(small_data.all_inputs)).numpy()
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-5)


def test_activations_are_further_outputs(
    graph: CalibrationGraph, small_net: nn.Module, small_data: Dataset
) -> None:
    model = OnnxRuntime().load(graph.observed(with_tensors=True))
    _, x, activation = model.session.run(None, {model.input_names[0]: small_data.all_inputs})
    assert graph.tensors == ["x", "relu"]
    np.testing.assert_array_equal(x, small_data.all_inputs)
    with torch.inference_mode():
        expected = torch.relu(small_net.norm(small_net.conv(torch.from_numpy(x)))).numpy()
    np.testing.assert_allclose(activation, expected, rtol=1e-4, atol=1e-5)


def test_a_zoo_network_is_exported_once(
    graph: CalibrationGraph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exported: list[object] = []
    content = module._export(nn.Sequential(nn.Flatten(), nn.Linear(784, 2)), (1, 28, 28))

    def export(model: object, shape: object) -> bytes:
        exported.append(model)
        return content

    monkeypatch.setattr(model_source.platformdirs, "user_cache_path", lambda name: tmp_path)
    monkeypatch.setattr(module, "_export", export)
    assert calibration_graph("tiny").tensors == calibration_graph("tiny").tensors == ["input_1"]
    assert len(exported) == 1


def test_a_file_and_an_unknown_name_get_one_sentence() -> None:
    with pytest.raises(
        ModelError, match=r"net\.onnx is an ONNX file, .* pass the module that it was exported"
    ):
        calibration_graph("net.onnx")
    with pytest.raises(UnknownNameError, match="no trained model called 'net'"):
        calibration_graph("net")
