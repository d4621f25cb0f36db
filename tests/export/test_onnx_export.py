import errno

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx.reference import ReferenceEvaluator
from torch import nn

from course_lib.errors import ExportError
from course_lib.export.onnx_export import build_onnx, export_onnx, write_onnx

pytestmark = pytest.mark.slow


def images(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, 1, 9, 9)).astype(np.float32)


def axes(value: onnx.ValueInfoProto) -> list[str | int]:
    return [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]


@pytest.mark.parametrize("count", [1, 2, 7])
def test_any_batch_size_equals_torch(exported, count):
    session = onnxruntime.InferenceSession(exported.content)
    (scores,) = session.run(["scores"], {"image": images(count)})
    with torch.no_grad():
        expected = exported.module(torch.from_numpy(images(count))).numpy()
    np.testing.assert_allclose(scores, expected, atol=1e-5, rtol=1e-5)


def test_onnx_reference_implementation_agrees(exported):
    (scores,) = ReferenceEvaluator(onnx.load_from_string(exported.content)).run(None, {"image": images(3)})
    with torch.no_grad():
        expected = exported.module(torch.from_numpy(images(3))).numpy()
    np.testing.assert_allclose(scores, expected, atol=1e-5, rtol=1e-5)


@settings(max_examples=20, deadline=None)
@given(first=st.integers(1, 5), second=st.integers(1, 5), seed=st.integers(0, 9))
def test_rows_do_not_depend_on_their_batch(conv_net, first, second, seed):
    session = onnxruntime.InferenceSession(conv_net.content)
    batch = images(first + second, seed)
    (whole,) = session.run(None, {"image": batch})
    parts = [session.run(None, {"image": part})[0] for part in (batch[:first], batch[first:])]
    np.testing.assert_allclose(whole, np.concatenate(parts), atol=1e-6)


def test_hand_worked_linear_layer(tmp_path):
    model = nn.Linear(2, 2)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
        model.bias.copy_(torch.tensor([0.5, -1.0]))
    path = export_onnx(model, torch.zeros(1, 2), tmp_path / "deep" / "linear.onnx")
    assert path == tmp_path / "deep" / "linear.onnx"
    (logits,) = onnxruntime.InferenceSession(str(path)).run(
        ["logits"], {"input": np.ones((1, 2), np.float32)}
    )
    assert logits.tolist() == [[3.5, 6.0]]


def test_names_opset_and_batch_axis(conv_net):
    model = onnx.load_from_string(conv_net.content)
    assert [(value.name, axes(value)) for value in model.graph.input] == [("image", ["batch", 1, 9, 9])]
    assert [(value.name, axes(value)) for value in model.graph.output] == [("scores", ["batch", 10])]
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 20)]


@pytest.mark.parametrize("opset_version", [18, 23])
def test_other_opsets(opset_version):
    model = onnx.load_from_string(build_onnx(nn.Linear(4, 2), torch.zeros(1, 4), opset_version=opset_version))
    assert model.opset_import[0].version == opset_version


def test_several_inputs_and_outputs():
    class Two(nn.Module):
        def forward(self, a, b):
            return a + b, a * b

    content = build_onnx(
        Two(),
        (torch.zeros(1, 3), torch.zeros(1, 3)),
        input_names=("a", "b"),
        output_names=("sum", "product"),
    )
    a = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]], np.float32)
    total, product = onnxruntime.InferenceSession(content).run(["sum", "product"], {"a": a, "b": a})
    np.testing.assert_array_equal(total, 2 * a)
    np.testing.assert_array_equal(product, a * a)


def test_fixed_batch():
    graph = onnx.load_from_string(build_onnx(nn.ReLU(), torch.zeros(5, 4), dynamic_batch=False)).graph
    assert axes(graph.input[0]) == axes(graph.output[0]) == [5, 4]


def test_the_same_module_gives_the_same_bytes():
    model = nn.Linear(4, 2)
    assert build_onnx(model, torch.zeros(1, 4)) == build_onnx(model, torch.ones(3, 4))


def test_the_module_is_left_as_it_was():
    model = nn.Sequential(nn.Linear(4, 2), nn.BatchNorm1d(2)).train()
    model[1].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    build_onnx(model, torch.randn(8, 4))
    assert [module.training for module in model.modules()] == [True, True, False]
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "model.onnx"
    write_onnx(b"old", path)

    def fill_up(self, data):
        with self.open("wb") as file:
            file.write(data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", fill_up)
    with pytest.raises(ExportError) as caught:
        write_onnx(b"something new", path)
    assert str(caught.value) == (
        f"{path} could not be written (No space left on device) and is unchanged; "
        "free some space or pass another path to export_onnx."
    )
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ExportError, match=r"could not be written \((Not a directory|File exists)\)"):
        write_onnx(b"content", tmp_path / "file" / "model.onnx")
