import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from course_lib.benchmarking.size import measure_size
from course_lib.errors import MeasurementError


def save_model(path: Path, location: str | None) -> None:
    """Write a model with one large initializer and one in the branch of an If, both kept at ``location``."""
    inner = numpy_helper.from_array(np.ones(300, np.float32), "inner")
    branch = helper.make_graph(
        [helper.make_node("Identity", ["inner"], ["out"])],
        "branch",
        [],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [300])],
        [inner],
    )
    graph = helper.make_graph(
        [helper.make_node("If", ["condition"], ["y"], then_branch=branch, else_branch=branch)],
        "graph",
        [helper.make_tensor_value_info("condition", TensorProto.BOOL, [])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [300])],
        [numpy_helper.from_array(np.ones(500, np.float32), "weight")],
    )
    onnx.save_model(
        helper.make_model(graph),
        path,
        save_as_external_data=location is not None,
        location=location,
        size_threshold=0,
    )


def test_a_file_and_a_folder_by_hand(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "a.bin").write_bytes(b"x" * 1500)
    (tmp_path / "inner" / "b.bin").write_bytes(b"y" * 42)
    assert measure_size(tmp_path / "a.bin").size_bytes == 1500
    folder = measure_size(str(tmp_path))
    assert folder.size_bytes == 1542
    assert folder.files_bytes == {"a.bin": 1500, "inner/b.bin": 42}


@given(st.lists(st.binary(max_size=200), max_size=6))
def test_a_folder_is_as_large_as_its_files(contents: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as name:
        for index, content in enumerate(contents):
            (Path(name) / str(index)).write_bytes(content)
        assert measure_size(name).size_bytes == sum(map(len, contents))


@pytest.mark.skipif(sys.platform != "linux", reason="du --apparent-size is GNU's")
def test_a_file_agrees_with_du() -> None:
    told = subprocess.run(
        ["du", "--apparent-size", "-b", __file__], capture_output=True, text=True, check=True
    )
    assert measure_size(__file__).size_bytes == int(told.stdout.split()[0])


def test_an_onnx_model_counts_with_its_external_data(tmp_path: Path) -> None:
    save_model(tmp_path / "model.onnx", "model.onnx.data")
    save_model(tmp_path / "whole.onnx", None)
    (tmp_path / "unrelated.bin").write_bytes(b"x" * 999)
    result = measure_size(tmp_path / "model.onnx")
    assert list(result.files_bytes) == ["model.onnx", "model.onnx.data"]
    assert result.files_bytes["model.onnx.data"] >= 4 * 800
    assert list(measure_size(tmp_path / "whole.onnx").files_bytes) == ["whole.onnx"]


def test_it_prints_a_row_and_becomes_json(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"x" * 1500)
    result = measure_size(tmp_path / "a.bin")
    assert list(result.table_row().values()) == ["a.bin", "1.50 kB", "1500", "1"]
    assert json.loads(json.dumps(result.as_dict()))["size_bytes"] == 1500


def test_external_data_that_is_missing_or_elsewhere_is_refused(tmp_path: Path) -> None:
    save_model(tmp_path / "model.onnx", "weights.bin")
    (tmp_path / "weights.bin").rename(tmp_path / "moved.bin")
    with pytest.raises(MeasurementError) as caught:
        measure_size(tmp_path / "model.onnx")
    assert str(caught.value) == (
        "model.onnx keeps weights in 'weights.bin', which is not a file beside it: "
        "copy that file into the model's folder."
    )
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "weights.bin").symlink_to(tmp_path / "moved.bin")
    (tmp_path / "model.onnx").rename(tmp_path / "inner" / "model.onnx")
    with pytest.raises(MeasurementError, match=r"which is not a file beside it"):
        measure_size(tmp_path / "inner" / "model.onnx")


def test_other_paths_that_cannot_be_measured_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        MeasurementError, match=r"^There is nothing at .*gone: pass the path of a file or folder"
    ):
        measure_size(tmp_path / "gone")
    (tmp_path / "model.onnx").write_bytes(b"this is no protobuf")
    with pytest.raises(
        MeasurementError, match=r"^model.onnx ends in .onnx but cannot be read as an ONNX model"
    ):
        measure_size(tmp_path / "model.onnx")
