from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch
from torch import nn

from course_lib.architectures import create_model, list_models
from course_lib.architectures.checkpoints import load_weights, save_checkpoint
from course_lib.errors import CheckpointError


def test_a_layer_by_hand(tmp_path: Path) -> None:
    layer = nn.Linear(2, 1)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[3.0, -4.0]]))
        layer.bias.fill_(0.5)
    path = tmp_path / "new" / "layer.safetensors"
    save_checkpoint(layer, path)
    other = nn.Linear(2, 1)
    load_weights(other, path)
    assert other(torch.tensor([[1.0, 1.0]])).item() == -0.5


@pytest.mark.parametrize("name", list_models((1, 28, 28)))
def test_every_network_comes_back_whatever_its_memory_layout(name: str, tmp_path: Path) -> None:
    model = create_model(name).to(memory_format=torch.channels_last)
    model(torch.randn(4, 1, 28, 28))
    save_checkpoint(model, tmp_path / "file")
    other = create_model(name)
    load_weights(other, tmp_path / "file")
    for key, value in model.state_dict().items():
        assert torch.equal(other.state_dict()[key], value)
    # Another reader sees the same numbers.
    read = safetensors.numpy.load_file(tmp_path / "file")
    assert read.keys() == model.state_dict().keys()
    for key, value in model.state_dict().items():
        np.testing.assert_array_equal(read[key], value)


@pytest.mark.parametrize("content", [b"", b"hello", None])
def test_other_files_are_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "file.safetensors"
    save_checkpoint(nn.Linear(3, 1), path)
    path.write_bytes(path.read_bytes()[:-1] if content is None else content)
    with pytest.raises(CheckpointError) as caught:
        load_weights(nn.Linear(3, 1), path)
    assert str(caught.value) == (
        "The checkpoint file.safetensors does not fit Linear; load the network that its card names."
    )


def test_weights_of_another_shape_are_refused(tmp_path: Path) -> None:
    save_checkpoint(nn.Linear(3, 1), tmp_path / "file")
    with pytest.raises(CheckpointError, match="does not fit Linear"):
        load_weights(nn.Linear(2, 1), tmp_path / "file")
    with pytest.raises(CheckpointError, match="does not fit Sequential"):
        load_weights(nn.Sequential(nn.Linear(3, 1)), tmp_path / "file")


def test_an_interrupted_write_leaves_the_old_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    save_checkpoint(nn.Linear(3, 1), path)
    before = path.read_bytes()

    def full(state: object, target: Path) -> None:
        target.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("course_lib.architectures.checkpoints.save_file", full)
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(nn.Linear(3, 1), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
