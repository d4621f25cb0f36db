from threading import Thread

import numpy as np
import pytest
import torch
from torch import nn

from course_lib.errors import ModelError
from course_lib.runtimes.eager import EagerRuntime


class ReportsThreads(nn.Module):
    def forward(self, x):
        return torch.full((len(x), 1), float(torch.get_num_threads()))


class ReturnsPair(nn.Module):
    def forward(self, x):
        return x, x


def test_dropout_is_off_and_the_module_is_not_touched():
    model = nn.Dropout(0.5).train()
    batch = np.ones((8, 3), np.float32)
    np.testing.assert_array_equal(EagerRuntime().load(model).run(batch), batch)
    assert model.training


def test_later_training_does_not_change_a_loaded_model():
    model = nn.Linear(2, 2)
    loaded = EagerRuntime().load(model)
    batch = np.ones((1, 2), np.float32)
    before = loaded.run(batch)
    with torch.no_grad():
        model.weight.add_(1)
    np.testing.assert_array_equal(loaded.run(batch), before)


@pytest.mark.parametrize("threads", [1, 2])
def test_thread_count_holds_during_the_run_only(threads):
    before = torch.get_num_threads()
    assert EagerRuntime().load(ReportsThreads(), threads=threads).run(np.zeros((1, 1), np.float32)) == threads
    assert torch.get_num_threads() == before


def test_thread_count_comes_back_after_an_error():
    before = torch.get_num_threads()
    with pytest.raises(ModelError):
        EagerRuntime().load(nn.Linear(2, 2), threads=before + 1).run(np.zeros((1, 3), np.float32))
    assert torch.get_num_threads() == before


def test_runs_on_another_thread():
    loaded = EagerRuntime().load(nn.Linear(2, 2))
    batch = np.ones((1, 2), np.float32)
    results: list[np.ndarray] = []
    thread = Thread(target=lambda: results.append(loaded.run(batch)))
    thread.start()
    thread.join()
    np.testing.assert_array_equal(results[0], loaded.run(batch))


def test_wrong_shape():
    with pytest.raises(ModelError) as caught:
        EagerRuntime().load(nn.Linear(2, 2)).run(np.zeros((1, 3), np.float32))
    assert str(caught.value) == (
        "Linear cannot take a float32 batch of shape (1, 3) (mat1 and mat2 shapes cannot be multiplied "
        "(1x3 and 2x2)); pass the shape and type that it was trained with."
    )


def test_several_outputs():
    with pytest.raises(ModelError, match="ReturnsPair returns tuple and a runtime gives one array"):
        EagerRuntime().load(ReturnsPair()).run(np.zeros((1, 3), np.float32))


def test_a_path_is_refused():
    with pytest.raises(ModelError) as caught:
        EagerRuntime().load("model.onnx")
    assert str(caught.value) == (
        "The eager runtime runs a PyTorch module, not str; "
        'load an ONNX file with get_runtime("onnxruntime").load(path).'
    )
