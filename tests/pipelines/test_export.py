import numpy as np
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from course_lib.errors import ExportError, ModelError, ParityError, SettingError
from course_lib.pipelines import export as pipeline
from course_lib.pipelines.export import export_with_parity
from course_lib.reproducibility import seeded_torch


class AddsNoise(nn.Module):
    def forward(self, x):
        return x + torch.rand_like(x)


def linear() -> nn.Linear:
    with seeded_torch(0):
        return nn.Linear(4, 3)


def wrong_graph(nodes: list, weights: dict[str, np.ndarray]) -> bytes:
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 4])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10
    ).SerializeToString()


@pytest.mark.slow
def test_exports_and_reports(tmp_path):
    model = linear()
    path, report = export_with_parity(model, torch.ones(2, 4), tmp_path / "linear.onnx")
    assert path == tmp_path / "linear.onnx"
    assert report.within_tolerance
    assert report.shape == (2 + 1 + 3, 3)  # the example, one row, and one row more than the example
    batch = np.ones((5, 4), np.float32)
    (logits,) = onnxruntime.InferenceSession(str(path)).run(["logits"], {"input": batch})
    np.testing.assert_allclose(logits, model(torch.from_numpy(batch)).detach().numpy(), atol=1e-6)


@pytest.mark.slow
def test_fixed_batch_is_checked_at_its_own_size(tmp_path):
    _, report = export_with_parity(linear(), torch.ones(2, 4), tmp_path / "linear.onnx", dynamic_batch=False)
    assert report.shape == (4, 3)


@pytest.mark.slow
def test_token_models_are_checked_on_tokens(tmp_path):
    model = nn.Sequential(nn.Embedding(5, 3), nn.Flatten(1))
    tokens = torch.tensor([[0, 4, 2, 1]])
    _, report = export_with_parity(model, tokens, tmp_path / "tokens.onnx", input_names=("tokens",))
    assert report.shape == (1 + 1 + 2, 12)
    assert report.max_absolute == 0


@pytest.mark.slow
def test_a_random_forward_pass_has_no_parity(tmp_path):
    with pytest.raises(ParityError, match="the worst difference is"):
        export_with_parity(AddsNoise(), torch.ones(1, 4), tmp_path / "noise.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_graph_is_not_written_and_the_old_file_stays(tmp_path, monkeypatch):
    model = linear()
    weight = model.weight.detach().numpy().T.copy()
    weight[1, 2] += 0.5  # ones in, so the third score of the example row is off by 0.5
    gemm = helper.make_node("Gemm", ["input", "weight", "bias"], ["logits"])
    content = wrong_graph([gemm], {"weight": weight, "bias": model.bias.detach().numpy()})
    monkeypatch.setattr(pipeline, "build_onnx", lambda *_, **__: content)
    path = tmp_path / "linear.onnx"
    path.write_bytes(b"old")
    with pytest.raises(ParityError, match=r"at \[\d, 2\] should be"):
        export_with_parity(model, torch.ones(1, 4), path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_that_the_example_hides_is_found(tmp_path, monkeypatch):
    # With an example of ones, x·x = x; only fresh inputs tell the two apart.
    square = helper.make_node("Mul", ["input", "input"], ["logits"])
    monkeypatch.setattr(pipeline, "build_onnx", lambda *_, **__: wrong_graph([square], {}))
    with pytest.raises(ParityError):
        export_with_parity(nn.Identity(), torch.ones(1, 4), tmp_path / "square.onnx")


def test_a_graph_that_knows_one_batch_size_is_found(tmp_path, monkeypatch):
    reshape = helper.make_node("Reshape", ["input", "shape"], ["logits"])
    content = wrong_graph([reshape], {"shape": np.array([1, 4])})
    monkeypatch.setattr(pipeline, "build_onnx", lambda *_, **__: content)
    with pytest.raises(ModelError, match=r"The model fails on a batch of shape \(2, 4\)"):
        export_with_parity(nn.Identity(), torch.ones(1, 4), tmp_path / "fixed.onnx")


def test_a_full_disk(tmp_path, monkeypatch):
    identity = helper.make_node("Identity", ["input"], ["logits"])
    monkeypatch.setattr(pipeline, "build_onnx", lambda *_, **__: wrong_graph([identity], {}))

    def full(self, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(
        ExportError, match="could not be written \\(No space left on device\\) and is unchanged"
    ):
        export_with_parity(nn.Identity(), torch.ones(1, 4), tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_example_must_be_one_tensor(tmp_path):
    with pytest.raises(SettingError, match="takes one tensor as example_inputs, not tuple"):
        export_with_parity(nn.Identity(), (torch.ones(1, 4),), tmp_path / "model.onnx")
