from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from course_lib.architectures import list_zoo
from course_lib.errors import ModelError, UnknownNameError
from course_lib.explore import model_source
from course_lib.explore.model_source import onnx_of
from course_lib.export.onnx_export import export_onnx


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(model_source.platformdirs, "user_cache_path", lambda name: tmp_path / "cache")
    return tmp_path / "cache"


def test_a_zoo_network_is_exported_once(cache: Path, monkeypatch: pytest.MonkeyPatch):
    first = onnx_of("depthwise")
    assert len(list(cache.rglob("depthwise-*.bin"))) == 1

    def refuse(*arguments: object) -> bytes:
        raise AssertionError("exported again")

    monkeypatch.setattr(model_source, "_export", refuse)
    assert onnx_of("depthwise") == first


def test_a_damaged_cache_is_made_again(cache: Path):
    first = onnx_of("depthwise")
    (stored,) = cache.rglob("depthwise-*.bin")
    stored.write_bytes(stored.read_bytes()[:-100])
    assert onnx_of("depthwise") == first


def test_a_full_disk_costs_only_the_cache(cache: Path, monkeypatch: pytest.MonkeyPatch):
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(model_source, "write_atomically", full)
    assert onnx.load_model_from_string(onnx_of("depthwise")).graph.node
    assert not list(cache.rglob("*.bin"))


def test_an_unknown_name_lists_the_zoo():
    with pytest.raises(UnknownNameError, match=f"no trained model called 'resnet'.*{list_zoo()[0]}"):
        onnx_of("resnet")


def test_a_missing_file_is_named():
    with pytest.raises(ModelError, match=r"nothing.onnx does not exist; pass the path of an .onnx file"):
        onnx_of("nothing.onnx")


def test_a_file_that_is_no_model_is_named(tmp_path: Path):
    path = tmp_path / "text.onnx"
    path.write_bytes(b"hello, this is text" * 9)
    with pytest.raises(ModelError, match=r"text.onnx is not an ONNX file; write one with export_onnx"):
        onnx_of(path)


def test_weights_in_a_second_file_are_found_or_missed(tmp_path: Path, small_net: nn.Module):
    inside = onnx.load(export_onnx(small_net, torch.zeros(1, 1, 8, 8), tmp_path / "inside.onnx"))
    path = tmp_path / "outside.onnx"
    onnx.save(inside, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    assert onnx_of(path)
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(ModelError, match=r"second file that is missing|does not exist"):
        onnx_of(path)


def test_nan_in_a_module_is_refused(small_net: nn.Module):
    broken = type(small_net)()
    with torch.no_grad():
        broken.conv.weight[0] = float(np.nan)
    with pytest.raises(ModelError, match="NaN"):
        onnx_of(broken, (1, 8, 8))


def test_two_threads_may_export_at_once():
    models = [nn.Sequential(nn.Flatten(), nn.Linear(4, n)).eval() for n in (2, 3, 4, 5)]
    with ThreadPoolExecutor(4) as pool:
        exported = list(pool.map(lambda model: onnx_of(model, (1, 2, 2)), models))
    shapes = [
        onnx.load_model_from_string(content).graph.output[0].type.tensor_type.shape.dim[1].dim_value
        for content in exported
    ]
    assert shapes == [2, 3, 4, 5]
